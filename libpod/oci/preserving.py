"""Descriptors of ours that a container gets under the numbers 3, 4, ….

The runtimes take "the N descriptors from 3 on" out of what conmon inherited, so that conmon must be started with
exactly those numbers. Python's subprocess keeps numbers and renumbers nothing; a fork of our own would not be safe
among threads. So a Python of one line is started first, which moves the descriptors and becomes conmon. It costs its
start-up (some 15 ms), and only when descriptors are preserved.

Covers: oci_conmon_common.go (the PreserveFDs part of createOCIContainer), oci_conmon_exec_common.go
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
import sys
from collections.abc import Sequence

import msgspec

from libpod.define.errors import InvalidArgumentError, NotSupportedError

_FIRST = 3
_MOVE = (
    "import os,sys\n"
    "for pair in sys.argv[1].split():\n"
    "    source,target=map(int,pair.split(':'))\n"
    "    os.dup2(source,target)\n"
    "    os.close(source)\n"
    "os.execv(sys.argv[2],sys.argv[2:])\n"
)
_PYTHON = ["-I", "-S", "-c", _MOVE]


class Preserved(msgspec.Struct, frozen=True):
    """How to start a program so that it finds the descriptors in their places."""

    argv: list[str]
    pass_fds: tuple[int, ...]


def preserving(argv: list[str], descriptors: Sequence[int], stack: contextlib.ExitStack) -> Preserved:
    """*argv* so that it starts with *descriptors* as 3, 4, …; copies made for that live as long as *stack*."""
    if not descriptors:
        return Preserved(argv, ())
    if not sys.executable:
        raise NotSupportedError(
            "descriptors cannot be preserved: this program does not know its Python interpreter",
            resolution="set sys.executable",
        )
    moved = []
    for descriptor in descriptors:
        try:
            moved.append(fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, _above(len(descriptors))))
        except OSError as error:
            raise InvalidArgumentError(
                f"descriptor {descriptor} cannot be preserved: {error.strerror}"
            ) from error
        stack.callback(os.close, moved[-1])
    pairs = " ".join(f"{source}:{_FIRST + place}" for place, source in enumerate(moved))
    return Preserved([sys.executable, *_PYTHON, pairs, *argv], tuple(moved))


def command_of(argv: list[bytes]) -> list[bytes]:
    """The command line that a process has, or will have once its descriptors are in their places."""
    skipped = 1 + len(_PYTHON) + 1
    return argv[skipped:] if argv[1 : skipped - 1] == [word.encode() for word in _PYTHON] else argv


def out_of_the_way(channel: socket.socket, descriptors: Sequence[int]) -> socket.socket:
    """*channel* under a number that no preserved descriptor needs; itself when none is preserved."""
    if not descriptors:
        return channel
    with channel:
        number = fcntl.fcntl(channel.fileno(), fcntl.F_DUPFD_CLOEXEC, _above(len(descriptors)))
        return socket.socket(fileno=number)


def _above(count: int) -> int:
    return _FIRST + count
