"""Key layout of the two LMDB environments. Pure.

One unnamed database in each, keys of readable words. `/` separates; neither names nor ids contain it.

Durable, on disk, flushed at every commit:

    schema                             version of the layout
    paths                              the engine's directories, a JSON object
    ctr/<id>                           ContainerConfig; the container exists exactly when this row does
    ctr-sum/<id>                       ContainerSummary, derived from the configuration
    ctr-kept/<id>                      ContainerState as it will be after a reboot
    ctr-dep/<id>/<id of a dependent>   empty; present while the dependent exists
    exit/<id>                          ExitRecord; outlives the container
    exit-gone/<id>                     empty; the container of that exit record is gone
    pod/<id>   pod-kept/<id>           PodConfig; PodState as it will be after a reboot
    pod-ctr/<id>/<container id>        empty; membership
    vol/<name>   vol-kept/<name>       VolumeConfig; VolumeState as it will be after a reboot
    vol-ctr/<name>/<container id>      empty; the container uses the volume
    name/<name>                        "ctr/<id>" or "pod/<id>": one name space
    lock/<number>/<object>             empty; a configuration names the lock; object is ctr/<id>, pod/<id>, vol/<name>

Volatile, under the runroot, in a directory named after the boot, never flushed:

    refreshed                          version of the layout; present once `refresh` has run in this boot
    ctr/<id>   pod/<id>   vol/<name>   ContainerState, PodState, VolumeState
    exec/<session id>                  ExecSession
    exec-ctr/<container id>/<session>  empty
    claim/<kind>/<key>                 owner, and the process that took it, as a JSON array
    claim-own/<owner>/<kind>/<key>     empty
    lock-held/<number>                 the process that allocated it, as a JSON array
    lock-free/<number>                 empty; below `lock-next` and given back
    lock-next                          no number from here on was handed out in this boot

Numbers are 20 decimal digits, so that they sort. LMDB keys hold 511 bytes: a component is limited to 255, as a
file name is, and two of them with 64-digit ids fit.
"""

from __future__ import annotations

from libpod.define.errors import InvalidArgumentError

MAX_COMPONENT = 255

SCHEMA = b"schema"
PATHS = b"paths"
REFRESHED = b"refreshed"
LOCK_NEXT = b"lock-next"

CTR = b"ctr/"
CTR_SUMMARY = b"ctr-sum/"
CTR_KEPT = b"ctr-kept/"
CTR_DEPENDENT = b"ctr-dep/"
EXIT = b"exit/"
EXIT_GONE = b"exit-gone/"
POD = b"pod/"
POD_KEPT = b"pod-kept/"
POD_CTR = b"pod-ctr/"
VOL = b"vol/"
VOL_KEPT = b"vol-kept/"
VOL_CTR = b"vol-ctr/"
NAME = b"name/"
LOCK = b"lock/"

EXEC = b"exec/"
EXEC_CTR = b"exec-ctr/"
CLAIM = b"claim/"
CLAIM_OWNER = b"claim-own/"
LOCK_HELD = b"lock-held/"
LOCK_FREE = b"lock-free/"


def fits(text: str) -> bool:
    """Whether *text*, which may be anything a user typed, can be a component of a key."""
    return bool(text) and "/" not in text and len(encoded(text)) <= MAX_COMPONENT


def encoded(text: str) -> bytes:
    """The bytes of a component."""
    return text.encode("utf-8", "surrogatepass")


def component(text: str) -> bytes:
    """The bytes of a name or id that is to be stored; raises InvalidArgumentError."""
    if not fits(text):
        shown = text if len(text) <= 40 else f"{text[:40]}…"
        raise InvalidArgumentError(
            f'"{shown}" cannot be a name or ID',
            resolution=f"use 1 to {MAX_COMPONENT} bytes without a slash",
        )
    return encoded(text)


def key(kind: bytes, text: str) -> bytes:
    """The key of one row."""
    return kind + component(text)


def edge(kind: bytes, source: str, target: str) -> bytes:
    """The key of an edge between two objects."""
    return kind + component(source) + b"/" + component(target)


def edges(kind: bytes, source: str) -> bytes:
    """What all edges of *source* begin with."""
    return kind + component(source) + b"/"


def number(kind: bytes, value: int) -> bytes:
    """The key of a numbered row."""
    return kind + b"%020d" % value


def lock_row(lock_id: int, holder: bytes) -> bytes:
    """The key that says a configuration names the lock; *holder* is the key of the configuration."""
    return b"%b%020d/%b" % (LOCK, lock_id, holder)


def claim(kind: str, name: str) -> bytes:
    """The key of a claim. A claim's name may hold slashes, since nothing follows it."""
    return CLAIM + component(kind) + b"/" + _tail(name)


def owned_claim(owner: str, kind: str, name: str) -> bytes:
    """The key of the same claim under its owner."""
    return CLAIM_OWNER + component(owner) + b"/" + component(kind) + b"/" + _tail(name)


def tail(row: bytes, kind: bytes) -> str:
    """What follows *kind* in a key."""
    return row[len(kind) :].decode("utf-8", "surrogatepass")


def last(row: bytes) -> str:
    """The last component of a key."""
    return row[row.rindex(b"/") + 1 :].decode("utf-8", "surrogatepass")


def _tail(text: str) -> bytes:
    data = encoded(text)
    if not data or len(data) > MAX_COMPONENT - 100:
        raise InvalidArgumentError(
            f'a claim cannot be named "{text[:40]}"', resolution=f"use 1 to {MAX_COMPONENT - 100} bytes"
        )
    return data
