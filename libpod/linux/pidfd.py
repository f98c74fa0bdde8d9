"""Processes held by identity, not by number.

A pid proves nothing: it may have been given to a stranger since it was written down. An identity is the pid together
with the start time (field 22 of ``/proc/<pid>/stat``, in clock ticks since boot). Everything that acts on a process
first opens a pidfd, then compares the start time, then uses the pidfd only: once open, a pidfd never refers to
another process.

A process that has ended and was not collected yet (a zombie) counts as dead: its pidfd polls readable. After a
reboot identities are worthless; whoever stores them stores the boot id beside them (`boot_id`).

Covers: libpod/oci_conmon_exec_linux.go (identity of exec processes), pkg/rootless pid checks
"""

from __future__ import annotations

import contextlib
import errno
import functools
import os
import select
import signal as signals
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec


class ProcessIdentity(msgspec.Struct, frozen=True):
    """A process that was seen alive once. `start_time` is 0 when it was gone before anybody could look."""

    pid: int
    start_time: int

    @classmethod
    def of(cls, pid: int) -> ProcessIdentity:
        """The identity of whoever has *pid* now."""
        return cls(pid, start_time(pid) or 0)

    def alive(self) -> bool:
        """Whether that very process still runs; a zombie does not."""
        with opened(self) as descriptor:
            return descriptor is not None and not ended(descriptor)


@functools.lru_cache(maxsize=1)
def _identity_of(pid: int) -> ProcessIdentity:
    return ProcessIdentity.of(pid)


os.register_at_fork(after_in_child=_identity_of.cache_clear)


def own_identity() -> ProcessIdentity:
    """This process."""
    return _identity_of(os.getpid())


def start_time(pid: int) -> int | None:
    """When process *pid* started, in clock ticks since boot; None when there is no such process."""
    fields = _stat(pid)
    return int(fields[19]) if fields else None


def process_state(pid: int) -> str:
    """One letter: R, S, D, T, Z, X …; empty when there is no such process."""
    fields = _stat(pid)
    return fields[0].decode() if fields else ""


def process_name(pid: int) -> str:
    """The name of a process as ps shows it, at most 15 characters; empty when there is no such process."""
    try:
        return Path(f"/proc/{pid}/comm").read_text(errors="replace").rstrip("\n")
    except (FileNotFoundError, ProcessLookupError):
        return ""


def command_line(pid: int) -> list[bytes]:
    """The words of a process and an empty one; none when it is gone, an empty one alone for a zombie."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except (FileNotFoundError, ProcessLookupError):
        return []


def read_pid(path: Path) -> int | None:
    """The number in a pid file; None when there is no file, or no number in it."""
    try:
        return int(path.read_text())
    except (FileNotFoundError, ValueError):
        return None


def _stat(pid: int) -> list[bytes]:
    """The fields of /proc/<pid>/stat from the third on."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as stream:
            text = stream.read()
    except (FileNotFoundError, ProcessLookupError):
        return []
    # The command name is in parentheses and may hold spaces and parentheses itself: count after the last one.
    return text[text.rindex(b")") + 2 :].split()


def boot_id() -> str:
    """The kernel's name for the time since the last boot."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def all_processes() -> list[ProcessIdentity]:
    """Every process that we can see now. A walk through /proc: milliseconds."""
    return [ProcessIdentity.of(int(name)) for name in os.listdir("/proc") if name.isdecimal()]


def children(identity: ProcessIdentity) -> list[ProcessIdentity]:
    """The child processes of a process now; empty when it is gone, or the kernel does not tell."""
    found = []
    for task in Path(f"/proc/{identity.pid}/task").glob("*/children"):
        try:
            found += [ProcessIdentity.of(int(word)) for word in task.read_text().split()]
        except (FileNotFoundError, ProcessLookupError):
            continue  # the thread ended
    return found if identity.alive() else []


def open_pidfd(identity: ProcessIdentity) -> int | None:
    """A pidfd of that very process (which may be a zombie), or None when it is gone. The caller closes it."""
    if identity.pid <= 0 or identity.start_time == 0:
        return None
    try:
        descriptor = os.pidfd_open(identity.pid)
    except OSError as error:
        # EINVAL, ENOENT on newer kernels: the number now belongs to a thread that leads no process.
        if error.errno in (errno.ESRCH, errno.EINVAL, errno.ENOENT):
            return None
        raise
    try:
        same = start_time(identity.pid) == identity.start_time
    except BaseException:
        os.close(descriptor)
        raise
    if not same:
        os.close(descriptor)
        return None
    return descriptor


@contextlib.contextmanager
def opened(identity: ProcessIdentity) -> Iterator[int | None]:
    """A pidfd for the duration of the block, or None when that process is gone."""
    descriptor = open_pidfd(identity)
    try:
        yield descriptor
    finally:
        if descriptor is not None:
            os.close(descriptor)


def ended(descriptor: int) -> bool:
    """Whether the process of a pidfd has ended."""
    return wait_readable([descriptor], 0) != []


def send_signal(identity: ProcessIdentity, number: int) -> bool:
    """Send a signal to that very process; False when it is gone. Signal 0 only asks."""
    with opened(identity) as descriptor:
        if descriptor is None or ended(descriptor):
            return False
        if number == 0:
            return True
        try:
            # signal.pidfd_send_signal takes any number; real-time signals have no name in the enumeration.
            signals.pidfd_send_signal(descriptor, number)
        except ProcessLookupError:
            return False
        return True


def stop_process(identity: ProcessIdentity, timeout: float = 1.0) -> bool:
    """Stop (SIGSTOP) a process and wait until it stands; False when it is gone or does not stop in time."""
    if not send_signal(identity, signals.SIGSTOP):
        return False
    deadline = time.monotonic() + timeout
    # Only a parent is told of a stop; it is a matter of microseconds.
    while identity.alive() and time.monotonic() < deadline:
        if process_state(identity.pid) in ("T", "t"):
            return True
        time.sleep(0.0002)
    return False


def wait_end(identity: ProcessIdentity, timeout: float | None = None) -> bool:
    """Wait until the process has ended; False when *timeout* seconds pass first."""
    with opened(identity) as descriptor:
        return descriptor is None or wait_readable([descriptor], timeout) != []


def wait_readable(descriptors: list[int], timeout: float | None) -> list[int]:
    """Those of *descriptors* that are readable or hung up; empty when *timeout* seconds pass first."""
    poller = select.poll()
    for descriptor in descriptors:
        poller.register(descriptor, select.POLLIN)
    deadline = None if timeout is None else time.monotonic() + timeout
    while True:
        # poll() rounds down to milliseconds: add one, so that the last round does not spin.
        left = None if deadline is None else max(0.0, deadline - time.monotonic())
        ready = poller.poll(None if left is None else (int(left * 1000) + 1 if left > 0 else 0))
        if ready:
            return [descriptor for descriptor, _ in ready]
        if deadline is not None and time.monotonic() >= deadline:
            return []
