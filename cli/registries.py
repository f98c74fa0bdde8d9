"""Registries: logging in and out, searching.

Covers: cmd/podman (login, logout, search)
"""

from __future__ import annotations

import argparse
import getpass
import sys
from pathlib import Path
from typing import Any

import libpod
from libpod_cli.formatting import shortened, show
from libpod_cli.images import declare_registry, registry_options
from libpod_cli.parser import Parser, UsageError
from libpod_cli.session import Session
from libpod_cli.verbs import verb


def _login_flags(parser: Parser) -> None:
    parser.text("--authfile", help="file of credentials")
    parser.text("--cert-dir", help="directory of certificates")
    parser.text("-p", "--password", help="the password; better read by --password-stdin")
    parser.switch("--password-stdin", help="read the password from the standard input")
    parser.text("--tls-verify", help="false: plain HTTP, and any certificate")
    parser.text("-u", "--username", help="the user")


@verb("[options] REGISTRY", _login_flags, least=1, most=1)
def login(args: argparse.Namespace, session: Session) -> int:
    """Log in to a registry"""
    if args.password and args.password_stdin:
        raise UsageError("--password and --password-stdin exclude each other")
    args.creds = ""
    options = registry_options(args)
    user = args.username or input("Username: ")
    if args.password_stdin:
        password = sys.stdin.read().rstrip("\n")
    else:
        password = args.password or getpass.getpass("Password: ")
    libpod.login(args.arguments[0], user, password, **options)
    print("Login Succeeded!")
    return 0


@verb(
    "[options] REGISTRY",
    lambda parser: parser.text("--authfile", help="file of credentials"),
    least=1,
    most=1,
)
def logout(args: argparse.Namespace, session: Session) -> int:
    """Log out of a registry"""
    libpod.logout(args.arguments[0], authfile=Path(args.authfile) if args.authfile else None)
    print(f"Removed login credentials for {args.arguments[0]}")
    return 0


def _search_flags(parser: Parser) -> None:
    parser.switch("--compatible", help="show stars, and which are official and automated")
    parser.words("-f", "--filter", help="stars=N, is-official=true|false, is-automated=true|false")
    parser.text("--format", help='"json" or a template such as {{.Name}}')
    parser.number("--limit", default=25, help="how many at most")
    parser.switch("--list-tags", help="the tags of one repository")
    parser.switch("--no-trunc", help="whole descriptions")
    declare_registry(parser)


@verb("[options] TERM", _search_flags, least=1, most=1)
def search(args: argparse.Namespace, session: Session) -> int:
    """Search registries"""
    found = session.runtime.search(
        args.arguments[0],
        limit=args.limit,
        filters=tuple(args.filter),
        list_tags=args.list_tags,
        **registry_options(args),
    )
    rows = [_row(item, args) for item in found]
    if args.list_tags:
        columns: tuple[str, ...] = ("Name", "Tag")
    else:
        columns = ("Name", "Description", *(("Stars", "Official", "Automated") if args.compatible else ()))
    show(
        rows, args.format, columns=columns, headings={}, documents=lambda: rows, heading=bool(rows), indent=4
    )
    return 0


def _row(item: libpod.SearchResult, args: argparse.Namespace) -> dict[str, Any]:
    return {
        "Index": item.index,
        "Name": item.name,
        "Description": shortened(item.description, 44, whole=args.no_trunc),
        "Stars": item.stars,
        "Official": "[OK]" if item.official else "",
        "Automated": "[OK]" if item.automated else "",
        "Tag": item.tag,
    }
