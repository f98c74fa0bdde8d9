"""Keeping the engine in order: what is wrong with it, who holds its locks, moving it, removing all of it.

Covers: cmd/podman/system (check, locks, renumber, migrate, reset)
"""

from __future__ import annotations

import argparse

import libpod
from libpod_cli.formatting import dump, is_json
from libpod_cli.parser import Parser
from libpod_cli.session import Session, engine_settings
from libpod_cli.verbs import verb


def _check_flags(parser: Parser) -> None:
    parser.switch("-r", "--repair", help="put right what is found")
    parser.text("--format", help='"json"')


@verb("[options]", _check_flags, most=0)
def system_check(args: argparse.Namespace, session: Session) -> int:
    """Look for leftovers and damage"""
    report = session.runtime.check(repair=args.repair)
    if is_json(args.format):
        print(dump([_document(item) for item in report.findings]))
    else:
        for item in report.findings:
            print(item)
    return 0 if report.is_clean else 1


def _document(item: libpod.Finding) -> dict[str, object]:
    return {
        "Kind": item.kind,
        "Subject": item.subject,
        "Problem": item.sentence,
        "Repaired": item.repaired,
        "Error": item.error,
        "Resolution": item.resolution,
    }


@verb("", most=0)
def system_locks(args: argparse.Namespace, session: Session) -> int:
    """Show who holds locks, and locks that several objects share"""
    conflicts = 0
    for lock in session.runtime.locks():
        objects = ", ".join(lock.objects) or "nothing that is recorded"
        if lock.is_conflict:
            conflicts += 1
            print(f"Lock {lock.number} is in use by several objects: {objects}")
        if lock.held:
            holder = f"process {lock.pid} ({lock.command})" if lock.pid else "a process that is not known"
            print(f"Lock {lock.number} of {objects} is held by {holder}")
    if not conflicts:
        print("No lock conflicts have been detected")
    return 0


@verb("", most=0)
def system_renumber(args: argparse.Namespace, session: Session) -> int:
    """Give all objects new locks"""
    session.runtime.renumber(everything=True)
    return 0


def _migrate_flags(parser: Parser) -> None:
    parser.text("--new-runtime", help="OCI runtime that all containers get")


@verb("[options]", _migrate_flags, most=0)
def system_migrate(args: argparse.Namespace, session: Session) -> int:
    """Bring records in line with directories that were moved, or with another OCI runtime"""
    report = libpod.Runtime.migrate(**engine_settings(session.settings), new_runtime=args.new_runtime)
    for name, (old, new) in report.moved.items():
        print(f"{name}: {old} is {new} now")
    return 0


def _reset_flags(parser: Parser) -> None:
    parser.switch("-f", "--force", help="do not ask")


@verb("[options]", _reset_flags, most=0)
def system_reset(args: argparse.Namespace, session: Session) -> int:
    """Remove all containers, pods, volumes and networks of this engine"""
    from libpod_cli.lifecycle import confirmed

    if args.force or confirmed("This removes all containers, pods, volumes and networks of this engine."):
        session.runtime.reset()
    return 0
