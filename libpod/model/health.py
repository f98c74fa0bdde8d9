"""Health checks as a creator asks for them.

The command is a list that begins with CMD, CMD-SHELL or NONE; text stands for CMD-SHELL, unless it is a JSON list.
Durations are nanoseconds inside.

Covers: pkg/specgenutil/specgen.go (health check), libpod/define/healthchecks.go
"""

from __future__ import annotations

import enum
import json
from collections.abc import Sequence

from libpod.define.errors import InvalidArgumentError
from libpod.model.container_config import HealthCheck
from libpod.model.units import parse_duration

SECOND = 1_000_000_000
DEFAULT_INTERVAL = 30 * SECOND
DEFAULT_TIMEOUT = 30 * SECOND
DEFAULT_RETRIES = 3


class OnFailure(enum.StrEnum):
    """What is done with a container that has become unhealthy."""

    NONE = "none"
    KILL = "kill"
    RESTART = "restart"
    STOP = "stop"

    @property
    def number(self) -> int:
        """As podman persists it; 1 is its word for an invalid one."""
        return {"none": 0, "kill": 2, "restart": 3, "stop": 4}[self.value]


def parse_on_failure(text: str | OnFailure) -> OnFailure:
    """The action in *text*; raises InvalidArgumentError."""
    try:
        return OnFailure(text or "none")
    except ValueError:
        words = ", ".join(OnFailure)
        raise InvalidArgumentError(
            f'"{text}" is not an action on failure', resolution=f"use one of {words}"
        ) from None


def parse_health_command(command: str | Sequence[str]) -> tuple[str, ...]:
    """The `Test` list; raises InvalidArgumentError."""
    if not isinstance(command, str):
        words = tuple(command)
        if words and words[0] not in ("CMD", "CMD-SHELL", "NONE"):
            words = ("CMD", *words)
        return words
    text = command.strip()
    if text == "none":
        return ("NONE",)
    if text.startswith("["):
        try:
            decoded = json.loads(text)
        except ValueError:
            decoded = None
        if isinstance(decoded, list) and decoded and all(isinstance(word, str) for word in decoded):
            return parse_health_command(decoded)
    if not text:
        raise InvalidArgumentError(
            "the command of the health check is empty", resolution='use "none" to have none'
        )
    return ("CMD-SHELL", command)


def health_check(
    *,
    command: str | Sequence[str],
    interval: str = "30s",
    timeout: str = "30s",
    start_period: str = "0s",
    retries: int = DEFAULT_RETRIES,
) -> HealthCheck:
    """The check that these words describe; interval `disable` means: only when asked. Raises InvalidArgumentError."""
    test = parse_health_command(command)
    if test == ("NONE",):
        return HealthCheck(test=test)
    if retries < 1:
        raise InvalidArgumentError(
            f"a health check with {retries} retries never fails", resolution="give at least 1"
        )
    seconds = parse_duration(timeout)
    if seconds < SECOND:
        raise InvalidArgumentError(f"the health check's timeout of {timeout} is below one second")
    period = parse_duration(start_period)
    if period < 0:
        raise InvalidArgumentError(f"the health check's start period of {start_period} is negative")
    return HealthCheck(
        test=test,
        interval=0 if interval == "disable" else parse_duration(interval),
        timeout=seconds,
        start_period=period,
        retries=retries,
    )
