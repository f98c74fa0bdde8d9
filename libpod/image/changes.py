"""Changes to an image's configuration, written as Dockerfile instructions.

    CMD ["sh", "-c", "date"]      CMD date              JSON, or a line for the image's shell
    ENV A=1 B="two words"         ENV A 1               LABEL alike
    EXPOSE 80 443/tcp             VOLUME /a /b          VOLUME ["/a", "/b"]
    USER 1:2   WORKDIR /w   STOPSIGNAL TERM   ONBUILD RUN x   SHELL ["/bin/ash", "-c"]
    HEALTHCHECK --interval=30s CMD curl localhost       HEALTHCHECK NONE

`INSTRUCTION=value`, as podman also takes it, is the same. Pure: a configuration goes in, another one comes out. As in
a Dockerfile, ENTRYPOINT forgets the inherited CMD unless a CMD is among the changes.

Covers: libimage/import.go (ImageConfigFromChanges), libpod/container_commit.go, buildah commit --change
"""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Sequence
from typing import Any, cast

from libpod.define.errors import ImageError, InvalidArgumentError
from libpod.define.signals import parse_signal
from libpod.model.units import parse_duration
from libpod.spec.image import ContainerDefaults, Healthcheck, decode_json

_HEAD = re.compile(r"\s*([A-Za-z]+)(?:\s*=\s*|\s+)(.*)", re.DOTALL)
_PORT = re.compile(r"(\d{1,5})(?:-(\d{1,5}))?(?:/(tcp|udp|sctp))?", re.IGNORECASE)
_WORD_PART = re.compile(r"""[^\s"'\\]+|\\.|"((?:[^"\\]|\\.)*)"|'([^']*)'""", re.DOTALL)

Config = dict[str, Any]


def apply_changes(config: ContainerDefaults, changes: Sequence[str]) -> ContainerDefaults:
    """*config* with the instructions applied in order; *config* itself is not touched.

    Raises InvalidArgumentError that names the instruction.
    """
    result: Config = copy.deepcopy(dict(config))
    heads = []
    for change in changes:
        match = _HEAD.fullmatch(change)
        if match is None:
            raise InvalidArgumentError(
                f'"{change}" is not a change to an image',
                resolution='write INSTRUCTION value, such as "CMD /bin/sh"',
            )
        word, value = match[1].upper(), match[2].strip()
        apply = _INSTRUCTIONS.get(word)
        if apply is None:
            raise InvalidArgumentError(
                f'the change "{change}" has an unknown instruction',
                resolution=f"use one of {', '.join(_INSTRUCTIONS)}",
            )
        try:
            apply(result, value)
        except (InvalidArgumentError, ValueError) as error:
            raise InvalidArgumentError(f'the change "{change}" is malformed: {error}') from error
        heads.append(word)
    if "ENTRYPOINT" in heads and "CMD" not in heads:
        result.pop("Cmd", None)
    return cast("ContainerDefaults", result)


def words(text: str) -> list[str]:
    """Split as a Dockerfile does: quotes group, a backslash takes the next character literally; raises ValueError."""
    found: list[str] = []
    for piece in re.finditer(r"\s+|(?:" + _WORD_PART.pattern + r")+|.", text, re.DOTALL):
        chunk = piece[0]
        if chunk.isspace():
            continue
        if _WORD_PART.match(chunk) is None:
            raise ValueError("a quote or a backslash is left open")
        found.append("".join(_unquoted(part) for part in _WORD_PART.finditer(chunk)))
    return found


def _unquoted(part: re.Match[str]) -> str:
    double, single = part.groups()
    if double is not None:
        return re.sub(r'\\(["\\$])', r"\1", double)
    if single is not None:
        return single
    return part[0][1:] if part[0].startswith("\\") else part[0]


# ---- one function per instruction -----------------------------------------------------------------------------


def _required(value: str) -> str:
    if not value:
        raise ValueError("the value is missing")
    return value


def _json_list(value: str) -> list[str] | None:
    """The list when *value* is the JSON form; None when it is not meant to be one."""
    if not value.startswith("["):
        return None
    try:
        parsed = decode_json(value.encode(errors="replace"), subject="the list")
    except ImageError:
        return None  # `[ -f x ] && y` is a command line
    if not isinstance(parsed, list) or not all(isinstance(item, str) for item in parsed):
        raise ValueError("the list may hold strings only")
    return parsed


def _command(config: Config, value: str) -> list[str]:
    parsed = _json_list(value)
    if parsed is not None:
        return parsed
    return [*(config.get("Shell") or ["/bin/sh", "-c"]), value] if value else []


def _cmd(config: Config, value: str) -> None:
    config["Cmd"] = _command(config, value)


def _entrypoint(config: Config, value: str) -> None:
    config["Entrypoint"] = _command(config, value)


def _pairs(value: str) -> list[tuple[str, str]]:
    first = re.match(r"\S*", _required(value))
    if first is not None and "=" not in first[0]:
        name, _, rest = value.partition(" ")
        if not rest.strip():
            raise ValueError(f"{name} has no value")
        return [(name, rest.strip())]
    pairs = [word.partition("=") for word in words(value)]
    for name, equals, _ in pairs:
        if not name or not equals:
            raise ValueError(f'"{name}" is not name=value')
    return [(name, text) for name, _, text in pairs]


def _env(config: Config, value: str) -> None:
    env = list(config.get("Env") or [])
    for name, text in _pairs(value):
        entry = f"{name}={text}"
        places = [number for number, old in enumerate(env) if old.partition("=")[0] == name]
        if places:
            env[places[0]] = entry
        else:
            env.append(entry)
    config["Env"] = env


def _label(config: Config, value: str) -> None:
    config["Labels"] = dict(config.get("Labels") or {}) | dict(_pairs(value))


def _expose(config: Config, value: str) -> None:
    ports = dict(config.get("ExposedPorts") or {})
    for word in words(_required(value)):
        match = _PORT.fullmatch(word)
        if (
            match is None
            or not 0 < int(match[1]) <= 65535
            or (match[2] and not int(match[1]) <= int(match[2]) <= 65535)
        ):
            raise ValueError(f'"{word}" is not a port such as 80, 53/udp or 8000-8010')
        last = int(match[2] or match[1])
        protocol = (match[3] or "tcp").lower()
        ports |= {f"{number}/{protocol}": {} for number in range(int(match[1]), last + 1)}
    config["ExposedPorts"] = ports


def _volume(config: Config, value: str) -> None:
    parsed = _json_list(_required(value))
    paths = parsed if parsed is not None else words(value)
    if not all(path.startswith("/") for path in paths):
        raise ValueError("a volume is an absolute path")
    config["Volumes"] = dict(config.get("Volumes") or {}) | {path: {} for path in paths}


def _user(config: Config, value: str) -> None:
    config["User"] = value


def _workdir(config: Config, value: str) -> None:
    # Relative to the one before, as in a Dockerfile.
    base = str(config.get("WorkingDir") or "/")
    config["WorkingDir"] = value if _required(value).startswith("/") else f"{base.rstrip('/')}/{value}"


def _stopsignal(config: Config, value: str) -> None:
    config["StopSignal"] = str(parse_signal(_required(value)))


def _onbuild(config: Config, value: str) -> None:
    config["OnBuild"] = [*(config.get("OnBuild") or []), _required(value)]


def _shell(config: Config, value: str) -> None:
    parsed = _json_list(_required(value))
    if parsed is None:
        raise ValueError("SHELL takes a JSON list")
    config["Shell"] = parsed


def _healthcheck(config: Config, value: str) -> None:
    rest = _required(value)
    check: Healthcheck = {}
    while match := re.match(r"--([a-z-]+)=(\S+)\s*", rest):
        option, text = match.groups()
        rest = rest[match.end() :]
        if option == "interval":
            check["Interval"] = parse_duration(text)
        elif option == "timeout":
            check["Timeout"] = parse_duration(text)
        elif option == "start-period":
            check["StartPeriod"] = parse_duration(text)
        elif option == "retries" and text.isdecimal():
            check["Retries"] = int(text)
        else:
            raise ValueError(f'"--{option}={text}" is not an option of HEALTHCHECK')
    word, _, command = rest.partition(" ")
    if word.upper() == "NONE":
        config["Healthcheck"] = {"Test": ["NONE"]}
        return
    if word.upper() != "CMD" or not command.strip():
        raise ValueError("HEALTHCHECK takes NONE, or CMD and a command")
    parsed = _json_list(command.strip())
    check["Test"] = ["CMD", *parsed] if parsed is not None else ["CMD-SHELL", command.strip()]
    config["Healthcheck"] = check


_INSTRUCTIONS: dict[str, Callable[[Config, str], None]] = {
    "CMD": _cmd,
    "ENTRYPOINT": _entrypoint,
    "ENV": _env,
    "EXPOSE": _expose,
    "HEALTHCHECK": _healthcheck,
    "LABEL": _label,
    "ONBUILD": _onbuild,
    "SHELL": _shell,
    "STOPSIGNAL": _stopsignal,
    "USER": _user,
    "VOLUME": _volume,
    "WORKDIR": _workdir,
}
