"""Into a running container, and what comes out of it: exec, attach, logs.

Covers: cmd/podman/containers (exec, attach, logs)
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
from collections.abc import Iterator

import libpod
from libpod_cli.choose import chosen, declare_latest, one
from libpod_cli.environment import environment
from libpod_cli.moments import rfc3339_of
from libpod_cli.parser import Parser, UsageError
from libpod_cli.session import Session
from libpod_cli.streams import DEFAULT_KEYS, copy, declare_streams, own_terminal
from libpod_cli.verbs import verb

# ---- exec ---------------------------------------------------------------------------------------------------------


def _exec_flags(parser: Parser) -> None:
    parser.switch("-d", "--detach", help="leave it running and print the session's id")
    parser.text("--detach-keys", default=DEFAULT_KEYS, help='keys that let go of it; "" for none')
    parser.array("-e", "--env", help="NAME=VALUE, or NAME for this process's value (repeatable)")
    parser.words("--env-file", help="a file of such lines")
    parser.switch("-i", "--interactive", help="connect its input")
    declare_latest(parser)
    parser.number("--preserve-fds", default=0, help="give it so many descriptors more, from 3 on")
    parser.switch("--privileged", help="with all capabilities")
    parser.switch("-t", "--tty", help="with a terminal")
    parser.text("-u", "--user", help="NAME|UID[:GROUP|GID]")
    parser.text("-w", "--workdir", help="working directory in the container")


@verb("[options] CONTAINER COMMAND [ARG...]", _exec_flags, least=1, interspersed=False)
def exec_(args: argparse.Namespace, session: Session) -> int:
    """Run a command in a running container"""
    container = one(args, session)
    options = libpod.ExecOptions(
        command=tuple(args.arguments),
        env=environment(args.env, args.env_file),
        user=args.user,
        workdir=args.workdir,
        tty=args.tty,
        interactive=args.interactive,
        detach=args.detach,
        privileged=args.privileged,
        size=_terminal_size() if args.tty else None,
        preserve_fds=tuple(range(3, 3 + args.preserve_fds)),
    )
    with container.exec(options) as handle:
        if args.detach:
            print(handle.id)
            return 0
        with contextlib.ExitStack() as stack:
            if args.tty:
                stack.enter_context(own_terminal(handle.resize, raw=args.interactive))
            code = libpod.copy_exec(
                handle.process,
                stdin=0 if args.interactive else None,
                stdout=1,
                stderr=2,
                detach_keys=args.detach_keys if args.tty else "",
            )
        if code is None:
            return 0  # the user let go of it
        handle.wait()
    return code if code >= 0 else 255


def _terminal_size() -> tuple[int, int] | None:
    try:
        size = os.get_terminal_size(1)
    except OSError:
        return None
    return size.lines, size.columns


# ---- attach -------------------------------------------------------------------------------------------------------


def _attach_flags(parser: Parser) -> None:
    declare_latest(parser)
    parser.switch("--no-stdin", help="leave its input alone")
    declare_streams(parser)


@verb("[options] CONTAINER", _attach_flags, most=1)
def attach(args: argparse.Namespace, session: Session) -> int:
    """Connect to the streams of a running container"""
    container = one(args, session)
    with container.attach(back_pressure=True) as stream:
        stdin = not args.no_stdin and container.config.stdin
        outcome = copy(container, stream, args, stdin=stdin)
    return 0 if outcome is libpod.Outcome.DETACHED else container.wait()


# ---- logs ---------------------------------------------------------------------------------------------------------


def _logs_flags(parser: Parser) -> None:
    parser.switch("--color", help="a colour for each container")
    parser.switch("-f", "--follow", help="go on while it runs")
    declare_latest(parser)
    parser.switch("-n", "--names", help="the container's name before each line")
    parser.text("--since", help="only what is younger: a time, or 10m for ten minutes ago")
    parser.number("--tail", default=-1, help="only so many last lines")
    parser.switch("-t", "--timestamps", help="the time before each line")
    parser.text("--until", help="only what is older")


@verb("[options] CONTAINER [CONTAINER...]", _logs_flags)
def logs(args: argparse.Namespace, session: Session) -> int:
    """Show what containers wrote"""
    if args.tail < -1:
        raise UsageError(f"{args.tail} is not a number of lines")
    options = libpod.LogOptions(
        tail=None if args.tail < 0 else args.tail,
        since=rfc3339_of(args.since) if args.since else None,
        until=rfc3339_of(args.until) if args.until else None,
        follow=args.follow,
    )
    containers = [session.runtime.container(name) for name in chosen(args, session)]
    readers = [_printer(item, options, args, number) for number, item in enumerate(containers)]
    if len(readers) == 1 or not args.follow:
        for read in readers:
            for _ in read:
                pass
        return 0
    _all_at_once(readers)
    return 0


def _printer(
    container: libpod.Container, options: libpod.LogOptions, args: argparse.Namespace, number: int
) -> Iterator[None]:
    """Print line by line."""
    name = f"{container.id[:12]} " if len(args.arguments) > 1 and not args.names else ""
    name = f"{container.name} " if args.names else name
    if args.color:
        name = f"\x1b[{31 + number % 6}m{name or container.id[:12] + ' '}\x1b[0m"
    for line in container.logs(options):
        sink = sys.stderr.buffer if line.stream == "stderr" else sys.stdout.buffer
        if line.starts_line:
            sink.write((name + (f"{line.time} " if args.timestamps else "")).encode())
        sink.write(line.data + (b"\n" if line.ends_line else b""))
        sink.flush()
        yield


def _all_at_once(readers: list[Iterator[None]]) -> None:
    import threading

    def drain(reader: Iterator[None]) -> None:
        for _ in reader:
            pass

    threads = [threading.Thread(target=drain, args=(reader,), daemon=True) for reader in readers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
