"""Which object a user means by a word. Pure: the store answers three questions, the rule is here.

An exact full id of the wanted kind wins, then an exact name, then a unique prefix of an id of the wanted kind. Names
never match by prefix, except those of volumes, which have nothing else. A hit of the other kind is no hit, but the
error says so.

Covers: the look-ups of libpod/boltdb_state.go and sqlite_state.go
"""

from __future__ import annotations

from typing import Protocol

from libpod.define.errors import (
    AmbiguousNameError,
    InvalidArgumentError,
    NoSuchContainerError,
    NoSuchPodError,
)

SHOWN = 5
"""How many of the ids that share a prefix an error names."""

CONTAINER, POD = "container", "pod"
_ERRORS = {CONTAINER: NoSuchContainerError, POD: NoSuchPodError}
_OTHER = {CONTAINER: POD, POD: CONTAINER}


class Index(Protocol):
    """What a store must be able to say. Words may be anything a user typed."""

    def has_id(self, kind: str, word: str) -> bool:
        """Whether *word* is the id of an object of *kind*."""
        ...

    def named(self, word: str) -> tuple[str, str] | None:
        """Kind and id of the object with the name *word*."""
        ...

    def with_prefix(self, kind: str, word: str) -> list[str]:
        """The first SHOWN ids of *kind* that begin with *word*, in order."""
        ...


def resolve(index: Index, kind: str, word: str) -> str:
    """The id of the object of *kind* that *word* means; AmbiguousNameError, NotFoundError, InvalidArgumentError."""
    if not word:
        raise InvalidArgumentError(
            f"the name or ID of a {kind} is empty", resolution="give at least one character"
        )
    if index.has_id(kind, word):
        return word
    named = index.named(word)
    if named is not None and named[0] == kind:
        return named[1]
    matches = index.with_prefix(kind, word)
    if len(matches) > 1:
        raise AmbiguousNameError(kind, word, matches)
    if matches:
        return matches[0]
    other = _OTHER[kind]
    if named is not None or index.has_id(other, word) or index.with_prefix(other, word):
        raise _ERRORS[kind](
            word,
            message=f'no {kind} with name or ID "{word}" found: it is a {other}',
            resolution=f"use the operation for {other}s",
        )
    raise _ERRORS[kind](word)
