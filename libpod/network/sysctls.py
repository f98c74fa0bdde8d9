"""Kernel switches that bridges need, in the network namespace of the calling thread.

A switch is written only when it has another value, so that a read-only ``/proc/sys`` is no obstacle where
all is well already. None is ever switched back: others may have come to rely on it.

`enable_forwarding` for IPv6 first lets interfaces go on that take their routes from router advertisements: a
host that forwards ignores those unless told otherwise (accept_ra 2), and would lose its own default route.

`prepare_bridge` sets route_localnet, which published ports need to be reachable by 127.0.0.1. It would also
let a container speak to what the host serves on loopback only; `rules` drops such packets as they come in.
"""

from __future__ import annotations

from pathlib import Path

from libpod.define.errors import NetworkError

_ROOT = Path("/proc/sys/net")


def enable_forwarding(*, ipv4: bool, ipv6: bool) -> None:
    """Let the host forward packets of the families that are wanted."""
    if ipv4:
        _set("ipv4/ip_forward", "1")
    if ipv6 and _get("ipv6/conf/all/forwarding") == "0":
        for path in _ROOT.glob("ipv6/conf/*/accept_ra"):
            if path.parent.name not in ("all", "lo") and _read(path) == "1":
                _write(path, "2")
        _set("ipv6/conf/all/forwarding", "1")


def prepare_bridge(name: str, *, reachable: bool) -> None:
    """The bridge *name*: no addresses from advertisements; with *reachable*, packets from 127.0.0.0/8 may
    pass."""
    _set(f"ipv6/conf/{name}/accept_ra", "0", missing_ok=True)
    if reachable:
        _set(f"ipv4/conf/{name}/route_localnet", "1")


def prepare_interface(name: str, *, ipv6: bool) -> None:
    """An interface inside a container, before it is up: announce itself, take nothing from advertisements."""
    _set(f"ipv4/conf/{name}/arp_notify", "1")
    if ipv6:
        _set(f"ipv6/conf/{name}/accept_ra", "0", missing_ok=True)
        _set(f"ipv6/conf/{name}/ndisc_notify", "1", missing_ok=True)
        _set("ipv6/conf/all/disable_ipv6", "0", missing_ok=True)
        _set(f"ipv6/conf/{name}/disable_ipv6", "0", missing_ok=True)


def has_ipv6() -> bool:
    """Whether the kernel has IPv6 at all."""
    return (_ROOT / "ipv6").is_dir()


def _set(name: str, value: str, *, missing_ok: bool = False) -> None:
    path = _ROOT / name
    try:
        present = _read(path)
    except FileNotFoundError as error:
        if missing_ok:
            return
        raise NetworkError(f"this kernel has no switch {path}") from error
    if present != value:
        _write(path, value)


def _get(name: str) -> str:
    try:
        return _read(_ROOT / name)
    except FileNotFoundError:
        return ""


def _read(path: Path) -> str:
    return path.read_text().strip()


def _write(path: Path, value: str) -> None:
    try:
        path.write_text(value)
    except FileNotFoundError:
        return  # the interface went away
    except OSError as error:
        raise NetworkError(
            f"{path} cannot be set to {value} ({error.strerror})", resolution="set it before, as root"
        ) from error
