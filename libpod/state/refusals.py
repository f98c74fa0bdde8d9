"""The sentences that both back ends say when they refuse: one wording for one reason."""

from __future__ import annotations

from libpod.define.errors import (
    AlreadyExistsError,
    ConfigError,
    ContainerExistsError,
    InvalidArgumentError,
    PodExistsError,
    RuntimeClosedError,
    StateStoreError,
    short,
)
from libpod.model.container_config import ContainerConfig


def closed() -> RuntimeClosedError:
    """After `close`."""
    return RuntimeClosedError("the state store was closed", resolution="open a new Runtime")


def taken(kind: str, word: str, owner: tuple[str, str]) -> AlreadyExistsError:
    """The name or id *word*, wanted for a *kind*, belongs to *owner*, a kind and an id."""
    error = ContainerExistsError if kind == "container" else PodExistsError
    return error(word, message=f'the name or ID "{word}" is already in use by {owner[0]} {short(owner[1])}')


def foreign_dependency(config: ContainerConfig, dependency: str, pod: str) -> InvalidArgumentError:
    """A container may depend only on members of its own pod, and a container without pod on such without."""
    where = f"in pod {short(pod)}" if pod else "in no pod"
    own = f"in pod {short(config.pod)}" if config.pod else "in no pod"
    return InvalidArgumentError(
        f"container {config.name} is {own} and cannot depend on container {short(dependency)}, which is {where}",
        resolution="put both into one pod, or neither",
    )


def pod_changed(config: ContainerConfig) -> InvalidArgumentError:
    """Membership is fixed at creation."""
    return InvalidArgumentError(
        f"container {config.name} cannot move to another pod", resolution="remove it and create it there"
    )


def paths_differ(name: str, stored: str, given: str) -> ConfigError:
    """The store belongs to other directories."""
    return ConfigError(
        f'the store was made with {name} "{stored}" and is opened with "{given}"',
        resolution=f"set {name} back, or run system migrate to accept the new one",
    )


def schema_unknown(path: str, found: object, known: int) -> StateStoreError:
    """The data is newer than this program."""
    return StateStoreError(
        f"the database {path} has schema {found}, and this version of libpod knows {known}",
        resolution="use the newer libpod that wrote it",
    )
