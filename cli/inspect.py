"""Everything about objects, as podman's documents.

Covers: cmd/podman/inspect
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

import libpod
from libpod_cli import errors
from libpod_cli.choose import declare_latest
from libpod_cli.formatting import dump, is_json, print_each
from libpod_cli.parser import Parser, UsageError
from libpod_cli.session import Session
from libpod_cli.verbs import verb

INDENT = 5
"""As podman has it."""


def _format_flag(parser: Parser) -> None:
    parser.text("-f", "--format", default="json", help='"json" or a template such as {{.State.Status}}')


def _inspect_flags(parser: Parser) -> None:
    _format_flag(parser)
    declare_latest(parser)
    parser.switch("-s", "--size", help="with the sizes of containers")
    parser.text("-t", "--type", default="all", help="all, container, image, network or volume")


@verb("[options] NAME [NAME...]", _inspect_flags)
def inspect(args: argparse.Namespace, session: Session) -> int:
    """Show everything about containers, images, volumes and networks"""
    if args.type not in KINDS:
        raise UsageError(f'"{args.type}" cannot be inspected: use one of {", ".join(KINDS)}')
    names = [session.runtime.latest().id] if args.latest else args.arguments
    return inspected(names, lambda name: KINDS[args.type](session.runtime, name, args), args.format)


def _container_flags(parser: Parser) -> None:
    _format_flag(parser)
    declare_latest(parser)
    parser.switch("-s", "--size", help="with the sizes")


@verb("[options] CONTAINER [CONTAINER...]", _container_flags)
def container_inspect(args: argparse.Namespace, session: Session) -> int:
    """Show everything about containers"""
    names = [session.runtime.latest().id] if args.latest else args.arguments
    return inspected(names, lambda name: session.runtime.container(name).inspect(size=args.size), args.format)


@verb("[options] IMAGE [IMAGE...]", _format_flag)
def image_inspect(args: argparse.Namespace, session: Session) -> int:
    """Show everything about images"""
    return inspected(args.arguments, lambda name: session.runtime.image(name).inspect(), args.format)


def inspected(names: list[str], document: Callable[[str], dict[str, Any]], template: str) -> int:
    """Print the documents of *names*; what is not there is reported and does not stop the others."""
    if not names:
        raise UsageError("name at least one object")
    found: list[dict[str, Any]] = []
    code = 0
    for name in names:
        try:
            found.append(document(name))
        except libpod.LibpodError as error:
            code = errors.report(error)
    if is_json(template):
        print(dump(found, indent=INDENT))
    else:
        print_each(found, template)
    return code


KINDS: dict[str, Callable[[libpod.Runtime, str, argparse.Namespace], dict[str, Any]]] = {
    "all": lambda runtime, name, args: _any(runtime, name, args),
    "container": lambda runtime, name, args: runtime.container(name).inspect(size=args.size),
    "image": lambda runtime, name, args: runtime.image(name).inspect(),
    "network": lambda runtime, name, args: runtime.network(name).inspect(),
    "volume": lambda runtime, name, args: runtime.volume(name).inspect(),
}


def _any(runtime: libpod.Runtime, name: str, args: argparse.Namespace) -> dict[str, Any]:
    for kind in ("container", "image", "volume", "network"):
        try:
            return KINDS[kind](runtime, name, args)
        except (libpod.NotFoundError, libpod.InvalidArgumentError):
            continue
    raise libpod.NotFoundError(name)
