"""Freezing containers and waking them, here or from an archive.

Covers: cmd/podman/containers (checkpoint, restore)
"""

from __future__ import annotations

import argparse
from typing import Any

import libpod
from libpod_cli import checkpoints
from libpod_cli.checkpoints import SUBVERBS
from libpod_cli.choose import chosen, declare_choice
from libpod_cli.formatting import dump
from libpod_cli.parser import Parser, UsageError
from libpod_cli.progress import drawn, phases
from libpod_cli.session import Session
from libpod_cli.verbs import verb


def _checkpoint_flags(parser: Parser) -> None:
    declare_choice(parser, which="all that run")
    parser.text(
        "-c", "--compress", help="gzip, none or zstd; default: what the archive's name says, else zstd"
    )
    parser.text("--create-image", help="make a checkpoint image of this name")
    parser.text("-e", "--export", help="write one archive, which another host can restore")
    parser.switch("--dry-run", help="only say whether it would work, and what the archive would hold")
    parser.switch("--file-locks", help="allow processes that hold file locks")
    parser.switch("--ignore-rootfs", help="leave the changes of the root file system out of the archive")
    parser.switch("--ignore-volumes", help="leave the volumes out of the archive")
    parser.switch("-k", "--keep", help="keep CRIU's logs and statistics")
    parser.switch("-R", "--leave-running", help="let it run on")
    parser.switch("-P", "--pre-checkpoint", help="dump memory only, and let it run on")
    parser.switch("--print-stats", help="show how long it took")
    parser.switch("--tcp-established", help="allow established TCP connections")
    parser.switch("--with-previous", help="dump only what changed since the pre-checkpoint")
    parser.switch("--env", help="inspect: show the environment of every process")
    parser.text("--format", help="inspect, compare: json instead of a tree")


@verb(
    "[options] CONTAINER [CONTAINER...] | inspect ARCHIVE [ARCHIVE...] | compare ARCHIVE ARCHIVE",
    _checkpoint_flags,
)
def checkpoint(args: argparse.Namespace, session: Session) -> int:
    """Freeze running containers, into their directories or into an archive"""
    if (
        args.arguments
        and args.arguments[0] in SUBVERBS
        and not session.runtime.has_container(args.arguments[0])
    ):
        return checkpoints.run(args, session)
    names = chosen(args, session, of_all=lambda item: item.status is libpod.ContainerStatus.RUNNING)
    if len(names) > 1 and (args.export or args.create_image):
        raise UsageError("an archive or image holds one container: name one")
    fields: dict[str, Any] = {
        "export": args.export or None,
        "create_image": args.create_image,
        "compress": args.compress or None,
        "leave_running": args.leave_running,
        "keep": args.keep,
        "ignore_rootfs": args.ignore_rootfs,
        "ignore_volumes": args.ignore_volumes,
        "tcp_established": args.tcp_established,
        "file_locks": args.file_locks,
        "pre_checkpoint": args.pre_checkpoint,
        "with_previous": args.with_previous,
    }
    libpod.CheckpointOptions(
        **fields
    )  # a request that makes no sense is refused before any container is looked for
    if args.dry_run:
        return _said([session.runtime.can_checkpoint(name, **fields) for name in names], args)
    reports: list[Any] = []

    def freeze(name: str) -> str | None:
        with drawn() as bars:
            options = libpod.CheckpointOptions(**fields, progress=phases(bars))
            report = session.runtime.container(name).checkpoint(options)
        reports.append(report)
        return None if args.print_stats else report.id if args.all or args.latest else name

    return _finished(session.each(names, freeze, "checkpoint"), reports, args, "checkpoint")


def _restore_flags(parser: Parser) -> None:
    declare_choice(parser, which="all that are checkpointed")
    parser.switch("--dry-run", help="only say whether this host could wake the archive")
    parser.switch("--file-locks", help="set the file locks again")
    parser.switch("--ignore-rootfs", help="do not apply the archive's changes of the root file system")
    parser.switch("--ignore-static-ip", help="take any free address")
    parser.switch("--ignore-static-mac", help="take any MAC address")
    parser.switch("--ignore-volumes", help="do not restore the archive's volumes")
    parser.text("-i", "--import", help="wake a new container from this archive")
    parser.text("--import-previous", help="the pre-checkpoint's archive that it is based on")
    parser.switch("-k", "--keep", help="keep the images, logs and statistics")
    parser.text("-n", "--name", help="another name for the new container")
    parser.text("--pod", help="put it into this pod")
    parser.text("--policy", help="what an archive may ask for: default, or trusted for one of your own")
    parser.switch("--print-stats", help="show how long it took")
    parser.words("-p", "--publish", help="publish these ports instead of the archive's")
    parser.switch("--tcp-close", help="wake it with its TCP connections closed")
    parser.switch("--tcp-established", help="wake its TCP connections too")


@verb("[options] CONTAINER [CONTAINER...] | -i ARCHIVE", _restore_flags)
def restore(args: argparse.Namespace, session: Session) -> int:
    """Wake containers from a checkpoint"""
    archive = getattr(args, "import")
    fields: dict[str, Any] = {
        name: getattr(args, name)
        for name in ("keep", "tcp_established", "tcp_close", "file_locks", "ignore_rootfs", "ignore_volumes",
                     "ignore_static_ip", "ignore_static_mac", "pod")
    }  # fmt: skip
    fields["policy"] = _policy(args.policy)
    fields |= {"publish": tuple(args.publish), "import_previous": args.import_previous or None}
    reports: list[Any] = []
    if archive:
        if args.arguments or args.all or args.latest:
            raise UsageError("--import makes a new container: name none")
        if args.dry_run:
            return _said([session.runtime.can_restore(archive, name=args.name or None, **fields)], args)
        with drawn() as bars:
            container, report = session.runtime.restore_with_report(
                import_=archive, name=args.name or None, progress=phases(bars), **fields
            )
        reports.append(report)
        if not args.print_stats:
            print(container.id)
        return _finished(0, reports, args, "restore")
    if args.dry_run:
        raise UsageError("--dry-run looks at archives: name one with --import")
    checkpointed = libpod.ContainerStatus.EXITED
    names = chosen(args, session, of_all=lambda item: item.state.checkpointed and item.status is checkpointed)

    def wake(name: str) -> str | None:
        # A name that is no container's may be that of a checkpoint image.
        source = {"container": name} if session.runtime.has_container(name) else {"image": name}
        container, report = session.runtime.restore_with_report(**source, name=args.name or None, **fields)
        reports.append(report)
        return None if args.print_stats else container.id if args.all or args.latest else name

    return _finished(session.each(names, wake, "restore"), reports, args, "restore")


def _said(reports: list[libpod.FitnessReport], args: argparse.Namespace) -> int:
    """Show what was found; 125 unless all are fit."""
    if getattr(args, "format", "") == "json":
        print(dump([report.to_document() for report in reports], indent=4))
    else:
        for report in reports:
            print(f"{report.subject}: {'fit' if report.fit else 'not fit'}")
            for finding in report.findings:
                print(f"  {finding}")
            for name, size in report.contents.items():
                print(f"  holds {name}: {size} bytes")
            if report.directory is not None:
                print(f"  needs {report.needed} of {report.free} bytes in {report.directory}")
    return 0 if all(report.fit for report in reports) else 125


def _policy(word: str) -> libpod.ImportPolicy:
    if word not in {"", "default", "trusted"}:
        raise UsageError(f'"{word}" is no policy: use default or trusted')
    return libpod.ImportPolicy.trusted() if word == "trusted" else libpod.ImportPolicy()


def _finished(code: int, reports: list[Any], args: argparse.Namespace, verb_name: str) -> int:
    if args.print_stats:
        total = sum(report.duration for report in reports)
        statistics = [report.to_document() for report in reports]
        print(dump({f"podman_{verb_name}_duration": total, "container_statistics": statistics}, indent=4))
    return code
