"""Which containers a verb is for: by name, `--latest`, `--all`, `--filter`, `--cidfile`.

Covers: cmd/podman/containers (the shared checks of arguments), cmd/podman/validate/args.go
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import libpod
from libpod_cli.filters import listed_filters
from libpod_cli.parser import Parser, UsageError
from libpod_cli.session import Session


def declare_latest(parser: Parser) -> None:
    parser.switch("-l", "--latest", help="the container that was created last")


def declare_choice(
    parser: Parser, *, which: str = "all containers", all_name: tuple[str, ...] = ("-a", "--all")
) -> None:
    """The flags of verbs that take several containers."""
    parser.switch(*all_name, help=which)
    declare_latest(parser)


def declare_cidfile(parser: Parser) -> None:
    parser.array("--cidfile", help="read a container's ID from this file (repeatable)")


def declare_filter(parser: Parser, *names: str) -> None:
    parser.words(*(names or ("-f", "--filter")), help="containers for which this holds, as in ps")


def declare_ignore(parser: Parser) -> None:
    parser.switch("-i", "--ignore", help="containers that are not there are no error")


def chosen(
    args: argparse.Namespace, session: Session, *, of_all: Callable[[libpod.Listed], bool] = lambda item: True
) -> list[str]:
    """Names or ids of the containers that *args* mean; with --all those for which *of_all* holds."""
    everything = getattr(args, "all", False)
    latest = getattr(args, "latest", False)
    wanted = getattr(args, "filter", None) or []
    files = getattr(args, "cidfile", None) or []
    given = [*args.arguments, *(read_id(path) for path in files)]
    if sum(map(bool, (everything, latest, given))) > 1:
        raise UsageError("names, --all and --latest exclude each other")
    if latest:
        return [session.runtime.latest().id]
    if wanted and not given:
        return [item.id for item in session.runtime.containers(*listed_filters(wanted, session.runtime))]
    if everything:
        return [item.id for item in session.runtime.containers() if of_all(item)]
    if not given:
        raise UsageError("name at least one container")
    return given


def one(args: argparse.Namespace, session: Session) -> libpod.Container:
    """The one container that is meant; its name is taken from the arguments."""
    if args.latest:
        return session.runtime.latest()
    if not args.arguments:
        raise UsageError("name a container")
    return session.runtime.container(args.arguments.pop(0))


def read_id(path: str) -> str:
    """The container id in a file that `--cidfile` of run wrote."""
    return Path(path).read_text().strip().partition("\n")[0]


def is_live(item: libpod.Listed) -> bool:
    """Whether it runs or stands still."""
    return item.status.word in ("running", "paused", "stopping")
