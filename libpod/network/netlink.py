"""The route socket of the kernel, with the message classes of pyroute2 and nothing else of it.

`import pyroute2` loads all protocols, an event loop and a database, which takes longer than a whole start of a
container. The classes that lay out messages are a tenth of that; `_load` gets them past the package's front door. The
door is left ajar: whoever uses pyroute2 later in this process finds all of it, loaded at the first name asked for.

A request is answered before the next one is sent. The socket belongs to the network namespace of the thread that made
it, wherever it is used. A refusal of the kernel is an OSError with the reason that the kernel gave in words, if any.

Covers: netavark src/network/netlink.rs
"""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.util
import os
import socket
import struct
import sys
import threading
import types
from types import TracebackType
from typing import Any

NEWLINK, DELLINK, SETLINK = 16, 17, 19
NEWADDR = 20
NEWROUTE = 24
AF_BRIDGE = 7
IFF_UP = 1

_REQUEST, _ACK = 0x1, 0x4
_REPLACE, _EXCL, _CREATE = 0x100, 0x200, 0x400
MAKE = _CREATE | _EXCL
REPLACE = _CREATE | _REPLACE

_SOL_NETLINK, _NETLINK_CAP_ACK, _NETLINK_EXT_ACK = 270, 10, 11
_ERROR, _TLVS = 2, 0x200
_HEADER = struct.Struct("=IHHII")
_CODE = struct.Struct("=i")
_ATTRIBUTE = struct.Struct("=HH")
_MESSAGE = 1
_LOCK = threading.RLock()


class RouteSocket:
    """A context manager; not for two threads at once."""

    def __enter__(self) -> RouteSocket:
        kind = socket.SOCK_RAW | socket.SOCK_CLOEXEC
        self._socket = socket.socket(socket.AF_NETLINK, kind, socket.NETLINK_ROUTE)
        self._socket.setsockopt(_SOL_NETLINK, _NETLINK_CAP_ACK, 1)
        self._socket.setsockopt(_SOL_NETLINK, _NETLINK_EXT_ACK, 1)
        self._socket.bind((0, 0))
        self._number = 0
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()

    def change(self, kind: int, message: Any, *, flags: int = 0) -> None:
        """Send one message and wait for its acknowledgement; OSError when the kernel refuses it."""
        self._number += 1
        message["header"]["type"] = kind
        message["header"]["flags"] = _REQUEST | _ACK | flags
        message["header"]["sequence_number"] = self._number
        message["header"]["pid"] = 0
        message.encode()
        self._socket.send(bytes(message.data))
        while True:
            data = self._socket.recv(1 << 16)
            _, answer, marks, number, _ = _HEADER.unpack_from(data)
            if number == self._number and answer == _ERROR:
                break
        code = -_CODE.unpack_from(data, _HEADER.size)[0]
        if code:
            reason = _reason(data) if marks & _TLVS else ""
            raise OSError(code, f"{os.strerror(code)}: {reason}" if reason else os.strerror(code))


def link_message(**fields: Any) -> Any:
    """An empty message about an interface; *fields* are those of its fixed part: index, family, flags, change."""
    return _made("ifinfmsg", fields)


def address_message(**fields: Any) -> Any:
    """An empty message about an address: index, family, prefixlen."""
    return _made("ifaddrmsg", fields)


def route_message(**fields: Any) -> Any:
    """An empty message about a route: family, dst_len, table, proto, scope, type."""
    return _made("rtmsg", fields)


def _made(name: str, fields: dict[str, Any]) -> Any:
    message = getattr(_load(name), name)()
    for key, value in fields.items():
        message[key] = value
    message["attrs"] = []
    return message


def _reason(data: bytes) -> str:
    """What the kernel says about its refusal: an attribute behind the code and the header of the request."""
    offset = _HEADER.size + _CODE.size + _HEADER.size
    while offset + _ATTRIBUTE.size <= len(data):
        length, kind = _ATTRIBUTE.unpack_from(data, offset)
        if kind == _MESSAGE:
            return data[offset + _ATTRIBUTE.size : offset + length].rstrip(b"\0").decode(errors="replace")
        offset += max((length + 3) & ~3, _ATTRIBUTE.size)
    return ""


# ---- pyroute2 without its front door ------------------------------------------------------------------------------


def _load(name: str) -> types.ModuleType:
    """One of the modules with the classes of route messages."""
    full = f"pyroute2.netlink.rtnl.{name}"
    found = sys.modules.get(full)
    if found is not None and name in vars(found):
        return found
    with _LOCK:
        if "pyroute2" not in sys.modules:
            spec = importlib.util.find_spec("pyroute2")
            assert spec is not None, "pyroute2 is one of our dependencies"
            package = _Door("pyroute2")
            package.__spec__, package.__loader__ = spec, spec.loader
            package.__file__, package.__package__ = spec.origin, "pyroute2"
            sys.modules["pyroute2"] = package
        _inside.loading = True
        try:
            return importlib.import_module(full)
        finally:
            _inside.loading = False


class _Door(types.ModuleType):
    """The package before anybody asked for a name of it, or for another of its modules (which need `__path__`)."""

    def __getattr__(self, name: str) -> Any:
        assert self.__spec__ is not None
        places = list(self.__spec__.submodule_search_locations or ())
        if getattr(_inside, "loading", False):
            if name == "__path__":
                return places
            raise _without(name)
        if name.startswith("__") and name not in ("__all__", "__path__", "__version__"):
            raise _without(name)
        with _LOCK:
            if type(self) is _Door:
                loader = self.__loader__
                assert isinstance(loader, importlib.abc.Loader)
                object.__setattr__(self, "__class__", types.ModuleType)
                self.__path__ = places
                loader.exec_module(self)
        return getattr(self, name)


def _without(name: str) -> AttributeError:
    return AttributeError(f"module 'pyroute2' has no attribute {name!r}")


_inside = threading.local()
