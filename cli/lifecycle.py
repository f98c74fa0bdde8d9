"""Starting, stopping and removing containers.

Covers: cmd/podman/containers (start, stop, kill, restart, rm, pause, unpause, wait, init, prune, cleanup)
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import libpod
from libpod_cli.choose import (
    chosen,
    declare_choice,
    declare_cidfile,
    declare_filter,
    declare_ignore,
    declare_latest,
    is_live,
)
from libpod_cli.filters import label_matches, split_filter
from libpod_cli.parser import Parser, UsageError
from libpod_cli.session import Session
from libpod_cli.verbs import verb


def _with(
    session: Session, action: Callable[[libpod.Container], object], *, ignore: bool = False
) -> Callable[[str], str | None]:
    """Find the container, do it, and give the name back that was asked for."""

    def do(name: str) -> str | None:
        try:
            container = session.runtime.container(name)
        except libpod.NoSuchContainerError:
            if ignore:
                return None
            raise
        action(container)
        return name

    return do


def _start_flags(parser: Parser) -> None:
    from libpod_cli.streams import declare_streams

    parser.switch("--all", help="all containers, whatever their state")
    parser.switch("-a", "--attach", help="connect its output, and end with its exit code")
    parser.switch("-i", "--interactive", help="connect its input")
    declare_latest(parser)
    declare_filter(parser)
    declare_streams(parser)


@verb("[options] CONTAINER [CONTAINER...]", _start_flags)
def start(args: argparse.Namespace, session: Session) -> int:
    """Start containers"""
    names = chosen(args, session, of_all=lambda item: not is_live(item))
    if args.attach or args.interactive:
        if len(names) != 1:
            raise UsageError("only one container can be started with its streams connected")
        from libpod_cli.streams import start_attached

        container = session.runtime.container(names[0])
        return start_attached(container, args, stdin=args.interactive)

    def begin(container: libpod.Container) -> None:
        if container.status() is not libpod.ContainerStatus.RUNNING:
            container.start(recursive=True)

    return session.each(names, _with(session, begin), "start")


def _time_flags(parser: Parser) -> None:
    parser.decimal("-t", "--time", help="seconds to wait before it is killed")


def _stop_flags(parser: Parser) -> None:
    declare_choice(parser, which="all that run")
    declare_cidfile(parser)
    declare_filter(parser)
    declare_ignore(parser)
    _time_flags(parser)


@verb("[options] CONTAINER [CONTAINER...]", _stop_flags)
def stop(args: argparse.Namespace, session: Session) -> int:
    """Stop containers"""
    names = chosen(args, session, of_all=is_live)
    return session.each(names, _with(session, lambda item: item.stop(args.time), ignore=args.ignore), "stop")


def _kill_flags(parser: Parser) -> None:
    declare_choice(parser, which="all that run")
    declare_cidfile(parser)
    parser.text("-s", "--signal", default="KILL", help="name or number of the signal")


@verb("[options] CONTAINER [CONTAINER...]", _kill_flags)
def kill(args: argparse.Namespace, session: Session) -> int:
    """Send a signal to containers"""
    names = chosen(args, session, of_all=is_live)
    return session.each(names, _with(session, lambda item: item.kill(args.signal)), "kill")


def _restart_flags(parser: Parser) -> None:
    declare_choice(parser)
    declare_cidfile(parser)
    declare_filter(parser)
    parser.switch("--running", help="only those that run")
    _time_flags(parser)


@verb("[options] CONTAINER [CONTAINER...]", _restart_flags)
def restart(args: argparse.Namespace, session: Session) -> int:
    """Stop and start containers"""
    args.all = args.all or args.running
    names = chosen(args, session, of_all=is_live if args.running else lambda item: True)
    return session.each(names, _with(session, lambda item: item.restart(args.time)), "restart")


def _rm_flags(parser: Parser) -> None:
    declare_choice(parser)
    declare_cidfile(parser)
    declare_filter(parser, "--filter")
    declare_ignore(parser)
    parser.switch("-f", "--force", help="stop it first if it runs")
    parser.switch("-v", "--volumes", help="remove its anonymous volumes too")
    _time_flags(parser)


@verb("[options] CONTAINER [CONTAINER...]", _rm_flags)
def rm(args: argparse.Namespace, session: Session) -> int:
    """Remove containers"""
    names = chosen(args, session)

    def remove(container: libpod.Container) -> None:
        container.remove(force=args.force, volumes=args.volumes, timeout=args.time)

    # podman: with force, what is not there is no error.
    return session.each(names, _with(session, remove, ignore=args.ignore or args.force), "rm")


def _pause_flags(parser: Parser) -> None:
    declare_choice(parser, which="all that run")
    declare_cidfile(parser)
    declare_filter(parser)


@verb("[options] CONTAINER [CONTAINER...]", _pause_flags)
def pause(args: argparse.Namespace, session: Session) -> int:
    """Freeze the processes of containers"""
    names = chosen(args, session, of_all=lambda item: item.status is libpod.ContainerStatus.RUNNING)
    return session.each(names, _with(session, lambda item: item.pause()), "pause")


def _unpause_flags(parser: Parser) -> None:
    declare_choice(parser, which="all that are paused")
    declare_cidfile(parser)
    declare_filter(parser)


@verb("[options] CONTAINER [CONTAINER...]", _unpause_flags)
def unpause(args: argparse.Namespace, session: Session) -> int:
    """Let frozen processes go on"""
    names = chosen(args, session, of_all=lambda item: item.status is libpod.ContainerStatus.PAUSED)
    return session.each(names, _with(session, lambda item: item.unpause()), "unpause")


def _wait_flags(parser: Parser) -> None:
    declare_latest(parser)
    parser.words("--condition", help="wait for one of these states instead of the end")
    parser.text("-i", "--interval", help="accepted and not needed: nothing is polled")


@verb("[options] CONTAINER [CONTAINER...]", _wait_flags)
def wait(args: argparse.Namespace, session: Session) -> int:
    """Wait until containers end and print their exit codes"""
    states = [libpod.ContainerStatus.parse(word) for word in args.condition]
    names = chosen(args, session)
    return session.each(names, lambda name: session.runtime.container(name).wait(states or None), "wait")


@verb("[options] CONTAINER [CONTAINER...]", declare_choice)
def init(args: argparse.Namespace, session: Session) -> int:
    """Create containers in the OCI runtime without running their commands"""
    names = chosen(args, session, of_all=lambda item: item.status is libpod.ContainerStatus.CONFIGURED)
    return session.each(names, _with(session, lambda item: item.init()), "init")


@verb("[options] CONTAINER [CONTAINER...]", declare_choice)
def container_cleanup(args: argparse.Namespace, session: Session) -> int:
    """Release what ended containers still hold"""
    names = chosen(args, session, of_all=lambda item: not is_live(item))
    return session.each(names, _with(session, lambda item: item.clean_up()), "cleanup")


def _prune_flags(parser: Parser) -> None:
    parser.array("--filter", help="only those for which label=key[=value] or until=time holds")
    parser.switch("-f", "--force", help="do not ask")


@verb("[options]", _prune_flags, most=0)
def container_prune(args: argparse.Namespace, session: Session) -> int:
    """Remove all containers that do not run"""
    wanted = [_prune_filter(text) for text in args.filter]
    if not args.force and not confirmed("This removes all containers that do not run."):
        return 0
    for name in session.runtime.prune_containers(*wanted):
        print(name)
    return 0


def _prune_filter(text: str) -> Callable[[libpod.Container], bool]:
    key, value, negated = split_filter(text)
    if key == "label":
        return lambda container: label_matches(container.labels, value) is not negated
    if key == "until" and not negated:
        from libpod_cli.formatting import unix_seconds
        from libpod_cli.moments import seconds_of

        moment = seconds_of(value)
        return lambda container: unix_seconds(container.config.created_time) < moment
    raise UsageError(f'"{key}" is not a filter for prune: use label or until')


def confirmed(warning: str) -> bool:
    """Ask on the terminal."""
    try:
        answer = input(f"WARNING! {warning}\nAre you sure you want to continue? [y/N] ")
    except EOFError:
        return False
    return answer.strip().lower() in ("y", "yes")
