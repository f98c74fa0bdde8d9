"""A checkpoint as an image: made from an archive, and turned back into what an archive unpacks to.

The image is scratch with one layer, whose root holds the members of the archive, the network's status and the log
among them: addresses and log are kept, other than in podman's own. Its manifest says in three dialects whose checkpoint
it is.

Reading it copies nothing: the files of the layers are linked into the staging directory, by the same rules by which an
archive is read (known members, plain files, no way out). The log alone is copied, because it is going to be written.

Killed while storing: what `libpod.image.transport` leaves; the container stands still then, and is settled like one
whose export was interrupted.

Covers: libpod/container_internal_common.go (createCheckpointImage), pkg/checkpoint/checkpoint_restore.go (images)
"""

from __future__ import annotations

import os
import shutil
import stat
from pathlib import Path

from libpod.checkpoint import members
from libpod.checkpoint.annotations import CheckpointFacts, annotations_of, container_of
from libpod.checkpoint.codec import CompressionKind
from libpod.checkpoint.criu import criu_status
from libpod.checkpoint.members import MemberKind, kind_of
from libpod.checkpoint.reader import ArchiveHead, UnpackedArchive
from libpod.container_internal.held import LockedContainer
from libpod.container_internal.services import Services
from libpod.define.errors import ArchiveError, ImageError
from libpod.image.layout import Layout, hashed
from libpod.image.platforms import host_platform
from libpod.image.references import normalise
from libpod.image.scratch import scratch
from libpod.image.transport import Skopeo, StoreAddress
from libpod.linux.files import sync_tree
from libpod.linux.process import first_executable
from libpod.model.times import now
from libpod.oci.discovery import conmon_version
from libpod.storage.stored import StoredImage
from libpod.version import ARCHIVE_COMPATIBILITY

_DEPTH = 8


def store_image(held: LockedContainer, archive: Path, name: str) -> str:
    """Make an image *name* of an uncompressed archive; returns its id. Raises ImageError, InvalidArgumentError."""
    services = held.services
    reference = normalise(name)
    transport = Skopeo(
        store=StoreAddress.of(services.store),
        registries=services.images.registries,
        tmpdir=services.paths.staging,
    )
    platform = host_platform()
    created = now()
    with scratch(transport.tmpdir) as work:
        layout = Layout(work.path / "layout")
        with archive.open("rb", buffering=0) as stream:
            layer = hashed(stream)
        layout.borrow_layer(archive, layer.digest)
        config = {
            "created": created,
            "architecture": platform["architecture"],
            "os": platform["os"],
            "config": {},
            "rootfs": {"type": "layers", "diff_ids": [layer.digest]},
            "history": [{"created": created, "created_by": f"checkpoint of container {held.name}"}],
        }
        image_id = layout.finish(config, [layer], annotations=annotations_of(_facts(held)))
        transport.copy(
            layout.location,
            transport.store.location(reference, image_id=image_id),
            work=work,
            subject=f"storing the checkpoint of container {held.name}",
        )
    _make_durable(services, image_id)
    return image_id


def _make_durable(services: Services, image_id: str) -> None:
    """It takes the place of the container's own images; skopeo leaves it to the kernel when the files are written."""
    for layer in services.images.graph().chain(services.images.find(image_id)):
        sync_tree(services.store.layer_directory(layer.id))


def _facts(held: LockedContainer) -> CheckpointFacts:
    services, config = held.services, held.config
    host = services.host
    capabilities = services.runtimes.for_container(config).capabilities
    criu = criu_status(
        services.config.criu,
        cache=services.paths.criu_probe,
    )
    conmon = first_executable(services.config.conmon_paths)
    release = _os_release()
    return CheckpointFacts(
        name=config.name,
        raw_image_name=config.raw_image_name or config.rootfs_image_name,
        image_id=config.rootfs_image_id,
        image_name=config.rootfs_image_name,
        engine_version=ARCHIVE_COMPATIBILITY,
        criu_version=criu.version,
        runtime_name=capabilities.name,
        runtime_version=capabilities.version_text.strip(),
        conmon_version=conmon_version(Path(conmon)) if conmon else "",
        architecture=host.architecture,
        kernel=host.kernel,
        cgroup_v2=host.cgroup_v2,
        distribution=release.get("ID", ""),
        distribution_version=release.get("VERSION_ID", ""),
    )


def _os_release() -> dict[str, str]:
    try:
        text = Path("/etc/os-release").read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return {}
    pairs = (line.partition("=") for line in text.splitlines() if "=" in line)
    return {key.strip(): value.strip().strip("\"'") for key, _, value in pairs}


# ---- reading ------------------------------------------------------------------------------------------------------


def checkpoint_of(services: Services, name: str) -> StoredImage:
    """The checkpoint image *name*; raises NoSuchImageError, and ArchiveError for an image that is none."""
    found = services.images.find(name)
    annotations = services.images.manifest(found).get("annotations")
    if not isinstance(annotations, dict) or container_of(annotations) is None:
        raise ArchiveError(
            name,
            "the image is not a checkpoint",
            resolution="make one with create_image, or run the image instead",
        )
    return found


def unpack_image(services: Services, image: StoredImage, name: str, staging: Path) -> UnpackedArchive:
    """Link what the image holds into *staging*; raises ArchiveError as the reader of archives does."""
    sizes: dict[str, int] = {}
    ignored: list[str] = []
    for layer in reversed(services.images.graph().chain(image)):
        directory = services.store.layer_directory(layer.id)
        _link_below(directory, "", staging, name, sizes, ignored)
    for member in members.HEAD:
        if member not in sizes:
            raise ArchiveError(name, f"the image has no {member}")
        if sizes[member] > members.MAX_DOCUMENT:
            raise ArchiveError(name, f"its {member} has {sizes[member]} bytes")
    head = ArchiveHead(
        config=(staging / members.CONFIG_DUMP).read_bytes(), spec=(staging / members.SPEC_DUMP).read_bytes()
    )
    unpacked = UnpackedArchive(
        path=Path(name),
        staging=staging,
        compression=CompressionKind.NONE,
        head=head,
        sizes=sizes,
        ignored=tuple(ignored),
    )
    if unpacked.images is None:
        raise ArchiveError(name, "the image holds no checkpoint", resolution="use another image")
    return unpacked


def _link_below(
    directory: Path, prefix: str, staging: Path, name: str, sizes: dict[str, int], ignored: list[str]
) -> None:
    if prefix.count("/") > _DEPTH:
        raise ArchiveError(name, f"{prefix[:80]} lies deeper than any engine puts things")
    with os.scandir(directory) as entries:
        for entry in entries:
            member = f"{prefix}{entry.name}"
            if kind_of(member) is MemberKind.UNKNOWN:
                ignored.append(member)
                continue
            mode = entry.stat(follow_symlinks=False).st_mode
            target = staging / member
            if stat.S_ISDIR(mode):
                target.mkdir(mode=0o700, exist_ok=True)
                _link_below(Path(entry.path), f"{member}/", staging, name, sizes, ignored)
            elif stat.S_ISREG(mode):
                target.unlink(missing_ok=True)
                _link_or_copy(entry.path, target, copy=member == members.CTR_LOG)
                sizes[member] = entry.stat(follow_symlinks=False).st_size
            elif stat.S_ISLNK(mode) and members.is_parent_link(member, os.readlink(entry.path)):
                target.unlink(missing_ok=True)
                target.symlink_to(os.readlink(entry.path))
            else:
                raise ArchiveError(name, f"{member} in the image is neither a file nor a directory")


def _link_or_copy(source: str, target: Path, *, copy: bool) -> None:
    if not copy:
        try:
            os.link(source, target, follow_symlinks=False)
            return
        except OSError:
            pass  # another file system, or one without links
    try:
        shutil.copyfile(source, target, follow_symlinks=False)
        target.chmod(0o600)
    except OSError as error:
        raise ImageError(f"{target.name} cannot be taken out of the image: {error.strerror}") from error
