"""Between a container and the terminal: raw mode, its size, detach keys, and signals that are handed on.

Without a terminal for the container nothing of that is needed but the signals. Handlers only note a signal; a thread
sends it, because sending takes the container's lock, which a handler in the middle of something must not do.

Covers: cmd/podman/containers (attach, start), pkg/domain/infra/abi/terminal
"""

from __future__ import annotations

import argparse
import contextlib
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator

import libpod
from libpod_cli.parser import Parser

logger = logging.getLogger(__name__)

DEFAULT_KEYS = "ctrl-p,ctrl-q"
NOT_FORWARDED = frozenset(
    {signal.SIGCHLD, signal.SIGPIPE, signal.SIGWINCH, signal.SIGURG, signal.SIGKILL, signal.SIGSTOP, signal.SIGTSTP,
     signal.SIGTTIN, signal.SIGTTOU, signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGTRAP,
     signal.SIGPROF}
)  # fmt: skip
"""They speak of this process, or cannot be caught."""


def declare_streams(parser: Parser) -> None:
    """The flags of every verb that connects streams."""
    parser.text("--detach-keys", default=DEFAULT_KEYS, help='keys that let go of the container; "" for none')
    parser.switch("--sig-proxy", default=True, help="hand signals on to the container")


def start_attached(
    container: libpod.Container,
    args: argparse.Namespace,
    *,
    stdin: bool,
    stdout: bool = True,
    stderr: bool = True,
    will_remove: bool = False,
) -> int:
    """Start the container with its streams connected; returns its exit code, 0 when the user lets go of it."""
    with container.start_and_attach(back_pressure=True, will_remove=will_remove) as stream:
        outcome = copy(container, stream, args, stdin=stdin, stdout=stdout, stderr=stderr)
    return 0 if outcome is libpod.Outcome.DETACHED else container.wait()


def copy(
    container: libpod.Container,
    stream: libpod.AttachStream,
    args: argparse.Namespace,
    *,
    stdin: bool,
    stdout: bool = True,
    stderr: bool = True,
) -> libpod.Outcome:
    """Copy between the process's own streams and the container's until one of them is over."""
    tty = has_terminal(container)
    sys.stdout.flush()
    with contextlib.ExitStack() as stack:
        if tty:
            stack.enter_context(own_terminal(container.resize, raw=stdin))
        if args.sig_proxy:
            stack.enter_context(forwarding(lambda number: container.kill(number)))
        return libpod.copy_attached(
            stream,
            stdin=0 if stdin else None,
            stdout=1 if stdout else None,
            stderr=2 if stderr else None,
            detach_keys=args.detach_keys if tty else "",
        )


def has_terminal(container: libpod.Container) -> bool:
    """Whether its process has a terminal."""
    return bool(container.config.spec.get("process", {}).get("terminal"))


@contextlib.contextmanager
def own_terminal(resize: Callable[[int, int], None], *, raw: bool) -> Iterator[None]:
    """Make our terminal the container's: it gets every key, and learns of every change of size.

    What is no terminal is left alone.
    """
    with contextlib.ExitStack() as stack:
        if os.isatty(1):
            stack.enter_context(
                libpod.watching_size(1, lambda size: _resize(resize, size.rows, size.columns))
            )
        if raw and os.isatty(0):
            stack.enter_context(libpod.raw_mode(0))
        yield


def _resize(resize: Callable[[int, int], None], rows: int, columns: int) -> None:
    try:
        resize(rows, columns)
    except libpod.LibpodError as error:
        logger.info("the terminal's size could not be set: %s", error)  # it is about to end


@contextlib.contextmanager
def forwarding(send: Callable[[int], object]) -> Iterator[None]:
    """Hand every signal that this process gets to *send*, in a thread of its own, for the duration of the block."""
    reading, writing = os.pipe2(os.O_CLOEXEC)

    def forward() -> None:
        while number := os.read(reading, 1):
            try:
                send(number[0])
            except libpod.LibpodError as error:
                logger.info("signal %d could not be handed on: %s", number[0], error)

    numbers = [number for number in signal.valid_signals() if number not in NOT_FORWARDED]
    before = {}
    for number in numbers:
        with contextlib.suppress(OSError, ValueError):  # the C library keeps two for itself
            before[number] = signal.signal(number, lambda caught, frame: _note(writing, caught))
    thread = threading.Thread(target=forward, name="libpod-signals", daemon=True)
    thread.start()
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        os.close(writing)
        thread.join(timeout=1.0)
        if not thread.is_alive():
            os.close(reading)


def _note(writing: int, number: int) -> None:
    os.write(writing, bytes([number]))
