"""Pods and volumes as rows. The functions take open transactions and do not commit; see lmdb_containers."""

from __future__ import annotations

from itertools import islice

from libpod.define.errors import (
    AmbiguousNameError,
    ContainerInUseError,
    InUseError,
    InvalidArgumentError,
    NoSuchPodError,
    NoSuchVolumeError,
    VolumeExistsError,
    VolumeInUseError,
)
from libpod.model import codec
from libpod.model.pod import PodConfig, PodState
from libpod.model.volume import VolumeConfig, VolumeState
from libpod.state import keys, lmdb_containers, lookup, refusals, survival
from libpod.state.lmdb_environment import Transaction
from libpod.state.lmdb_rows import exists, required, some_tails, tails, under

# ---- pods -------------------------------------------------------------------------------------------------------


def pod_kept(durable: Transaction, pod_id: str) -> bytes:
    """The kept state of a pod that must exist."""
    return required(durable, keys.POD_KEPT, pod_id, NoSuchPodError)


def pod_config(durable: Transaction, pod_id: str) -> PodConfig:
    """The configuration of a pod that must exist."""
    return codec.POD_CONFIG.decode(required(durable, keys.POD, pod_id, NoSuchPodError))


def add_pod(durable: Transaction, config: PodConfig, state: PodState) -> None:
    """Write the durable half of a pod without members."""
    lmdb_containers.check_free(durable, lookup.POD, config.id, config.name)
    own = keys.component(config.id)
    for row, value in derived_pod(config):
        durable.put(row, value)
    durable.put(keys.POD_KEPT + own, codec.POD_STATE.encode(survival.kept_pod(state)))
    durable.put(keys.POD + own, codec.POD_CONFIG.encode(config))


def derived_pod(config: PodConfig) -> list[tuple[bytes, bytes]]:
    """The rows that follow from a pod's configuration; the name's value is the key of the configuration."""
    own = keys.key(keys.POD, config.id)
    return [(keys.key(keys.NAME, config.name), own), (keys.lock_row(config.lock_id, own), b"")]


def rewrite_pod(durable: Transaction, config: PodConfig) -> None:
    """Replace the configuration of a pod."""
    present = pod_config(durable, config.id)
    if present.name != config.name:
        owner = lmdb_containers.owner_of_name(durable, config.name)
        if owner is not None:
            raise refusals.taken(lookup.POD, config.name, owner)
    own = keys.key(keys.POD, config.id)
    for row, _ in derived_pod(present):
        durable.delete(row)
    for row, value in derived_pod(config):
        durable.put(row, value)
    durable.put(own, codec.POD_CONFIG.encode(config))


def remove_pod(durable: Transaction, pod_id: str) -> None:
    """Remove the durable half of a pod without members."""
    present = pod_config(durable, pod_id)
    members = pod_members(durable, pod_id)
    if members:
        raise InUseError("pod", present.name, members, resolution="remove its containers first")
    own = keys.component(pod_id)
    for row, _ in derived_pod(present):
        durable.delete(row)
    durable.delete(keys.POD_KEPT + own)
    durable.delete(keys.POD + own)


def pod_members(durable: Transaction, pod_id: str) -> list[str]:
    """Ids of the containers in a pod that must exist."""
    pod_kept(durable, pod_id)
    return tails(durable, keys.edges(keys.POD_CTR, pod_id))


def remove_pod_members(durable: Transaction, pod_id: str) -> list[str]:
    """Remove the durable half of all members; says which they were."""
    members = pod_members(durable, pod_id)
    inside = frozenset(members)
    configs = [lmdb_containers.config(durable, member) for member in members]
    for config in configs:
        strangers = [user for user in lmdb_containers.dependents(durable, config.id) if user not in inside]
        if strangers:
            raise ContainerInUseError(config.name, strangers)
    for config in configs:
        lmdb_containers.drop(durable, config)
    return members


# ---- volumes ----------------------------------------------------------------------------------------------------


def volume_kept(durable: Transaction, name: str) -> bytes:
    """The kept state of a volume that must exist."""
    return required(durable, keys.VOL_KEPT, name, NoSuchVolumeError)


def volume_config(durable: Transaction, name: str) -> VolumeConfig:
    """The configuration of a volume that must exist."""
    return codec.VOLUME_CONFIG.decode(required(durable, keys.VOL, name, NoSuchVolumeError))


def add_volume(durable: Transaction, config: VolumeConfig, state: VolumeState) -> None:
    """Write the durable half of a volume."""
    own = keys.component(config.name)
    if exists(durable, keys.VOL_KEPT + own):
        raise VolumeExistsError(config.name)
    durable.put(keys.lock_row(config.lock_id, keys.VOL + own), b"")
    durable.put(keys.VOL_KEPT + own, codec.VOLUME_STATE.encode(survival.kept_volume(state)))
    durable.put(keys.VOL + own, codec.VOLUME_CONFIG.encode(config))


def rewrite_volume(durable: Transaction, config: VolumeConfig) -> None:
    """Replace the configuration of a volume."""
    own = keys.key(keys.VOL, config.name)
    durable.delete(keys.lock_row(volume_config(durable, config.name).lock_id, own))
    durable.put(keys.lock_row(config.lock_id, own), b"")
    durable.put(own, codec.VOLUME_CONFIG.encode(config))


def remove_volume(durable: Transaction, name: str) -> None:
    """Remove the durable half of a volume that nobody uses."""
    present = volume_config(durable, name)
    users = volume_users(durable, name)
    if users:
        raise VolumeInUseError(name, users)
    own = keys.component(name)
    durable.delete(keys.lock_row(present.lock_id, keys.VOL + own))
    durable.delete(keys.VOL_KEPT + own)
    durable.delete(keys.VOL + own)


def volume_users(durable: Transaction, name: str) -> list[str]:
    """Ids of the containers that use a volume that must exist."""
    volume_kept(durable, name)
    return tails(durable, keys.edges(keys.VOL_CTR, name))


def lookup_volume(durable: Transaction, word: str) -> str:
    """The volume that *word* means."""
    if not word:
        raise InvalidArgumentError("the name of a volume is empty", resolution="give at least one character")
    if not keys.fits(word):
        raise NoSuchVolumeError(word)
    if exists(durable, keys.VOL_KEPT + keys.encoded(word)):
        return word
    matches = some_tails(durable, keys.VOL_KEPT, word, lookup.SHOWN)
    if len(matches) > 1:
        raise AmbiguousNameError("volume", word, matches)
    if not matches:
        raise NoSuchVolumeError(word)
    return matches[0]


class DurableIndex:
    """What `lookup.resolve` asks, answered from one transaction."""

    def __init__(self, durable: Transaction) -> None:
        self._durable = durable

    def has_id(self, kind: str, word: str) -> bool:
        """Whether there is an object of that kind and id."""
        return keys.fits(word) and exists(self._durable, _KEPT[kind] + keys.encoded(word))

    def named(self, word: str) -> tuple[str, str] | None:
        """The object of that name."""
        return lmdb_containers.owner_of_name(self._durable, word)

    def with_prefix(self, kind: str, word: str) -> list[str]:
        """Some ids that begin with the word."""
        if not keys.fits(word):
            return []
        start = _KEPT[kind] + keys.encoded(word)
        return [keys.tail(row, _KEPT[kind]) for row in islice(under(self._durable, start), lookup.SHOWN)]


_KEPT = {lookup.CONTAINER: keys.CTR_KEPT, lookup.POD: keys.POD_KEPT}
