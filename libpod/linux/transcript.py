"""Reading along while a command runs.

Some tools tell how far they are only to a terminal. `followed` gives a child one for its standard output (wide enough
that nothing is cut) while standard error stays a pipe, so that what went wrong is never mixed with what is going on.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import logging
import os
import select
import shlex
import struct
import subprocess
import termios
from collections.abc import Callable, Mapping, Sequence

from libpod.define.errors import CommandError
from libpod.linux.process import CommandResult, StrPath, spawned

logger = logging.getLogger(__name__)

_ROWS, _COLUMNS = 200, 240
_CHUNK = 64 * 1024
_KEPT = 256 * 1024


def followed(
    argv: Sequence[StrPath],
    *,
    on_output: Callable[[bytes], None],
    env: Mapping[str, str] | None = None,
    cwd: StrPath | None = None,
    pass_fds: Sequence[int] = (),
    terminal: bool = True,
) -> CommandResult:
    """Run a command to its end and hand every piece of its standard output to *on_output* as it comes.

    With *terminal* the child believes that its standard output is a terminal, else it is a pipe. When *on_output*
    raises, the child is killed and the exception goes on. The result has no stdout. Raises CommandError and
    ProgramMissingError.
    """
    words = [os.fspath(word) for word in argv]
    logger.debug("follow %s", shlex.join(words))
    with contextlib.ExitStack() as undo:
        master, slave = os.openpty() if terminal else os.pipe()
        undo.callback(os.close, master)
        try:
            if terminal:
                fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", _ROWS, _COLUMNS, 0, 0))
            child = undo.enter_context(
                spawned(words, stdout=slave, stderr=subprocess.PIPE, env=env, cwd=cwd, pass_fds=pass_fds)
            )
        finally:
            os.close(slave)
        if child.stderr is None:
            raise AssertionError("standard error was asked for as a pipe")
        errors = _read_both(master, child.stderr.fileno(), on_output)
        child.wait()
    text = errors.decode(errors="replace")
    if child.returncode:
        raise CommandError(argv=words, returncode=child.returncode, stderr=text)
    return CommandResult(argv=tuple(words), returncode=0, stdout=b"", stderr=text)


def _read_both(output: int, errors: int, on_output: Callable[[bytes], None]) -> bytes:
    """Read both until both end; the last part of the second is returned."""
    kept = bytearray()
    poll = select.poll()
    for descriptor in (output, errors):
        poll.register(descriptor, select.POLLIN)
    left = 2
    while left:
        for descriptor, _events in poll.poll():
            data = _read(descriptor)
            if not data:
                poll.unregister(descriptor)
                left -= 1
            elif descriptor == output:
                on_output(data)
            else:
                kept += data
                del kept[:-_KEPT]
    return bytes(kept)


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, _CHUNK)
    except OSError as error:
        if error.errno == errno.EIO:  # a terminal whose last writer is gone
            return b""
        raise
