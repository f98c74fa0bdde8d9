"""Volumes.

Covers: cmd/podman/volumes
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

import libpod
from libpod_cli.environment import labels
from libpod_cli.filters import label_matches, split_filter
from libpod_cli.formatting import show
from libpod_cli.inspect import inspected
from libpod_cli.lifecycle import confirmed
from libpod_cli.parser import Parser, UsageError
from libpod_cli.session import Session
from libpod_cli.verbs import verb

COLUMNS = ("Driver", "Name")
HEADINGS = {"Name": "VOLUME NAME"}

Predicate = Callable[[libpod.Volume], bool]


def _create_flags(parser: Parser) -> None:
    parser.text("-d", "--driver", default="local", help="its driver")
    parser.switch("--ignore", help="do not fail if it exists")
    parser.array("-l", "--label", help="KEY=VALUE")
    parser.array("-o", "--opt", help="KEY=VALUE for the driver: type, device, o")


@verb("[options] [NAME]", _create_flags, most=1)
def volume_create(args: argparse.Namespace, session: Session) -> int:
    """Make a volume"""
    made = session.runtime.create_volume(
        args.arguments[0] if args.arguments else None,
        labels=labels(args.label),
        driver=args.driver,
        options=labels(args.opt),
        ignore_existing=args.ignore,
    )
    print(made.name)
    return 0


@verb("VOLUME", least=1, most=1)
def volume_exists(args: argparse.Namespace, session: Session) -> int:
    """Whether there is such a volume"""
    try:
        session.runtime.volume(args.arguments[0])
    except libpod.NoSuchVolumeError:
        return 1
    return 0


def _inspect_flags(parser: Parser) -> None:
    parser.switch("-a", "--all", help="all volumes")
    parser.text("-f", "--format", default="json", help='"json" or a template such as {{.Mountpoint}}')


@verb("[options] VOLUME [VOLUME...]", _inspect_flags)
def volume_inspect(args: argparse.Namespace, session: Session) -> int:
    """Show everything about volumes"""
    names = [item.name for item in session.runtime.volumes()] if args.all else args.arguments
    if args.all and not names:
        return 0
    return inspected(names, lambda name: session.runtime.volume(name).inspect(), args.format)


def _ls_flags(parser: Parser) -> None:
    parser.words("-f", "--filter", help=f"only those for which this holds ({', '.join(sorted(FILTERS))})")
    parser.text("--format", help='"json" or a template such as {{.Name}}')
    parser.switch("--noheading", help="no heading")
    parser.switch("-q", "--quiet", help="only names")


@verb("[options]", _ls_flags, most=0)
def volume_ls(args: argparse.Namespace, session: Session) -> int:
    """List volumes"""
    found = sorted(session.runtime.volumes(*filters(args.filter)), key=lambda item: item.name)
    if args.quiet:
        for item in found:
            print(item.name)
        return 0
    rows: list[dict[str, Any]] = [item.inspect() for item in found]
    show(
        rows,
        args.format,
        columns=COLUMNS,
        headings=HEADINGS,
        documents=lambda: rows,
        heading=not args.noheading and bool(rows),
    )
    return 0


def _rm_flags(parser: Parser) -> None:
    parser.switch("-a", "--all", help="all volumes")
    parser.switch("-f", "--force", help="remove the containers that use it first")
    parser.decimal("-t", "--time", help="accepted")


@verb("[options] VOLUME [VOLUME...]", _rm_flags)
def volume_rm(args: argparse.Namespace, session: Session) -> int:
    """Remove volumes"""
    if bool(args.arguments) == args.all:
        raise UsageError("name at least one volume, or give --all")
    names = [item.name for item in session.runtime.volumes()] if args.all else args.arguments

    def remove(name: str) -> str:
        volume = session.runtime.volume(name)
        volume.remove(force=args.force)
        return volume.name

    return session.each(names, remove, "volume rm")


def _prune_flags(parser: Parser) -> None:
    parser.array("--filter", help="only those for which this holds, as in volume ls")
    parser.switch("-f", "--force", help="do not ask")


@verb("[options]", _prune_flags, most=0)
def volume_prune(args: argparse.Namespace, session: Session) -> int:
    """Remove volumes that nothing uses"""
    wanted = filters(args.filter)
    if not args.force and not confirmed("This removes all volumes that no container uses."):
        return 0
    for name in session.runtime.prune_volumes(*wanted):
        print(name)
    return 0


def filters(texts: list[str]) -> list[Predicate]:
    """One predicate a text; raises UsageError."""
    found = []
    for text in texts:
        key, value, negated = split_filter(text)
        if key not in FILTERS or (negated and key != "label"):
            raise UsageError(f'"{key}" is not a filter for volumes: use one of {", ".join(sorted(FILTERS))}')
        found.append(_predicate(key, value, negated))
    return found


def _predicate(key: str, value: str, negated: bool) -> Predicate:
    matches = FILTERS[key]
    return lambda volume: matches(volume, value) is not negated


def _dangling(volume: libpod.Volume, value: str) -> bool:
    if value.lower() not in ("true", "1", "false", "0"):
        raise UsageError(f'dangling is "{value}": use true or false')
    return bool(volume.users()) is not (value.lower() in ("true", "1"))


FILTERS: dict[str, Callable[[libpod.Volume, str], bool]] = {
    "dangling": _dangling,
    "driver": lambda volume, value: volume.config.driver == value,
    "label": lambda volume, value: label_matches(volume.labels, value),
    "name": lambda volume, value: value in volume.name,
    "opt": lambda volume, value: label_matches(volume.config.options, value),
}
