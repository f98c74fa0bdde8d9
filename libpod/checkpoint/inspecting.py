"""Look into an archive in one pass, without restoring it.

Descriptions (small images, documents) go into a temporary directory and are decoded; page files pass by, and only the
few bytes that are command lines and environments are kept; tars inside the archive are listed as they pass. So the
memory needed does not depend on the archive's size. An archive in which page files come before their page maps, as no
engine writes it, is inspected without command lines.

Covers: checkpointctl/cmd (inspect, show, memparse)
"""

from __future__ import annotations

import json
import os
import re
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from libpod.checkpoint import criu_images, documents, members
from libpod.checkpoint.inspect_processes import (
    Decoded,
    TextRange,
    mounts_of,
    processes_of,
    text_ranges,
)
from libpod.checkpoint.inspection import CheckpointInspection, TreeContent
from libpod.checkpoint.reader import Consumer, MemberStream, UnpackedArchive, open_archive
from libpod.checkpoint.statistics import DumpStatistics, read_dump_statistics
from libpod.checkpoint.tarformat import TarFormatError, TarStream
from libpod.define.errors import ArchiveError

SHOWN_PATHS = 1000
_CHUNK = 1 << 20
_PAGES = re.compile(r"(?:pre-)?checkpoint/pages-(\d+)\.img")
_IMAGE = re.compile(r"(core|mm|pagemap|ids|fs|fdinfo|mountpoints)-(\d+)\.img")
_ARCHITECTURES = {"X86_64": "amd64", "AARCH64": "arm64", "ARM": "arm", "PPC64": "ppc64le", "S390": "s390x",
                  "RISCV64": "riscv64", "LOONGARCH64": "loong64", "MIPS": "mips64le"}  # fmt: skip
NO_CONTENT = TreeContent(entries=0, size=0, paths=())


def inspect_archive(
    path: Path, *, criu: Path | None = None, environment: bool = False, scratch: Path | None = None
) -> CheckpointInspection:
    """Everything about the archive *path*; *criu* is the program beside which its image definitions lie.

    Raises NotSupportedError without the definitions, HostError, and ArchiveError for what is no checkpoint.
    """
    decoder = criu_images.require_decoder(criu)
    with tempfile.TemporaryDirectory(prefix="inspect-", dir=scratch) as directory:
        staging = Path(directory)
        passing = _Passing(staging, decoder, str(path))
        with open_archive(path, staging=staging) as archive:
            archive.head()
            unpacked = archive.unpack(passing)
        images = passing.images(unpacked)
        return _inspection(path, unpacked, images, passing, environment=environment)


class _Passing(Mapping[str, Consumer]):
    """What becomes of large members as they pass: a consumer for each page file and each tar."""

    def __init__(self, staging: Path, decoder: Any, archive: str) -> None:
        self._staging = staging
        self._decoder = decoder
        self._archive = archive
        self._cache: dict[str, list[criu_images.Entry]] = {}
        self.texts: dict[tuple[int, str], bytearray] = {}
        self.trees: dict[str, TreeContent] = {}

    def __getitem__(self, name: str) -> Consumer:
        if match := _PAGES.fullmatch(name):
            directory, number = name.rpartition("/")[0], int(match[1])
            return lambda stream: self._take_pages(stream, directory, number)
        if name in (members.ROOTFS_DIFF_TAR, members.DEVSHM_TAR) or members.volume_of(name):
            return lambda stream: self._take_tree(stream, name)
        if name == members.CTR_LOG or (name.endswith(".img") and "/tmpfs-dev-" in name):
            return _drain
        raise KeyError(name)

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0

    def __bool__(self) -> bool:
        """It has no list of names, and yet it has consumers."""
        return True

    def images(self, unpacked: UnpackedArchive) -> Decoded:
        """All descriptions, once everything has passed."""
        directory = unpacked.images or unpacked.pre_images
        assert directory is not None
        by_kind: dict[str, dict[int, list[criu_images.Entry]]] = {}
        for file in sorted(directory.iterdir()):
            if match := _IMAGE.fullmatch(file.name):
                by_kind.setdefault(match[1], {})[int(match[2])] = self.decoded(file)
        first = {
            kind: {number: entries[0] for number, entries in found.items() if entries}
            for kind, found in by_kind.items()
        }
        files = self._optional(directory / "files.img")
        return Decoded(
            tree=self._optional(directory / "pstree.img"),
            cores=first.get("core", {}),
            mms=first.get("mm", {}),
            pagemaps=by_kind.get("pagemap", {}),
            ids=first.get("ids", {}),
            fs=first.get("fs", {}),
            descriptors=by_kind.get("fdinfo", {}),
            files={int(entry.get("id", 0)): entry for entry in files},
            mounts=[entry for entries in by_kind.get("mountpoints", {}).values() for entry in entries],
        )

    def decoded(self, file: Path) -> list[criu_images.Entry]:
        """The entries of an image in the staging directory, decoded once."""
        key = file.name
        if key not in self._cache:
            self._cache[key] = criu_images.decode(self._decoder, file, archive=self._archive)
        return self._cache[key]

    def _optional(self, file: Path) -> list[criu_images.Entry]:
        return self.decoded(file) if file.exists() else []

    def _take_pages(self, stream: MemberStream, directory: str, number: int) -> None:
        position = 0
        for wanted in self._ranges(directory, number):
            position = _skip(stream, wanted.offset - position, position)
            data = _exactly(stream, wanted.size)
            position += len(data)
            text = self.texts.setdefault((wanted.pid, wanted.part), bytearray())
            text.extend(bytes(max(0, wanted.position - len(text))))
            text[wanted.position : wanted.position + len(data)] = data
        _drain(stream)

    def _ranges(self, directory: str, number: int) -> list[TextRange]:
        found: list[TextRange] = []
        for file in (self._staging / directory).glob("pagemap-*.img"):
            match = _IMAGE.fullmatch(file.name)
            mm = file.with_name(file.name.replace("pagemap-", "mm-"))
            if match is None or not mm.exists():
                continue
            described = self.decoded(mm)
            pages, ranges = text_ranges(described[0] if described else {}, self.decoded(file), int(match[2]))
            found += ranges if pages == number else []
        found.sort(key=lambda item: item.offset)
        return _apart(found)

    def _take_tree(self, stream: MemberStream, name: str) -> None:
        entries = size = 0
        paths: list[str] = []
        tar = TarStream(stream)
        try:
            while (header := tar.next()) is not None:
                entries += 1
                size += header.size
                if len(paths) < SHOWN_PATHS and header.name.strip("./"):
                    paths.append("/" + header.name.removeprefix("./").rstrip("/"))
        except TarFormatError as error:
            raise ArchiveError(self._archive, f"its {name} is damaged: {error}") from error
        _drain(stream)
        self.trees[name] = TreeContent(entries=entries, size=size, paths=tuple(paths))


def _apart(ranges: list[TextRange]) -> list[TextRange]:
    """Without those that overlap an earlier one, which only a forged page map has."""
    kept: list[TextRange] = []
    for item in ranges:
        if not kept or item.offset >= kept[-1].offset + kept[-1].size:
            kept.append(item)
    return kept


def _skip(stream: MemberStream, count: int, position: int) -> int:
    while count > 0 and (data := stream.read(min(count, _CHUNK))):
        count -= len(data)
        position += len(data)
    return position


def _exactly(stream: MemberStream, count: int) -> bytes:
    data = b""
    while len(data) < count and (piece := stream.read(count - len(data))):
        data += piece
    return data


def _drain(stream: MemberStream) -> None:
    while stream.read(_CHUNK):
        pass


# ---- putting it together ------------------------------------------------------------------------------------------


def _inspection(
    path: Path, unpacked: UnpackedArchive, images: Decoded, passing: _Passing, *, environment: bool
) -> CheckpointInspection:
    shown = str(path)
    config = documents.read_config(unpacked.head.config, archive=shown)
    raw = json.loads(unpacked.head.config)
    spec = documents.read_spec(unpacked.head.spec, archive=shown)
    annotations = spec.get("annotations")
    engine = annotations.get(documents.MANAGER_KEY) if isinstance(annotations, dict) else None
    directory = unpacked.images or unpacked.pre_images
    assert directory is not None
    core = next(iter(images.cores.values()), {})
    texts = {key: bytes(text) for key, text in passing.texts.items()}
    return CheckpointInspection(
        path=path,
        compression=unpacked.compression.value,
        size=os.stat(path).st_size,
        content_size=sum(unpacked.sizes.values()),
        engine=str(engine or "containerd"),
        id=str(config["id"]),
        name=str(config["name"]),
        image=str(config.get("rootfsImageName", "")),
        image_id=str(config.get("rootfsImageID", "")),
        runtime=str(config.get("runtime", "")),
        created=str(config.get("createdTime", "")),
        checkpointed=str(raw.get("checkpointedTime", "")),
        kind="checkpoint" if unpacked.images is not None else "pre-checkpoint",
        parent=(directory / members.PARENT_LINK).is_symlink(),
        architecture=_ARCHITECTURES.get(str(core.get("mtype", "")), ""),
        addresses=_addresses(unpacked.staging),
        log_size=unpacked.sizes.get(members.CTR_LOG, 0),
        members=_grouped(unpacked.sizes),
        processes=processes_of(images, texts, environment=environment),
        mounts=mounts_of(images),
        rootfs=passing.trees.get(members.ROOTFS_DIFF_TAR, NO_CONTENT),
        deleted=_deleted(unpacked.staging, shown),
        shm=passing.trees.get(members.DEVSHM_TAR, NO_CONTENT),
        volumes={volume: tree for name, tree in passing.trees.items() if (volume := members.volume_of(name))},
        statistics=_statistics(unpacked.staging),
        ignored=unpacked.ignored,
    )


def _grouped(sizes: Mapping[str, int]) -> dict[str, int]:
    """Sizes by member, the files of a directory of images as two: memory and descriptions."""
    grouped: dict[str, int] = {}
    for name, size in sizes.items():
        top = name.partition("/")[0]
        if top in (members.CHECKPOINT_DIR, members.PRE_CHECKPOINT_DIR):
            name = f"{top}/pages" if _PAGES.fullmatch(name) else top
        grouped[name] = grouped.get(name, 0) + size
    return grouped


def _addresses(staging: Path) -> tuple[str, ...]:
    try:
        status = documents.read_network_status((staging / members.NETWORK_STATUS).read_bytes())
    except FileNotFoundError:
        return ()
    found = []
    for network in status.values():
        interfaces = network.get("interfaces")
        for interface in interfaces.values() if isinstance(interfaces, dict) else ():
            subnets = interface.get("subnets") if isinstance(interface, dict) else None
            found += [str(subnet.get("ipnet", "")) for subnet in subnets or () if isinstance(subnet, dict)]
    return tuple(found)


def _deleted(staging: Path, archive: str) -> tuple[str, ...]:
    try:
        paths = json.loads((staging / members.DELETED_FILES).read_bytes())
    except FileNotFoundError:
        return ()
    except ValueError as error:
        raise ArchiveError(archive, f"its {members.DELETED_FILES} is not JSON") from error
    return tuple(path for path in paths or () if isinstance(path, str))


def _statistics(staging: Path) -> DumpStatistics | None:
    try:
        return read_dump_statistics(staging / members.STATS_DUMP)
    except FileNotFoundError:
        return None
