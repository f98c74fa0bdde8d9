"""Names for containers and pods that were given none: an adjective and a thing that holds or carries.

Covers: libpod/runtime.go (generateName)
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")

_ADJECTIVES = (
    "amber", "brave", "brisk", "calm", "clever", "cosy", "crisp", "daring", "eager", "early", "fair", "fleet", "fond",
    "frosty", "gentle", "glad", "golden", "happy", "hardy", "honest", "humble", "jolly", "keen", "kind", "lively",
    "lucid", "lucky", "mellow", "merry", "mighty", "misty", "modest", "neat", "nimble", "noble", "patient", "plucky",
    "polite", "proud", "quick", "quiet", "rapid", "ready", "rosy", "sable", "serene", "sharp", "silent", "silver",
    "sleek", "smart", "snug", "solid", "spry", "steady", "sturdy", "sunny", "swift", "tidy", "tranquil", "upbeat",
    "vivid", "warm", "wise", "witty", "zesty",
)  # fmt: skip
_THINGS = (
    "anchor", "ark", "barge", "barrel", "basket", "beaker", "boat", "bottle", "bowl", "box", "brig", "bucket", "buoy",
    "cabin", "canoe", "canister", "capsule", "caravan", "carafe", "cart", "casket", "chest", "clipper", "coffer",
    "crate", "cup", "cutter", "dinghy", "drum", "ferry", "flask", "frigate", "galleon", "goblet", "hamper", "hatbox",
    "jar", "jug", "kayak", "keg", "ketch", "kettle", "ladle", "locker", "lugger", "mug", "packet", "pail", "pitcher",
    "pod", "pouch", "punt", "raft", "sack", "satchel", "schooner", "shell", "skiff", "sledge", "sloop", "tank",
    "teapot", "trawler", "trunk", "tub", "urn", "vase", "vessel", "wagon", "wherry", "yawl",
)  # fmt: skip


def _any_of(words: Sequence[T]) -> T:
    # The kernel's bytes: `secrets` takes ten milliseconds to load, and `random` gives two forks the same names.
    return words[int.from_bytes(os.urandom(4), "big") % len(words)]


def random_name() -> str:
    """For example "swift_teapot"; whether it is free is for the caller to find out."""
    return f"{_any_of(_ADJECTIVES)}_{_any_of(_THINGS)}{_any_of(range(100))}"
