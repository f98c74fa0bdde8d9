"""Between a container's streams and the caller's: what attach, run, start -a and exec do.

Output is copied in the calling thread, input in one of its own, which ends with the output: it waits for input and for
that at once, so that nothing stays behind (an input object without a descriptor is read by a daemon thread that
ends with its next read).

Input and output are descriptors, or objects with ``read``/``write``. When an input object has a descriptor, that is
used: what the object has buffered before is not seen.

Covers: oci_conmon_attach_common.go (readStdio, redirectResponseToOutputStreams), container_attach.go
"""

from __future__ import annotations

import contextlib
import enum
import os
import select
import threading
from collections.abc import Callable, Iterator
from typing import Protocol

from libpod.linux.terminal import is_terminal
from libpod.oci.attach import MAX_INPUT, AttachStream, Stream
from libpod.oci.detach_keys import DEFAULT_KEYS, DetachFilter, parse_detach_keys
from libpod.oci.execution import ExecProcess


class Readable(Protocol):
    """Something input comes from; `read` gives b"" at the end."""

    def read(self, size: int, /) -> bytes | None: ...


class Writable(Protocol):
    """Something output goes to."""

    def write(self, data: bytes, /) -> object: ...

    def flush(self) -> object: ...


class Outcome(enum.Enum):
    """Why copying is over."""

    ENDED = "ended"
    DETACHED = "detached"


def copy_attached(
    stream: AttachStream,
    *,
    stdin: Readable | int | None = None,
    stdout: Writable | int | None = None,
    stderr: Writable | int | None = None,
    detach_keys: str = DEFAULT_KEYS,
) -> Outcome:
    """Copy until the container ends or the user detaches. Does not close *stream*.

    The end of *stdin* ends the container's input. Output for None is dropped. An output that is gone (EPIPE) raises
    BrokenPipeError; the container runs on.
    """
    detached = threading.Event()
    sinks = {Stream.STDOUT: _writer(stdout), Stream.STDERR: _writer(stderr)}

    def forward(data: bytes, over: int) -> bool:
        return stream.send(data, unless=over)

    def let_go() -> None:
        detached.set()
        stream.end_input()
        stream.end_output()

    with _copying_input(stdin, detach_keys, forward, stream.end_input, let_go):
        for source, data in stream:
            sinks[source](data)
    return Outcome.DETACHED if detached.is_set() else Outcome.ENDED


def copy_exec(
    process: ExecProcess,
    *,
    stdin: Readable | int | None = None,
    stdout: Writable | int | None = None,
    stderr: Writable | int | None = None,
    detach_keys: str = DEFAULT_KEYS,
) -> int | None:
    """Copy until an exec session ends and return its exit code; None when the user detached from its terminal.

    A process whose children go on in the background ends with its own end: what it wrote itself is copied.
    """
    if process.stream is not None:
        outcome = copy_attached(
            process.stream, stdin=stdin, stdout=stdout, stderr=stderr, detach_keys=detach_keys
        )
        return None if outcome is Outcome.DETACHED else process.wait()
    sinks: dict[int, Callable[[bytes], None]] = {}
    if process.stdout is not None:
        sinks[process.stdout.fileno()] = _writer(stdout)
    if process.stderr is not None:
        sinks[process.stderr.fileno()] = _writer(stderr)
    if process.stdin is None:
        _drain(process, sinks)
    else:
        pipe = process.stdin
        os.set_blocking(pipe.fileno(), False)
        # Without detach keys: letting go of a process that writes into our pipes would end it.
        end = process.exit_fileno()
        with _copying_input(
            stdin, "", lambda data, over: _write_pipe(pipe.fileno(), data, (over, end)), pipe.close
        ):
            _drain(process, sinks)
    return process.wait()


def _drain(process: ExecProcess, sinks: dict[int, Callable[[bytes], None]]) -> None:
    """Hand output on until it ends; after the process's own end, what it left in the pipes and no more."""
    end = process.exit_fileno()
    poller = select.poll()
    for descriptor in (*sinks, end):
        poller.register(descriptor, select.POLLIN)
    left = set(sinks)
    ended = False
    while left:
        ready = {descriptor for descriptor, _ in poller.poll(0 if ended else None)}
        for descriptor in ready & left:
            data = os.read(descriptor, 65536)
            if data:
                sinks[descriptor](data)
            else:
                poller.unregister(descriptor)
                left.discard(descriptor)
        if end in ready and not ended:
            ended = True
            poller.unregister(end)
        elif ended and not ready:
            return


def _write_pipe(descriptor: int, data: bytes, ends: tuple[int, ...]) -> bool:
    """Write all of *data*; False when the process does not take it any more, or one of *ends* is readable."""
    poller = select.poll()
    poller.register(descriptor, select.POLLOUT)
    for end in ends:
        poller.register(end, select.POLLIN)
    view = memoryview(data)
    while view:
        ready = dict(poller.poll())
        if ready.get(descriptor, 0) & (select.POLLERR | select.POLLHUP):
            return False
        if descriptor not in ready:
            return False
        try:
            view = view[os.write(descriptor, view) :]
        except BlockingIOError:
            continue
        except BrokenPipeError:
            return False
    return True


# ---- input --------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def _copying_input(
    stdin: Readable | int | None,
    detach_keys: str,
    forward: Callable[[bytes, int], bool],
    at_end: Callable[[], None],
    at_detach: Callable[[], None] | None = None,
) -> Iterator[None]:
    """Copy input in a thread of its own for the duration of the block.

    *forward* gets a descriptor that becomes readable when it must give up.
    """
    if stdin is None:
        yield
        return
    descriptor = _descriptor(stdin)
    terminal = descriptor is not None and is_terminal(descriptor)
    keys = DetachFilter(parse_detach_keys(detach_keys), any_cut=terminal)
    over, over_signal = os.pipe2(os.O_CLOEXEC)

    def read() -> bytes:
        if descriptor is None:
            assert not isinstance(stdin, int)
            return stdin.read(MAX_INPUT) or b""
        poller = select.poll()
        poller.register(descriptor, select.POLLIN)
        poller.register(over, select.POLLIN)
        ready = {number for number, _ in poller.poll()}
        return b"" if over in ready else os.read(descriptor, MAX_INPUT)

    def copy() -> None:
        while data := read():
            data, detach = keys.feed(data)
            if data and not forward(data, over):
                return
            if detach and at_detach is not None:
                at_detach()
                return
        if stopping.is_set():
            return
        rest = keys.rest()
        if not rest or forward(rest, over):
            at_end()

    stopping = threading.Event()
    thread = threading.Thread(target=copy, name="libpod-input", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stopping.set()
        os.close(over_signal)
        if descriptor is not None:
            thread.join()
        # Without a descriptor the thread may wait for its object for ever; it needs nothing of ours.
        os.close(over)


def _descriptor(stream: object) -> int | None:
    if isinstance(stream, int):
        return stream
    try:
        number = stream.fileno()  # type: ignore[attr-defined]
    except (AttributeError, OSError):  # io.UnsupportedOperation is an OSError
        return None
    return number if isinstance(number, int) else None


# ---- output -------------------------------------------------------------------------------------------------------


def _writer(sink: Writable | int | None) -> Callable[[bytes], None]:
    """A function that hands all of its bytes to *sink*."""
    if sink is None:
        return lambda data: None
    if isinstance(sink, int):
        descriptor = sink

        def write(data: bytes) -> None:
            view = memoryview(data)
            while view:
                try:
                    view = view[os.write(descriptor, view) :]
                except BlockingIOError:  # somebody else made it non-blocking: wait until it takes more
                    select.select([], [descriptor], [])

        return write

    def write_flushed(data: bytes) -> None:
        sink.write(data)
        sink.flush()

    return write_flushed
