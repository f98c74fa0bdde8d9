"""A container's files: mounted, compared, exported.

Covers: cmd/podman/containers (mount, unmount, diff, export, commit)
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

import libpod
from libpod_cli.choose import chosen, declare_choice, declare_latest, one
from libpod_cli.formatting import dump, is_json
from libpod_cli.parser import Parser, UsageError
from libpod_cli.session import Session
from libpod_cli.tables import aligned
from libpod_cli.verbs import verb


def _mount_flags(parser: Parser) -> None:
    declare_choice(parser)
    parser.text("--format", help='"json"')
    parser.switch("--no-trunc", help="whole ids")


@verb("[options] [CONTAINER...]", _mount_flags)
def mount(args: argparse.Namespace, session: Session) -> int:
    """Mount the root file system of containers"""
    if not (args.arguments or args.all or args.latest):
        _list_mounted(args, session)
        return 0
    several = len(names := chosen(args, session)) > 1

    def do(name: str) -> str:
        path = session.runtime.container(name).mount()
        return f"{name} {path}" if several else str(path)

    return session.each(names, do, "mount")


def _list_mounted(args: argparse.Namespace, session: Session) -> None:
    found = [(item.id, item.state.mount_point) for item in session.runtime.containers() if item.state.mounted]
    if is_json(args.format):
        print(dump([{"id": ctr_id, "mountpoint": path} for ctr_id, path in found]))
    elif found:
        print(aligned([(ctr_id if args.no_trunc else ctr_id[:12], path) for ctr_id, path in found]))


def _unmount_flags(parser: Parser) -> None:
    declare_choice(parser, which="all that are mounted")
    parser.switch("-f", "--force", help="whoever uses it")


@verb("[options] CONTAINER [CONTAINER...]", _unmount_flags)
def unmount(args: argparse.Namespace, session: Session) -> int:
    """Undo mount"""
    names = chosen(args, session, of_all=lambda item: item.state.mounted)

    def do(name: str) -> str:
        session.runtime.container(name).unmount(force=args.force)
        return name

    return session.each(names, do, "unmount")


def _diff_flags(parser: Parser) -> None:
    parser.text("--format", help='"json"')
    declare_latest(parser)


@verb("[options] CONTAINER|IMAGE [CONTAINER|IMAGE]", _diff_flags, most=2)
def diff(args: argparse.Namespace, session: Session) -> int:
    """Show what a container or image changed, or what is different in it from another"""
    if len(args.arguments) == 2:
        found = session.runtime.diff(*args.arguments)
    elif args.latest or not args.arguments:
        found = one(args, session).diff()
    else:
        found = session.runtime.diff(args.arguments[0])
    return show_changes(found, args)


def show_changes(found: Sequence[libpod.Change], args: argparse.Namespace) -> int:
    """Changes as podman prints them."""
    if args.format:
        if not is_json(args.format):
            raise UsageError('only "json" is a format of diff')
        kinds = {"C": "changed", "A": "added", "D": "deleted"}
        groups = {
            name: [item.path for item in found if item.kind.value == kind] for kind, name in kinds.items()
        }
        print(dump({name: paths for name, paths in groups.items() if paths}, indent=5))
        return 0
    for item in found:
        print(item)
    return 0


@verb(
    "[options] CONTAINER",
    lambda parser: parser.text("-o", "--output", help="the file to write"),
    least=1,
    most=1,
)
def export(args: argparse.Namespace, session: Session) -> int:
    """Write a container's root file system as a tar"""
    container = session.runtime.container(args.arguments[0])
    if not args.output:
        if sys.stdout.isatty():
            raise UsageError("a tar is not written to a terminal: redirect the output, or give --output")
        container.export(sys.stdout.buffer)
        return 0
    made = f"{args.output}.part"
    try:
        with open(made, "xb") as stream:
            container.export(stream)
        os.rename(made, args.output)
    except BaseException:
        if os.path.exists(made):
            os.unlink(made)
        raise
    return 0


def _commit_flags(parser: Parser) -> None:
    parser.text("-a", "--author", help="who made it")
    parser.array("-c", "--change", help="a Dockerfile instruction such as CMD, ENV, USER (repeatable)")
    parser.text("-f", "--format", default="oci", help="oci or docker")
    parser.text("--iidfile", help="write the image's id into this file")
    parser.switch("--include-volumes", help="make its volumes volumes of the image")
    parser.text("-m", "--message", help="a remark for the history")
    parser.switch("-p", "--pause", default=True, help="pause it meanwhile")
    parser.switch("-q", "--quiet", help="no progress")
    parser.switch("-s", "--squash", help="make one layer of everything")


@verb("[options] CONTAINER [IMAGE]", _commit_flags, least=1, most=2)
def commit(args: argparse.Namespace, session: Session) -> int:
    """Make an image of a container's changes"""
    name, *image = args.arguments
    image_id = session.runtime.container(name).commit(
        *image,
        author=args.author,
        message=args.message,
        changes=tuple(args.change),
        format=args.format,
        pause=args.pause,
        squash=args.squash,
        include_volumes=args.include_volumes,
    )
    if args.iidfile:
        with open(args.iidfile, "w") as stream:
            stream.write(f"sha256:{image_id}")
    print(image_id)
    return 0


def _cp_flags(parser: Parser) -> None:
    parser.switch(
        "-a",
        "--archive",
        default=True,
        help="--archive=false: in the container keep the owners of the source",
    )
    parser.switch("--overwrite", help="let directories replace files, and files directories")


@verb("[options] [CONTAINER:]SRC_PATH [CONTAINER:]DEST_PATH", _cp_flags, least=2, most=2)
def cp(args: argparse.Namespace, session: Session) -> int:
    """Copy files between containers and the host"""
    source, destination = args.arguments
    if destination in ("-", "/dev/stdout") and sys.stdout.isatty():
        raise UsageError("a tar is not written to a terminal: redirect the output")
    session.runtime.copy(
        sys.stdin.buffer if source in ("-", "/dev/stdin") else source,
        sys.stdout.buffer if destination in ("-", "/dev/stdout") else destination,
        overwrite=args.overwrite,
        archive=args.archive,
    )
    return 0
