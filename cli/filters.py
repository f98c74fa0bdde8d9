"""The filters of ps and its relatives, as predicates over what the library lists.

    id name label status ancestor before since exited volume network pod until health

Values of one key are alternatives, keys must all match; `key!=value` is known for label only, as podman has it.

Covers: pkg/domain/filters/containers.go
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import libpod
from libpod_cli.formatting import unix_seconds
from libpod_cli.moments import seconds_of
from libpod_cli.parser import UsageError

if TYPE_CHECKING:
    # Not loaded for these names alone: `version` and `events` split filters too.
    Predicate = Callable[[libpod.Listed], bool]
    Maker = Callable[[str, libpod.Runtime], Predicate]


def split_filter(text: str) -> tuple[str, str, bool]:
    """Key, value and whether it is negated; raises UsageError."""
    key, negated, value = text.partition("!=")
    if negated:
        return key, value, True
    key, given, value = text.partition("=")
    if not given:
        raise UsageError(f'"{text}" is not a filter: write key=value')
    return key, value, False


def listed_filters(texts: Sequence[str], runtime: libpod.Runtime) -> list[Predicate]:
    """One predicate a key; raises UsageError."""
    groups: dict[str, list[Predicate]] = {}
    for text in texts:
        key, value, negated = split_filter(text)
        maker = MAKERS.get(key)
        if maker is None or (negated and key != "label"):
            raise UsageError(
                f'"{key}" is not a filter for containers: use one of {", ".join(sorted(MAKERS))}'
            )
        predicate = maker(value, runtime)
        if negated:
            groups[f"{key}!={value}"] = [_negation(predicate)]
        elif key == "label":
            groups[f"{key}={value}"] = [predicate]
        else:
            groups.setdefault(key, []).append(predicate)
    return [_any(group) for group in groups.values()]


def label_matches(labels: Mapping[str, str], value: str) -> bool:
    """`key` or `key=value` among *labels*."""
    key, given, wanted = value.partition("=")
    return key in labels and (not given or labels[key] == wanted)


def _any(predicates: Sequence[Predicate]) -> Predicate:
    return lambda item: any(predicate(item) for predicate in predicates)


def _negation(predicate: Predicate) -> Predicate:
    return lambda item: not predicate(item)


def _pattern(value: str) -> re.Pattern[str]:
    try:
        return re.compile(value)
    except re.error as error:
        raise UsageError(f'"{value}" is not a regular expression ({error})') from error


def _id(value: str, runtime: libpod.Runtime) -> Predicate:
    if re.fullmatch("[0-9a-f]*", value):
        return lambda item: item.id.startswith(value)
    pattern = _pattern(value)
    return lambda item: pattern.search(item.id) is not None


def _name(value: str, runtime: libpod.Runtime) -> Predicate:
    pattern = _pattern(value)
    return lambda item: pattern.search(item.name) is not None


def _label(value: str, runtime: libpod.Runtime) -> Predicate:
    return lambda item: label_matches(item.summary.labels, value)


def _status(value: str, runtime: libpod.Runtime) -> Predicate:
    word = libpod.ContainerStatus.parse(value).word
    words = ("exited", "stopped") if word in ("exited", "stopped") else (word,)
    return lambda item: item.status.word in words


def _ancestor(value: str, runtime: libpod.Runtime) -> Predicate:
    def matches(item: libpod.Listed) -> bool:
        name = item.summary.image
        return bool(name) and (
            item.summary.image_id.startswith(value.removeprefix("sha256:"))
            or value in (name, name.rpartition(":")[0])
            or f"/{name}".endswith((f"/{value}", f"/{value}:latest"))
        )

    return matches


def _before(value: str, runtime: libpod.Runtime) -> Predicate:
    moment = unix_seconds(runtime.container(value).config.created_time)
    return lambda item: unix_seconds(item.summary.created_time) < moment


def _since(value: str, runtime: libpod.Runtime) -> Predicate:
    moment = unix_seconds(runtime.container(value).config.created_time)
    return lambda item: unix_seconds(item.summary.created_time) > moment


def _exited(value: str, runtime: libpod.Runtime) -> Predicate:
    if not re.fullmatch(r"-?\d+", value):
        raise UsageError(f'"{value}" is not an exit code')
    return lambda item: item.state.exited and item.state.exit_code == int(value)


def _volume(value: str, runtime: libpod.Runtime) -> Predicate:
    name, _, destination = value.partition(":")
    return lambda item: (
        name in (*item.summary.volumes, *item.summary.mounts)
        and (not destination or destination in item.summary.mounts)
    )


def _network(value: str, runtime: libpod.Runtime) -> Predicate:
    return lambda item: value in item.summary.networks or value == item.summary.network_mode


def _pod(value: str, runtime: libpod.Runtime) -> Predicate:
    return lambda item: bool(item.summary.pod) and item.summary.pod.startswith(value)


def _restart_policy(value: str, runtime: libpod.Runtime) -> Predicate:
    wanted = {"", "no", "never"} if value in {"no", "never"} else {value}
    return lambda item: item.summary.restart_policy in wanted


def _should_start_on_boot(value: str, runtime: libpod.Runtime) -> Predicate:
    wanted = value.lower() in {"true", "1"}

    def matches(item: libpod.Listed) -> bool:
        policy = item.summary.restart_policy
        wants = policy == "always" or (policy == "unless-stopped" and not item.state.stopped_by_user)
        return wants is wanted

    return matches


def _until(value: str, runtime: libpod.Runtime) -> Predicate:
    moment = seconds_of(value)
    return lambda item: unix_seconds(item.summary.created_time) < moment


MAKERS: dict[str, Maker] = {
    "ancestor": _ancestor,
    "before": _before,
    "exited": _exited,
    "id": _id,
    "label": _label,
    "name": _name,
    "network": _network,
    "pod": _pod,
    "since": _since,
    "restart-policy": _restart_policy,
    "should-start-on-boot": _should_start_on_boot,
    "status": _status,
    "until": _until,
    "volume": _volume,
}
