"""Network namespaces that outlive the process that made them.

A namespace is kept alive by a bind mount of ``/proc/<thread>/ns/net`` onto an empty file; the file's path is
its name. Only a short-lived thread ever moves: it is made for the purpose, leaves the host's namespace, does
its work and ends, so that no other code of the process can find itself on a foreign network. (A network
namespace belongs to a thread, not to a process; a thread is cheaper than a fork, and safe beside others.)

What a kill leaves: between making the file and mounting on it, an empty file; the namespace itself dies with
the thread. `create_network_namespace` takes such a file over, `delete_network_namespace` removes it. After
the mount the namespace is complete, with its loopback device up.

Trap: inside `run_in_netns`, ``/proc/net`` still shows the main thread's network (it is ``/proc/self/net``);
use ``/proc/thread-self/net``. ``/proc/sys/net`` and new sockets follow the thread, and so do child processes
that it starts.

Covers: the namespace half of networking_linux.go, containernetworking/plugins/pkg/ns
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import os
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")

CLONE_NEWNET = 0x40000000
_MS_BIND = 0x1000
_MNT_DETACH = 2
_SIOCSIFFLAGS = 0x8914
_NS_GET_NSTYPE = 0xB703
_IFF_UP_RUNNING = 0x1 | 0x40
_THREAD_NAMESPACE = "/proc/thread-self/ns/net"

_libc = ctypes.CDLL(None, use_errno=True)
_libc.unshare.argtypes = (ctypes.c_int,)
_libc.setns.argtypes = (ctypes.c_int, ctypes.c_int)
_libc.mount.argtypes = (ctypes.c_char_p, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_ulong, ctypes.c_void_p)
_libc.umount2.argtypes = (ctypes.c_char_p, ctypes.c_int)


def create_network_namespace(path: Path) -> int:
    """Make a network namespace with loopback up, keep it at *path*, and return its inode.

    Directories above *path* are made. Raises FileExistsError when a namespace is kept there already; an empty
    file that a killed process left is used. On any error nothing stays.
    """
    if is_network_namespace(path):
        raise FileExistsError(errno.EEXIST, "a network namespace is kept there already", str(path))
    _touch(path)

    def build() -> int:
        _check(_libc.unshare(CLONE_NEWNET), "unshare")
        set_loopback_up()
        _check(_libc.mount(_THREAD_NAMESPACE.encode(), os.fsencode(path), b"none", _MS_BIND, None), str(path))
        return os.stat(_THREAD_NAMESPACE).st_ino

    try:
        return run_in_thread(build)
    except BaseException:
        delete_network_namespace(path)
        raise


def keep_network_namespace(source: Path, path: Path) -> int:
    """Keep a namespace that exists (``/proc/<pid>/ns/net``) at *path* as well; returns its inode."""
    if is_network_namespace(path):
        raise FileExistsError(errno.EEXIST, "a network namespace is kept there already", str(path))
    with opened_namespace(source) as descriptor:
        _touch(path)
        try:
            link = f"/proc/self/fd/{descriptor}".encode()
            _check(_libc.mount(link, os.fsencode(path), b"none", _MS_BIND, None), str(path))
        except BaseException:
            delete_network_namespace(path)
            raise
        return os.fstat(descriptor).st_ino


def delete_network_namespace(path: Path) -> bool:
    """Stop keeping the namespace at *path* and remove the file; whether there was anything to do.

    The namespace ends with its last process and open descriptor. Doing it twice is fine.
    """
    target = os.fsencode(path)
    while _libc.umount2(target, _MNT_DETACH) == 0:
        pass  # a namespace that was kept twice by a crash between mount and record has two mounts here
    if ctypes.get_errno() not in (errno.EINVAL, errno.ENOENT, errno.ENOTDIR):
        _check(-1, str(path))
    try:
        os.unlink(path)
    except FileNotFoundError:
        return False
    return True


def is_network_namespace(path: Path) -> bool:
    """Whether a network namespace can be entered through *path*."""
    try:
        with opened_namespace(path):
            return True
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        if error.errno == errno.ENOTTY:
            return False
        raise


def namespace_inode(namespace: Path | int) -> int:
    """The number the kernel knows a namespace by: equal numbers are the same namespace, until it ends.

    It is the number in ``net:[…]`` and the one CRIU wants for an external namespace.
    """
    return os.fstat(namespace).st_ino if isinstance(namespace, int) else os.stat(namespace).st_ino


@contextlib.contextmanager
def opened_namespace(path: Path) -> Iterator[int]:
    """A descriptor of the network namespace at *path*; OSError ENOTTY when it is something else."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        if fcntl.ioctl(descriptor, _NS_GET_NSTYPE) != CLONE_NEWNET:
            raise OSError(errno.ENOTTY, "not a network namespace", str(path))
        yield descriptor
    except OSError as error:
        if error.errno == errno.ENOTTY and error.filename is None:
            raise OSError(errno.ENOTTY, "not a network namespace", str(path)) from error
        raise
    finally:
        os.close(descriptor)


def run_in_netns(namespace: Path | int, function: Callable[[], T]) -> T:
    """Call *function* in a thread that has joined *namespace*; the caller's thread never moves.

    Its value or exception is the caller's. Sockets that it made stay in the namespace wherever they are used.
    """
    if isinstance(namespace, int):
        descriptor = namespace

        def inside() -> T:
            _check(_libc.setns(descriptor, CLONE_NEWNET), f"namespace descriptor {descriptor}")
            return function()

        return run_in_thread(inside)
    with opened_namespace(namespace) as opened:
        return run_in_netns(opened, function)


def run_in_thread(function: Callable[[], T]) -> T:
    """Call *function* in a thread of its own that is never used again; its value or exception is the caller's.

    The thread starts in the network namespace of the caller. It is also the way to use what must not run beside
    an event loop of the caller's thread.
    """
    results: list[T] = []
    errors: list[BaseException] = []

    def body() -> None:
        try:
            results.append(function())
        except BaseException as error:  # noqa: BLE001 - raised again in the caller's thread
            errors.append(error)

    thread = threading.Thread(target=body, name="libpod-netns")
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
    return results[0]


def set_loopback_up() -> None:
    """Bring up the loopback device of the calling thread's network namespace."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as control:
        fcntl.ioctl(control, _SIOCSIFFLAGS, struct.pack("16sh22x", b"lo", _IFF_UP_RUNNING))


def _touch(path: Path) -> None:
    flags = os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
    try:
        os.close(os.open(path, flags, 0o444))
    except FileNotFoundError:
        path.parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(path, flags, 0o444))


def _check(result: int, subject: str) -> None:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), subject)
