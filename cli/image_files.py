"""What is in images: built, mounted, compared, drawn.

Covers: cmd/podman/images (build, mount, unmount, diff, tree)
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import Any

from libpod_cli.files import show_changes
from libpod_cli.formatting import dump, human_size, is_json
from libpod_cli.images import declare_registry, registry_options
from libpod_cli.parser import Parser, UsageError
from libpod_cli.session import Session
from libpod_cli.tables import aligned
from libpod_cli.verbs import verb


def _build_flags(parser: Parser) -> None:
    parser.array("--annotation", help="KEY=VALUE for the manifest (repeatable)")
    parser.array("--build-arg", help="NAME=VALUE of an ARG (repeatable)")
    parser.array("--build-context", help="NAME=PLACE of a further context (repeatable)")
    parser.array("--env", help="NAME=VALUE in the image (repeatable)")
    parser.array("-f", "--file", help="a Containerfile; default Containerfile or Dockerfile in the context")
    parser.text("--format", default="oci", help="oci or docker")
    parser.text("--iidfile", help="write the image's id into this file")
    parser.text("--isolation", help="oci, chroot or rootless")
    parser.array("--label", help="KEY=VALUE (repeatable)")
    parser.switch("--layers", default=True, help="--layers=false: keep no image of the steps")
    parser.text("--network", help="of RUN steps: host, none, …")
    parser.switch("--no-cache", help="run every step again")
    parser.text("--platform", help="OS/ARCH[/VARIANT]")
    parser.text("--pull", default="missing", help="always, missing, newer or never")
    parser.switch("-q", "--quiet", help="print the id only")
    parser.array("--secret", help="id=NAME,src=PATH for RUN steps (repeatable)")
    parser.switch("--squash", help="one layer of all steps")
    parser.array("-t", "--tag", help="a name for the image (repeatable)")
    parser.text("--target", help="the stage to stop at")
    parser.number("--timestamp", help="seconds since 1970 for all that is made")
    parser.array("-v", "--volume", help="a mount for RUN steps (repeatable)")
    declare_registry(parser)


@verb("[options] [CONTEXT]", _build_flags, most=1)
def build(args: argparse.Namespace, session: Session) -> int:
    """Build an image from a Containerfile"""
    options: dict[str, Any] = {
        "files": tuple(Path(name) for name in args.file),
        "tags": tuple(args.tag),
        "build_args": _pairs(args.build_arg, from_environment=True),
        "build_contexts": _pairs(args.build_context),
        "labels": _pairs(args.label),
        "annotations": _pairs(args.annotation),
        "env": _pairs(args.env, from_environment=True),
        "secrets": tuple(args.secret),
        "volumes": tuple(args.volume),
        "timestamp": args.timestamp,
        **{
            name: getattr(args, name)
            for name in (
                "format", "isolation", "layers", "network", "no_cache", "platform", "pull", "squash", "target",
            )
        },
        **registry_options(args),
    }  # fmt: skip
    context = args.arguments[0] if args.arguments else "."
    image = session.runtime.build(context, on_output=None if args.quiet else _shown, **options)
    if args.iidfile:
        Path(args.iidfile).write_text(f"sha256:{image.id}")
    print(image.id)
    return 0


def _shown(data: bytes) -> None:
    sys.stdout.flush()
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()


def _pairs(words: list[str], *, from_environment: bool = False) -> dict[str, str]:
    found = {}
    for word in words:
        name, given, value = word.partition("=")
        if given:
            found[name] = value
        elif from_environment:
            if name in os.environ:
                found[name] = os.environ[name]
        else:
            found[name] = ""
    return found


def _mount_flags(parser: Parser) -> None:
    parser.switch("-a", "--all", help="all images")
    parser.text("--format", help='"json"')


@verb("[options] [IMAGE...]", _mount_flags)
def image_mount(args: argparse.Namespace, session: Session) -> int:
    """Mount the root file system of images, or list those that are mounted"""
    runtime = session.runtime
    names = [image.id for image in runtime.images()] if args.all else args.arguments
    if not names:
        mounted = [(image, image.mountpoint()) for image in runtime.images()]
        rows = [(image, path) for image, path in mounted if path is not None]
        if is_json(args.format):
            print(
                dump(
                    [
                        {"id": image.id, "Repositories": list(image.names), "mountpoint": str(path)}
                        for image, path in rows
                    ]
                )
            )
        elif rows:
            print(aligned([(image.name or image.id[:12], str(path)) for image, path in rows]))
        return 0

    def do(name: str) -> str:
        path = runtime.image(name).mount()
        return f"{name} {path}" if len(names) > 1 else str(path)

    return session.each(names, do, "mount")


def _unmount_flags(parser: Parser) -> None:
    parser.switch("-a", "--all", help="all that are mounted")
    parser.switch("-f", "--force", help="however often it was mounted")


@verb("[options] IMAGE [IMAGE...]", _unmount_flags)
def image_unmount(args: argparse.Namespace, session: Session) -> int:
    """Undo image mount"""
    if bool(args.arguments) == args.all:
        raise UsageError("name at least one image, or give --all")
    runtime = session.runtime
    names = [each.id for each in runtime.images() if each.mountpoint()] if args.all else args.arguments

    def do(name: str) -> str:
        image = runtime.image(name)
        image.unmount(force=args.force)
        return image.id

    return session.each(names, do, "unmount")


@verb("[options] IMAGE [IMAGE]", lambda parser: parser.text("--format", help='"json"'), least=1, most=2)
def image_diff(args: argparse.Namespace, session: Session) -> int:
    """Show what an image changed, or what is different in it from another"""
    image, *other = (session.runtime.image(name) for name in args.arguments)
    return show_changes(image.diff(*other), args)


@verb(
    "[options] IMAGE",
    lambda parser: parser.switch("--whatrequires", help="all that is built upon it"),
    least=1,
    most=1,
)
def image_tree(args: argparse.Namespace, session: Session) -> int:
    """Draw the layers of an image"""
    image = session.runtime.image(args.arguments[0])
    print(f"Image ID: {image.id[:12]}")
    print(f"Tags:     [{' '.join(image.names)}]")
    print(f"Size:     {human_size(image.size(), 4)}")
    layers = image.tree(what_requires=args.whatrequires)
    print("Image Layers" if layers else "No Image Layers")
    for number, layer in enumerate(layers):
        last = not any(later.depth <= layer.depth for later in layers[number + 1 :])
        tags = f" Top Layer of: [{' '.join(layer.tags)}]" if layer.tags else ""
        indent = "     " * layer.depth if args.whatrequires else ""
        corner = "└── " if last or number == len(layers) - 1 else "├── "
        print(f"{indent}{corner}ID: {layer.layer_id[:12]} Size: {human_size(layer.size, 4):>7}{tags}")
    return 0
