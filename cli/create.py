"""run and create.

Covers: cmd/podman/containers (run, create)
"""

from __future__ import annotations

import argparse
import contextlib
import os
from collections.abc import Iterator

import libpod
from libpod_cli.create_flags import create_options, declare_create
from libpod_cli.parser import Parser, UsageError
from libpod_cli.session import Session
from libpod_cli.streams import declare_streams, start_attached
from libpod_cli.verbs import verb

STREAMS = ("stdin", "stdout", "stderr")


def _run_flags(parser: Parser) -> None:
    declare_create(parser)
    declare_streams(parser)
    parser.words("-a", "--attach", help="connect only these: stdin, stdout, stderr")
    parser.switch("-d", "--detach", help="leave it running and print its id")


@verb("[options] IMAGE [COMMAND [ARG...]]", declare_create, least=1, interspersed=False)
def create(args: argparse.Namespace, session: Session) -> int:
    """Make a container without starting it"""
    with _made(args, session) as container:
        print(container.id)
    return 0


@verb("[options] IMAGE [COMMAND [ARG...]]", _run_flags, least=1, interspersed=False)
def run(args: argparse.Namespace, session: Session) -> int:
    """Make a container and run its command"""
    wanted = {word.lower() for word in args.attach}
    if not wanted <= set(STREAMS):
        raise UsageError(f'"{next(iter(wanted - set(STREAMS)))}" is not a stream: use {", ".join(STREAMS)}')
    if args.detach and wanted:
        raise UsageError("--detach and --attach exclude each other")
    with _made(args, session) as container:
        if args.detach:
            container.start(recursive=True)
            print(container.id)
            return 0
        code = start_attached(
            container,
            args,
            stdin=args.interactive if not wanted else "stdin" in wanted,
            stdout=not wanted or "stdout" in wanted,
            stderr=not wanted or "stderr" in wanted,
            will_remove=args.rm,
        )
    if args.rm and container_over(container):
        # conmon's clean-up would do it too, in a second; whoever looks now wants it gone.
        with contextlib.suppress(libpod.NoSuchContainerError):
            container.remove(volumes=True)
    return code


@contextlib.contextmanager
def _made(args: argparse.Namespace, session: Session) -> Iterator[libpod.Container]:
    """The new container; with --rm it goes when the block fails."""
    options = create_options(args, session.command_line)
    if args.cidfile and os.path.lexists(args.cidfile):
        raise UsageError(f"{args.cidfile} exists already: remove it, or write the ID elsewhere")
    if args.replace:
        if not args.name:
            raise UsageError("--replace needs --name")
        with contextlib.suppress(libpod.NoSuchContainerError):
            session.runtime.container(args.name).remove(force=True)
    container = session.runtime.create(options)
    try:
        if args.cidfile:
            with open(args.cidfile, "x") as stream:
                stream.write(container.id)
        yield container
    except BaseException:
        if args.rm:
            with contextlib.suppress(libpod.LibpodError):
                container.remove(force=True, volumes=True)
        raise


def container_over(container: libpod.Container) -> bool:
    """Whether it has ended, as opposed to running on without us."""
    try:
        return container.status().word in ("exited", "stopped")
    except libpod.NoSuchContainerError:
        return False
