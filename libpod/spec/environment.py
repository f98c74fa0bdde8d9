"""The environment of a process.

Weakest first: what the configuration gives everybody, `container=podman` (by which programs notice that they are in a
container), the image's, the caller's own when asked for, the request's. What is unset is taken out of the first three
only. HOME and HOSTNAME are added when the container starts, unless somebody set them.

Covers: pkg/env, pkg/specgen/generate/container.go (environment)
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

CONTAINER_VARIABLE = ("container", "podman")


def parsed(entries: Iterable[str]) -> dict[str, str]:
    """`NAME=value` entries; a later one of the same name wins, one without = has an empty value."""
    found = {}
    for entry in entries:
        name, _, value = entry.partition("=")
        if name:
            found[name] = value
    return found


def written(variables: Mapping[str, str]) -> list[str]:
    """As the specification wants them."""
    return [f"{name}={value}" for name, value in variables.items()]


def environment(
    *,
    defaults: Iterable[str],
    image: Iterable[str],
    host: Mapping[str, str] | None,
    unset: Iterable[str],
    unset_all: bool,
    asked: Mapping[str, str],
) -> dict[str, str]:
    """The variables of a new container."""
    base: dict[str, str] = {}
    if not unset_all:
        base = parsed(defaults)
        base.setdefault(*CONTAINER_VARIABLE)
        base |= parsed(image)
        for name in unset:
            base.pop(name, None)
    return base | dict(host or {}) | dict(asked)


def with_missing(entries: Iterable[str], additions: Mapping[str, str]) -> list[str]:
    """*entries* and those of *additions* whose name is not there yet."""
    result = list(entries)
    given = {entry.partition("=")[0] for entry in result}
    result += [f"{name}={value}" for name, value in additions.items() if name not in given]
    return result


def merged(entries: Iterable[str], changes: Mapping[str, str]) -> list[str]:
    """*entries* with *changes* laid over them, each name once, in the order of first appearance."""
    return written(parsed(entries) | dict(changes))
