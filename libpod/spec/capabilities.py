"""Which capabilities a container's process gets.

Names are accepted in every spelling (`net_admin`, `CAP_NET_ADMIN`, `ALL`) and come out as the specification's, sorted.
What we cannot hand on, because it is not in our own bounding set, is left out silently: podman does the same, and a
runtime that is asked for it fails.

Covers: pkg/capabilities of the common library, pkg/specgen/generate/security_linux.go (capabilities)
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Literal

from libpod.define.errors import InvalidArgumentError
from libpod.linux.capabilities import NAMES

if TYPE_CHECKING:
    from libpod.spec.document_parts import Capabilities

ALL = "ALL"
SETS: tuple[Literal["bounding", "effective", "inheritable", "permitted", "ambient"], ...] = (
    "bounding",
    "effective",
    "inheritable",
    "permitted",
    "ambient",
)
_KNOWN = frozenset(NAMES)


def normalized(names: Iterable[str]) -> list[str]:
    """The names as the specification writes them, ALL as such; raises InvalidArgumentError for an unknown one."""
    found = []
    for text in names:
        word = text.strip().upper()
        if word == ALL:
            found.append(ALL)
            continue
        name = word if word.startswith("CAP_") else f"CAP_{word}"
        if name not in _KNOWN:
            raise InvalidArgumentError(f'"{text}" is not a capability')
        found.append(name)
    return found


def merged(base: Iterable[str], add: Sequence[str], drop: Sequence[str]) -> list[str]:
    """*base* with *add* and without *drop*, sorted; raises InvalidArgumentError when both name the same."""
    adding, dropping = normalized(add), normalized(drop)
    both = set(adding) & set(dropping)
    if both:
        raise InvalidArgumentError(f"{' and '.join(sorted(both))} cannot be both added and dropped")
    if ALL in dropping:
        return sorted(set(adding))
    start = set(NAMES) if ALL in adding else set(normalized(base)) | set(adding)
    return sorted(start - set(dropping))


def capability_sets(
    names: Sequence[str], *, root: bool, added: Sequence[str], allowed: frozenset[str]
) -> Capabilities:
    """The sets of a process that may have *names*.

    Root has them all in effect. Another user has in effect, as ambient ones, only those that were *added* on purpose:
    the others merely bound what a set-uid program can gain. Inheritable stays empty for root, as the kernel has it.
    """
    bounding = [name for name in names if name in allowed]
    if root:
        return {"bounding": bounding, "effective": list(bounding), "permitted": list(bounding)}
    own = [name for name in merged((), added, ()) if name in allowed]
    sets: Capabilities = {"bounding": bounding}
    if own:
        sets["effective"], sets["inheritable"] = list(own), list(own)
        sets["permitted"], sets["ambient"] = list(own), list(own)
    return sets


def limited(sets: Capabilities, allowed: frozenset[str]) -> Capabilities:
    """The same sets without what is not *allowed*; sets that become empty are left out."""
    result: Capabilities = {}
    for key in SETS:
        kept = [name for name in sets.get(key) or () if name in allowed]
        if kept:
            result[key] = kept
    return result


def is_root(user: str) -> bool:
    """Whether the text of a user means uid 0 as far as can be told without the container's passwd file."""
    name = user.partition(":")[0]
    return name in ("", "root", "0")
