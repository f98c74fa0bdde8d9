"""Images.

Covers: cmd/podman/images
"""

from __future__ import annotations

import argparse
import sys
from typing import Any

import libpod
from libpod_cli.formatting import ago, go_time, human_size, short, shortened, show
from libpod_cli.lifecycle import confirmed
from libpod_cli.parser import Parser, UsageError
from libpod_cli.progress import blobs, drawn
from libpod_cli.session import Session
from libpod_cli.verbs import verb

COLUMNS = ("Repository", "Tag", "ID", "Created", "Size")
HEADINGS = {"ID": "IMAGE ID", "CreatedSince": "CREATED", "CreatedAt": "CREATED AT"}
SORTS = {
    "created": lambda row: -row["_created"],
    "id": lambda row: row["ID"],
    "repository": lambda row: (row["Repository"], row["Tag"]),
    "size": lambda row: row["_size"],
    "tag": lambda row: row["Tag"],
}


def _images_flags(parser: Parser) -> None:
    parser.switch("-a", "--all", help="the steps of builds too")
    parser.switch("--digests", help="show the digests")
    parser.words(
        "-f",
        "--filter",
        help="only those for which this holds: dangling, label, reference, id, before, since, …",
    )
    parser.text("--format", help='"json" or a template such as {{.Repository}}')
    parser.switch("--history", help="show the names it had")
    parser.switch("--no-trunc", help="whole ids")
    parser.switch("-n", "--noheading", help="no heading")
    parser.switch("-q", "--quiet", help="only ids")
    parser.text("--sort", default="created", help=f"by {', '.join(SORTS)}")


@verb("[options] [IMAGE]", _images_flags, most=1)
def images(args: argparse.Namespace, session: Session) -> int:
    """List images"""
    if args.sort not in SORTS:
        raise UsageError(f'"{args.sort}" is not a way to sort: use one of {", ".join(SORTS)}')
    name = args.arguments[0] if args.arguments else ""
    found = session.runtime.list_images(*args.filter, name=name, steps=args.all)
    if args.quiet:
        for image_id in dict.fromkeys(item.id for item in found):
            print(f"sha256:{image_id}" if args.no_trunc else short(image_id))
        return 0
    rows = [row for item in found for row in rows_of(item, args)]
    rows.sort(key=SORTS[args.sort])
    columns: tuple[str, ...] = COLUMNS
    if args.digests:
        columns = ("Repository", "Tag", "Digest", "ID", "Created", "Size")
    show(
        rows,
        args.format,
        columns=(*columns, "History") if args.history else columns,
        headings=HEADINGS,
        documents=lambda: [item.document() for item in found],
        heading=not args.noheading,
        indent=4,
    )
    return 0


def rows_of(item: libpod.ImageSummary, args: argparse.Namespace) -> list[dict[str, Any]]:
    """A line for each name of an image."""
    names = [name for name in item.names if "@" not in name] or [""]
    return [_row(item, name, args) for name in names]


def _row(item: libpod.ImageSummary, name: str, args: argparse.Namespace) -> dict[str, Any]:
    repository, _, tag = name.rpartition(":")
    return {
        "Repository": repository or "<none>",
        "Tag": tag or "<none>",
        "ID": f"sha256:{item.id}" if args.no_trunc else short(item.id),
        "Id": item.id,
        "Digest": item.digest,
        "Created": ago(item.created_unix),
        "CreatedSince": ago(item.created_unix),
        "CreatedAt": go_time(item.created),
        "CreatedTime": go_time(item.created),
        "Size": human_size(item.size, 3, space=" "),
        "VirtualSize": human_size(item.size, 3, space=" "),
        "History": ", ".join(item.names_history) or "<none>",
        "Names": list(item.names),
        "RepoTags": list(item.names),
        "RepoDigests": list(item.repo_digests),
        "ParentId": item.parent_id,
        "Labels": item.labels,
        "Containers": item.containers,
        "Dangling": item.dangling,
        "ReadOnly": item.read_only,
        "_created": item.created_unix,
        "_size": item.size,
    }


@verb("IMAGE", least=1, most=1)
def image_exists(args: argparse.Namespace, session: Session) -> int:
    """Whether there is such an image"""
    try:
        session.runtime.image(args.arguments[0])
    except (libpod.NoSuchImageError, libpod.InvalidArgumentError):
        return 1
    return 0


@verb("IMAGE NAME [NAME...]", least=2)
def tag(args: argparse.Namespace, session: Session) -> int:
    """Give an image more names"""
    session.runtime.image(args.arguments[0]).tag(*args.arguments[1:])
    return 0


def _import_flags(parser: Parser) -> None:
    parser.array(
        "-c", "--change", help="a Dockerfile instruction such as CMD, ENV, ENTRYPOINT, USER (repeatable)"
    )
    parser.text("-m", "--message", help="a remark for its history")
    parser.switch("-q", "--quiet", help="no progress")


@verb("[options] PATH [REFERENCE]", _import_flags, least=1, most=2)
def import_(args: argparse.Namespace, session: Session) -> int:
    """Make an image of a root file system"""
    source, *reference = args.arguments
    image = session.runtime.import_image(
        sys.stdin.buffer if source == "-" else source, *reference, changes=args.change, message=args.message
    )
    print(f"sha256:{image.id}")
    return 0


def _load_flags(parser: Parser) -> None:
    parser.text("-i", "--input", help="the archive; default: the standard input")
    parser.switch("-q", "--quiet", help="no progress")


@verb("[options]", _load_flags, most=0)
def load(args: argparse.Namespace, session: Session) -> int:
    """Load images from an archive"""
    if not args.input and sys.stdin.isatty():
        raise UsageError("an archive is not read from a terminal: redirect the input, or give --input")
    with drawn(quiet=args.quiet) as bars:
        loaded = session.runtime.load_images(args.input or sys.stdin.buffer, progress=blobs(bars))
    for image in loaded:
        print(f"Loaded image: {image.name or image.id}")
    return 0


def _pull_flags(parser: Parser) -> None:
    parser.switch("-a", "--all-tags", help="every tag the registry has of it")
    parser.text("--platform", help="OS/ARCH[/VARIANT]")
    parser.text("--policy", default="always", help="always, missing, newer or never")
    parser.switch("-q", "--quiet", help="no progress")
    declare_registry(parser)


def declare_registry(parser: Parser) -> None:
    """How a registry is talked to."""
    parser.text("--authfile", help="file of credentials")
    parser.text("--cert-dir", help="directory of certificates")
    parser.text("--creds", help="USER:PASSWORD")
    parser.text("--tls-verify", help="false: plain HTTP, and any certificate")


def registry_options(args: argparse.Namespace) -> dict[str, Any]:
    """The same as the library takes it."""
    from pathlib import Path

    found: dict[str, Any] = {}
    if args.authfile:
        found["authfile"] = Path(args.authfile)
    if args.cert_dir:
        found["cert_dir"] = Path(args.cert_dir)
    if args.creds:
        user, _, password = args.creds.partition(":")
        found["creds"] = (user, password)
    if args.tls_verify:
        found["tls_verify"] = args.tls_verify.lower() in ("true", "1")
    return found


@verb("[options] IMAGE [IMAGE...]", _pull_flags, least=1)
def pull(args: argparse.Namespace, session: Session) -> int:
    """Fetch images"""
    options = registry_options(args)
    if args.platform:
        options["platform"] = args.platform

    def fetch(name: str) -> str:
        if not args.quiet:
            print(f"Trying to pull {name}...", file=sys.stderr, flush=True)
        with drawn(quiet=args.quiet) as bars:
            if args.all_tags:
                pulled = session.runtime.pull_all_tags(name, progress=blobs(bars), **options)
                return "\n".join(image.id for image in pulled)
            return session.runtime.pull(name, policy=args.policy, progress=blobs(bars), **options).id

    return session.each(args.arguments, fetch, "pull")


def _push_flags(parser: Parser) -> None:
    parser.text("--compression-format", help="gzip or zstd")
    parser.text("--digestfile", help="write the digest into this file")
    parser.text("-f", "--format", help="oci, v2s2 or v2s1")
    parser.switch("-q", "--quiet", help="no progress")
    parser.switch("--remove-signatures", help="leave signatures behind")
    parser.text("--sign-by", help="sign it with this key")
    declare_registry(parser)


@verb("[options] IMAGE [DESTINATION]", _push_flags, least=1, most=2)
def push(args: argparse.Namespace, session: Session) -> int:
    """Copy an image to a registry or another place"""
    with drawn(quiet=args.quiet) as bars:
        digest = session.runtime.push(
            *args.arguments,
            compression=args.compression_format,
            format=args.format,
            remove_signatures=args.remove_signatures,
            sign_by=args.sign_by,
            progress=blobs(bars),
            **registry_options(args),
        )
    if args.digestfile:
        with open(args.digestfile, "w") as stream:
            stream.write(digest)
    return 0


def _save_flags(parser: Parser) -> None:
    parser.switch("--compress", help="compress the layers of a docker-dir")
    parser.text(
        "--format", default="docker-archive", help="docker-archive, oci-archive, oci-dir or docker-dir"
    )
    parser.switch(
        "-m", "--multi-image-archive", help="several images; without it the others are names of the first"
    )
    parser.text("-o", "--output", help="the file or directory to write; default: the standard output")
    parser.switch("-q", "--quiet", help="no progress")
    parser.switch("--uncompressed", help="leave the layers of the OCI formats uncompressed")


@verb("[options] IMAGE [IMAGE...]", _save_flags, least=1)
def save(args: argparse.Namespace, session: Session) -> int:
    """Write images into an archive"""
    if not args.output and sys.stdout.isatty():
        raise UsageError("an archive is not written to a terminal: redirect the output, or give --output")
    with drawn(quiet=args.quiet) as bars:
        session.runtime.save_images(
            args.arguments,
            args.output or sys.stdout.buffer,
            format=args.format,
            compress=args.compress,
            uncompressed=args.uncompressed,
            progress=blobs(bars),
        )
    return 0


@verb("IMAGE [NAME...]", least=1)
def untag(args: argparse.Namespace, session: Session) -> int:
    """Take names from an image"""
    session.runtime.image(args.arguments[0]).untag(*args.arguments[1:])
    return 0


def _rmi_flags(parser: Parser) -> None:
    parser.switch("-a", "--all", help="all images")
    parser.switch("-f", "--force", help="remove the containers that are based on it first")
    parser.switch("-i", "--ignore", help="images that are not there are no error")
    parser.switch("--no-prune", help="leave the steps that led to it")


@verb("[options] IMAGE [IMAGE...]", _rmi_flags)
def rmi(args: argparse.Namespace, session: Session) -> int:
    """Remove images"""
    if bool(args.arguments) == args.all:
        raise UsageError("name at least one image, or give --all")
    names = [item.id for item in session.runtime.list_images(steps=True)] if args.all else args.arguments

    def remove(name: str) -> None:
        try:
            reports = session.runtime.remove_image(
                name, force=args.force or args.all, prune=not args.no_prune
            )
        except libpod.NoSuchImageError:
            if args.ignore or args.force or args.all:
                return
            raise
        for report in reports:
            for untagged in report.untagged:
                print(f"Untagged: {untagged}")
            if report.deleted:
                print(f"Deleted: {report.id}")

    return session.each(names, remove, "rmi")


def _prune_flags(parser: Parser) -> None:
    parser.switch("-a", "--all", help="all that no container is based on, whatever their names")
    parser.array("--filter", help="only those for which this holds, as in images")
    parser.switch("-f", "--force", help="do not ask")


@verb("[options]", _prune_flags, most=0)
def image_prune(args: argparse.Namespace, session: Session) -> int:
    """Remove images that nothing needs"""
    which = "images without a container" if args.all else "images without a name"
    if not args.force and not confirmed(f"This removes all {which}."):
        return 0
    for report in session.runtime.prune_images(*args.filter, everything=args.all):
        if report.deleted:
            print(report.id)
    return 0


def _history_flags(parser: Parser) -> None:
    parser.text("--format", help='"json" or a template such as {{.CreatedBy}}')
    parser.switch("-H", "--human", default=True, help="--human=false: whole times and bytes")
    parser.switch("--no-trunc", help="whole texts")
    parser.switch("-q", "--quiet", help="only ids")


@verb("[options] IMAGE", _history_flags, least=1, most=1)
def history(args: argparse.Namespace, session: Session) -> int:
    """Show the steps that led to an image"""
    found = session.runtime.image(args.arguments[0]).history()
    rows = [
        {
            "ID": entry.id if args.no_trunc or entry.id.startswith("<") else short(entry.id),
            "Created": ago(entry.created) if args.human else entry.created,
            "CreatedAt": entry.created,
            "CreatedSince": ago(entry.created),
            "CreatedBy": shortened(entry.created_by, 45, whole=args.no_trunc),
            "Size": human_size(entry.size, 3, space=" ") if args.human else str(entry.size),
            "Comment": entry.comment,
            "Tags": list(entry.tags),
        }
        for entry in found
    ]
    if args.quiet:
        print("\n".join(str(row["ID"]) for row in rows))
        return 0
    documents = [
        {"id": entry.id, "created": entry.created, "CreatedBy": entry.created_by, "size": entry.size,
         "comment": entry.comment, "tags": list(entry.tags)}
        for entry in found
    ]  # fmt: skip
    columns = ("ID", "Created", "CreatedBy", "Size", "Comment")
    show(rows, args.format, columns=columns, headings={"ID": "ID"}, documents=lambda: documents)
    return 0
