"""The engine itself: versions, what it is, what happened.

Covers: cmd/podman/system (version, info, events)
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from typing import Any

import libpod
from libpod_cli.filters import split_filter
from libpod_cli.formatting import dump, go_time, is_json, print_each, unescaped
from libpod_cli.moments import rfc3339_of
from libpod_cli.parser import Parser, UsageError
from libpod_cli.session import Session
from libpod_cli.verbs import verb


def _format_flag(parser: Parser) -> None:
    parser.text("-f", "--format", help='"json" or a template')


@verb("[options]", _format_flag, most=0)
def version(args: argparse.Namespace, session: Session) -> int:
    """Show versions"""
    found = libpod.version_document()
    if is_json(args.format):
        print(dump(found, indent=None))
    elif args.format:
        print_each([found], args.format)
    else:
        client = found["Client"]
        for name, value in (
            ("Client:", "libpod"),
            ("Version:", client["Version"]),
            ("API Version:", client["APIVersion"]),
            ("Python Version:", client["PythonVersion"]),
            ("OS/Arch:", client["OsArch"]),
        ):
            print(f"{name:<16}{value}")
    return 0


@verb("[options]", _format_flag, most=0)
def info(args: argparse.Namespace, session: Session) -> int:
    """Show what this engine is"""
    found = session.runtime.info()
    if is_json(args.format):
        print(dump(found))
    elif args.format:
        print_each([found], args.format)
    else:
        print("\n".join(_yaml(found)))
    return 0


def _yaml(value: Any, indent: str = "") -> Iterator[str]:
    """The lines of a document as YAML; block style, keys in their order."""
    if isinstance(value, dict):
        for key, item in value.items():
            if isinstance(item, (dict, list)) and item:
                yield f"{indent}{key}:"
                yield from _yaml(item, indent if isinstance(item, list) else f"{indent}  ")
            elif isinstance(item, str) and "\n" in item.strip():
                yield f"{indent}{key}: |-"
                yield from (f"{indent}  {line}" for line in item.strip().splitlines())
            else:
                yield f"{indent}{key}: {_scalar(item)}"
    elif isinstance(value, list):
        for item in value:
            yield f"{indent}- {_scalar(item)}"


def _scalar(value: Any) -> str:
    if not isinstance(value, str):
        return json.dumps(value)
    text = value.strip()
    plain = text and not any(mark in text for mark in (": ", " #")) and text[0] not in "-?:,[]{}#&*!|>'\"%@`"
    is_word = text.lower() not in ("true", "false", "null", "yes", "no", "on", "off", "~")
    number = text.replace(".", "", 1).isdecimal()
    return text if plain and is_word and not number else json.dumps(text, ensure_ascii=False)


# ---- events -------------------------------------------------------------------------------------------------------


def _events_flags(parser: Parser) -> None:
    parser.array("-f", "--filter", help="container, event, image, label, pod, volume, type: KEY=VALUE")
    parser.text("--format", help='"json" or a template such as {{.Status}}')
    parser.switch("--no-trunc", default=True, help="whole ids")
    parser.text("--since", help="from then on: a time, or 10m for ten minutes ago")
    parser.switch("--stream", default=True, help="go on; --stream=false ends with what there is")
    parser.text("--until", help="up to then")


@verb("[options]", _events_flags, most=0)
def events(args: argparse.Namespace, session: Session) -> int:
    """Show what happened, or happens"""
    query = libpod.EventQuery(
        since=rfc3339_of(args.since) if args.since else None,
        until=rfc3339_of(args.until) if args.until else None,
        filters=_filters(args.filter),
        follow=args.stream and not args.until,
    )
    compiled = None
    if args.format and not is_json(args.format):
        from libpod_cli.templates import Template

        compiled = Template(unescaped(args.format))
    for event in session.runtime.events(query):
        if compiled is not None:
            print(compiled.render(_document(event)), flush=True)
        elif args.format:
            print(dump(_document(event), indent=None), flush=True)
        else:
            print(line(event, whole=args.no_trunc), flush=True)
    return 0


def _filters(texts: Sequence[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for text in texts:
        key, value, negated = split_filter(text)
        if negated:
            raise UsageError("filters of events cannot be negated")
        found.setdefault(key, []).append(value)
    return found


def _document(event: libpod.Event) -> dict[str, Any]:
    """One event as `events --format json` has it."""
    code = {} if event.exit_code is None else {"ContainerExitCode": event.exit_code}
    named = {"ID": event.id, "Image": event.image, "Name": event.name}
    return {
        **code,
        **{key: value for key, value in named.items() if value},
        "Status": event.status.value,
        "Time": event.time,
        "Type": event.type.value,
        "Attributes": event.attributes,
    }


def line(event: libpod.Event, *, whole: bool = True) -> str:
    """One event as people read it."""
    subject = event.id if whole else event.id[:12]
    words = [go_time(event.time), event.type.value, event.status.value]
    if event.type is libpod.EventType.CONTAINER:
        attributes = [f"{key}={value}" for key, value in (event.attributes or {}).items()]
        words += [subject, f"({', '.join([f'image={event.image}', f'name={event.name}', *attributes])})"]
    elif event.type is libpod.EventType.IMAGE:
        words += [subject, event.name]
    elif event.type is not libpod.EventType.SYSTEM:
        words.append(event.name or subject)
    return " ".join(words)
