"""Keeping connections alive while their container is frozen: packets are dropped instead of refused.

A packet for a TCP connection whose socket is not there is answered with a reset, and the connection is
lost. That threatens at two moments of a checkpoint with ``tcp_established``:

    on the host    between the end of the container's network and its return, a packet to a published port would
                   find nobody but the host itself                          → `Holds.hold` … `Holds.release`
    inside         between the address set-up and the restore of the sockets → `hold_namespace` … `release_namespace`

Order for a checkpoint that stops: dump, `hold`, tear-down. For a restore: make the namespace,
`hold_namespace`, set-up, `release` (here the hold of the host is no longer needed), restore,
`release_namespace`. A peer sees packet loss and retransmits.

Dropped before the kernel follows connections: one that it first saw while nothing is published would go
to the host itself for ever. (What comes from outside is dropped on its way in, and is not remembered.)

Never left blocked: every hold has an end that the *kernel* keeps, as a timeout of the set element; a kill
of ours can only leave an empty table behind, which `Holds.tidy` removes (inside a namespace it goes with
the namespace). Only TCP, UDP and SCTP are dropped, so that neighbours go on finding the address by ARP and
ICMPv6.

Covers: nothing of the original, which loses such connections; CRIU's network lock does the same for the
dump itself
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec

from libpod.define.errors import CommandError, NetworkError
from libpod.linux.namespaces import run_in_netns
from libpod.linux.nft import run_nft
from libpod.model.container_config import PortMapping
from libpod.network.ports import expand

NAMESPACE_TABLE = "libpod_hold"
NAMESPACE_SECONDS = 120
HOST_SECONDS = 300

_PROTOCOLS = "meta l4proto { tcp, udp, sctp }"
_DECODER = msgspec.json.Decoder()
_SETS = ("ports", "addresses4", "addresses6")


def hold_namespace(namespace: Path, *, seconds: int = NAMESPACE_SECONDS) -> None:
    """Drop what comes and goes in *namespace*, loopback excepted, for at most *seconds*; again is an
    extension."""
    table = NAMESPACE_TABLE
    script = f"""
add table inet {table}
add set inet {table} held {{ type nf_proto; flags timeout; }}
flush set inet {table} held
add chain inet {table} coming {{ type filter hook prerouting priority -400; policy accept; }}
add chain inet {table} going {{ type filter hook output priority -400; policy accept; }}
flush chain inet {table} coming
flush chain inet {table} going
add rule inet {table} coming iifname != "lo" {_PROTOCOLS} meta nfproto @held drop
add rule inet {table} going oifname != "lo" {_PROTOCOLS} meta nfproto @held drop
add element inet {table} held {{ ipv4 timeout {seconds}s, ipv6 timeout {seconds}s }}
"""
    _inside(namespace, script, "hold the connections")


def release_namespace(namespace: Path) -> None:
    """End `hold_namespace`; no hold, or no namespace any more, is fine."""
    table = NAMESPACE_TABLE
    try:
        _inside(namespace, f"add table inet {table}\ndelete table inet {table}\n", "release the connections")
    except FileNotFoundError:
        return


class Holds:
    """What is held on the host, for one installation (`owner`)."""

    def __init__(self, owner: str) -> None:
        self.table = f"libpod_{owner}_hold"

    def hold(
        self,
        container_id: str,
        *,
        addresses: Iterable[str] = (),
        ports: Iterable[PortMapping] = (),
        seconds: int = HOST_SECONDS,
    ) -> None:
        """Drop packets to the container's *addresses* and published *ports* for at most *seconds*."""
        tail = f'timeout {seconds}s comment "{container_id}"'
        script = [_skeleton(self.table)]
        for address in addresses:
            name = "addresses6" if ":" in address else "addresses4"
            script += self._replace(name, address, tail)
        for mapping in ports:
            for port, _ in expand(mapping):
                script += self._replace("ports", f"{mapping.protocol} . {port}", tail)
        _run("".join(script), "hold the connections of a container")

    def release(self, container_id: str) -> None:
        """End the hold of one container; the table goes with the last."""
        held = self._held()
        mine = [(name, key) for name, key, owner in held if owner == container_id]
        if len(mine) == len(held):
            self._remove()
        elif mine:
            script = "".join(f"delete element inet {self.table} {name} {{ {key} }}\n" for name, key in mine)
            _run(script, "release the connections of a container")

    def tidy(self) -> None:
        """Remove the table when all holds have ended by themselves."""
        if not self._held():
            self._remove()

    def held(self) -> set[str]:
        """The containers that are held now."""
        return {owner for _, _, owner in self._held()}

    def _replace(self, name: str, key: str, tail: str) -> list[str]:
        # Adding an element that exists would keep its old end.
        return [
            f"add element inet {self.table} {name} {{ {key} }}\n",
            f"delete element inet {self.table} {name} {{ {key} }}\n",
            f"add element inet {self.table} {name} {{ {key} {tail} }}\n",
        ]

    def _held(self) -> list[tuple[str, str, str]]:
        return [(name, *_key_of(raw)) for name in _SETS for raw in self._listed(name)]

    def _listed(self, name: str) -> list[Any]:
        try:
            text = run_nft(f"list set inet {self.table} {name}\n", json=True)
        except CommandError as error:
            if "No such file or directory" in error.stderr:
                return []
            raise _failure("list what is held", error) from error
        return next(
            (item["set"].get("elem", []) for item in _DECODER.decode(text)["nftables"] if "set" in item), []
        )

    def _remove(self) -> None:
        if f"table inet {self.table}\n" in _run("list tables inet\n", "list the tables") + "\n":
            _run(f"add table inet {self.table}\ndelete table inet {self.table}\n", "release all connections")


def _skeleton(table: str) -> str:
    return f"""
add table inet {table}
add set inet {table} ports {{ type inet_proto . inet_service; flags timeout; }}
add set inet {table} addresses4 {{ type ipv4_addr; flags timeout; }}
add set inet {table} addresses6 {{ type ipv6_addr; flags timeout; }}
add chain inet {table} input {{ type filter hook input priority -400; policy accept; }}
add chain inet {table} forward {{ type filter hook forward priority -400; policy accept; }}
add chain inet {table} output {{ type filter hook output priority -400; policy accept; }}
flush chain inet {table} input
flush chain inet {table} forward
flush chain inet {table} output
add rule inet {table} input meta l4proto . th dport @ports drop
add rule inet {table} output oifname "lo" meta l4proto . th dport @ports drop
add rule inet {table} forward {_PROTOCOLS} ip daddr @addresses4 drop
add rule inet {table} forward {_PROTOCOLS} ip6 daddr @addresses6 drop
add rule inet {table} output {_PROTOCOLS} ip daddr @addresses4 drop
add rule inet {table} output {_PROTOCOLS} ip6 daddr @addresses6 drop
"""


def _key_of(raw: Any) -> tuple[str, str]:
    element = raw["elem"]
    value = element["val"]
    key = " . ".join(str(word) for word in value["concat"]) if isinstance(value, dict) else str(value)
    return key, str(element.get("comment", ""))


def _inside(namespace: Path, script: str, purpose: str) -> None:
    try:
        run_in_netns(namespace, lambda: _run(script, purpose))
    except FileNotFoundError:
        raise
    except OSError as error:
        raise NetworkError(f"cannot {purpose} in {namespace} ({error.strerror})") from error


def _run(script: str, purpose: str) -> str:
    try:
        return run_nft(script)
    except CommandError as error:
        raise _failure(purpose, error) from error


def _failure(purpose: str, error: CommandError) -> NetworkError:
    return NetworkError(
        f"nft could not {purpose} ({error.stderr.strip().splitlines()[-1]})", details=error.details
    )
