"""The store: what the rest of the library asks of containers/storage.

Every method takes the locks it needs, for the shortest time, and gives them back; nothing is held between calls, so a
Store may be used by any number of threads and processes at once, beside podman, buildah, skopeo and CRI-O on the same
directories. It holds no open file, needs no closing and survives a fork.

Methods take full ids; `find_image` is the one that accepts what people type.

Covers: storage/store.go, libpod/storage.go
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import msgspec

from libpod.define.errors import ConfigError, NotSupportedError, StorageError
from libpod.storage import containers, content, creator, images, layers, mounting
from libpod.storage.driver import LayerDriver, MountRequest
from libpod.storage.id_maps import NO_MAPS, IdMaps
from libpod.storage.layout import StorePaths
from libpod.storage.locks import StoreLocks
from libpod.storage.options import StoreOptions
from libpod.storage.overlay import OverlayDriver
from libpod.storage.parts import ReadOnlyStore, StoreParts, read_only_store
from libpod.storage.records import Table
from libpod.storage.stored import StoredContainer, StoredImage, StoredLayer, is_incomplete

if TYPE_CHECKING:
    from libpod.storage.changes import Change
    from libpod.storage.check import Finding
    from libpod.storage.recovery import Leftover

DRIVERS = ("overlay", "vfs")


class Store:
    """One graph root, run root and driver."""

    def __init__(self, parts: StoreParts) -> None:
        self._parts = parts

    @classmethod
    def open(
        cls,
        graph_root: Path,
        run_root: Path,
        *,
        driver: str = "overlay",
        options: StoreOptions | None = None,
        owner: str = "libpod",
    ) -> Store:
        """Open a store, making its directories when they are missing.

        *owner* names the engine and its state: only leftovers of the same owner are ever collected. Raises
        NotSupportedError for a driver, or a store on disk, that libpod cannot handle, and StorageError when the
        directories cannot be made.
        """
        options = options or StoreOptions()
        driver = "overlay" if driver == "overlay2" else driver
        if driver not in DRIVERS:
            raise NotSupportedError(
                f'the storage driver "{driver}" is not supported', resolution=f"use {' or '.join(DRIVERS)}"
            )
        if not graph_root.is_absolute() or not run_root.is_absolute():
            raise ConfigError(f"the store needs absolute paths, not {graph_root} and {run_root}")
        paths = StorePaths(graph_root, run_root, driver)
        behind = tuple(
            read_only_store(store, run_root, driver)
            for store in options.additional_image_stores
            if store != graph_root
        )
        layer_driver = _driver(paths, behind, options)
        try:
            paths.create()
        except OSError as error:
            raise StorageError(
                f"cannot make the directories of the store in {graph_root} and {run_root} ({error})",
                resolution="run as the user who owns them, or choose others",
            ) from error
        layer_driver.require_usable()
        return cls(
            StoreParts(
                paths=paths,
                options=options,
                owner=owner,
                locks=StoreLocks(paths, [store.paths for store in behind]),
                driver=layer_driver,
                layers=Table(
                    "layer",
                    [paths.layers / "layers.json", paths.layers / "volatile-layers.json"],
                    durable=[True, False],
                    removable=layers.VOLATILE,
                    note=is_incomplete,
                ),
                images=Table("image", [paths.images / "images.json"]),
                containers=Table(
                    "container",
                    [paths.containers / "containers.json", paths.containers / "volatile-containers.json"],
                    durable=[True, False],
                ),
                mounts=Table("mount", [paths.run_layers / "mountpoints.json"], durable=[False]),
                read_only=behind,
            )
        )

    @property
    def graph_root(self) -> Path:
        return self._parts.paths.graph_root

    @property
    def run_root(self) -> Path:
        return self._parts.paths.run_root

    @property
    def driver(self) -> LayerDriver:
        return self._parts.driver

    @property
    def options(self) -> StoreOptions:
        return self._parts.options

    def specifier(self) -> str:
        """This store as skopeo names it: put it in ``containers-storage:[…]reference``.

        Mount options are left out: skopeo mounts no container, and splits options at every comma.
        """
        name = self._parts.driver.name
        words = f"{name}@{self.graph_root}+{self.run_root}"
        options = msgspec.structs.replace(self._parts.options, mount_options=()).strings(name)
        return f"{words}:{','.join(options)}" if options else words

    # ---- containers -------------------------------------------------------------------------------------------

    def create_container(
        self,
        ctr_id: str,
        *,
        name: str,
        image_id: str | None,
        image_name: str = "",
        metadata: Mapping[str, Any] | None = None,
        mount_label: str = "",
        process_label: str = "",
        mount_options: Sequence[str] = (),
        maps: IdMaps = NO_MAPS,
    ) -> StoredContainer:
        """Make a container with a fresh layer on top of the image, or on nothing.

        *metadata* is added to what podman writes; *mount_options* take the place of the driver's;
        *maps* gives the image's files other ids, where the kernel can. All or nothing: on
        error nothing is left, after a kill `recover` collects. Raises ContainerExistsError for an id or name that any
        program's container holds, NoSuchImageError, StorageError.
        """
        return containers.create(
            self._parts,
            ctr_id,
            name=name,
            image_id=image_id,
            image_name=image_name,
            metadata=metadata,
            mount_label=mount_label,
            process_label=process_label,
            mount_options=mount_options,
            maps=maps,
        )

    def is_own(self, container: StoredContainer) -> bool:
        """Whether it carries the mark of this store's owner."""
        return creator.made_by({"flags": dict(container.flags)}, self._parts.owner)

    def container(self, ctr_id: str) -> StoredContainer | None:
        return containers.by_id(self._parts, ctr_id)

    def containers(self) -> list[StoredContainer]:
        """Every container in the store, whoever made it, in order of creation."""
        return containers.all_containers(self._parts)

    def rename_container(self, ctr_id: str, new_name: str) -> None:
        """Raises NoSuchContainerError, and ContainerExistsError when another container has the name."""
        containers.rename(self._parts, ctr_id, new_name)

    def container_directory(self, ctr_id: str) -> Path:
        """The engine's directory for the container that survives a reboot. Pure."""
        return self._parts.paths.container_data(ctr_id) / "userdata"

    def container_run_directory(self, ctr_id: str) -> Path:
        """The engine's directory for the container that is meant to be lost at a reboot. Pure."""
        return self._parts.paths.container_run_data(ctr_id) / "userdata"

    def delete_container(self, ctr_id: str) -> None:
        """Remove the container, its layer and its directories, unmounting it first.

        May be repeated: what is missing already is fine, a deletion that was cut short is finished.
        """
        containers.delete(self._parts, ctr_id)

    # ---- mounts -----------------------------------------------------------------------------------------------

    def mount(self, ctr_id: str) -> Path:
        """Mount the container's root file system, or count one more user of it; returns where it is.

        The mount is seen in this mount namespace only.
        """
        container = containers.require(self._parts, ctr_id)
        request = MountRequest(
            options=container.mount_options or None,
            label=container.mount_label,
            volatile=bool(container.flags.get("Volatile")),
            maps=container.maps,
        )
        return mounting.mount(self._parts, container.layer_id, request)

    def unmount(self, ctr_id: str, *, force: bool = False) -> bool:
        """Count one user less, with *force* none; returns whether it is still mounted.

        A container that is not mounted, or that somebody else unmounted or removed, is fine.
        """
        container = containers.by_id(self._parts, ctr_id)
        return container is not None and mounting.unmount(self._parts, container.layer_id, force=force)

    def mount_count(self, ctr_id: str) -> int:
        """How many users the mount has; 0 when it is gone, whatever was recorded."""
        container = containers.by_id(self._parts, ctr_id)
        return 0 if container is None else mounting.count(self._parts, container.layer_id)

    def mountpoint(self, ctr_id: str) -> Path | None:
        """Where the container is mounted now."""
        container = containers.by_id(self._parts, ctr_id)
        return None if container is None else mounting.mountpoint(self._parts, container.layer_id)

    # ---- content ----------------------------------------------------------------------------------------------

    def changes(self, ctr_id: str, *, exact: bool = False) -> list[Change]:
        """What the container changed in its image, in podman's order.

        podman does not notice that only the owner or the attributes of a directory changed; *exact* does.
        """
        layer_id = containers.require(self._parts, ctr_id).layer_id
        return content.changes(self._parts, layer_id, exact=exact)

    def layer_changes(self, layer_id: str) -> list[Change]:
        """What a layer, of a container or of an image, changes in those below it."""
        return content.changes(self._parts, layer_id)

    def compare_layers(self, new: str, old: str | None) -> list[Change]:
        """What is different in the whole content of the layer *new* when one comes from that of *old*."""
        return content.compare(self._parts, new, old)

    def diff_tar(self, ctr_id: str, sink: BinaryIO) -> None:
        """Write the container's layer as a tar with whiteouts, for a new image layer.

        Nothing is locked meanwhile: pause the container first, or a file that changes is an error.
        """
        container = containers.require(self._parts, ctr_id)
        owner = container.maps.inside if container.maps else None
        content.write_layer(self._parts, container.layer_id, sink, owner)

    def upper_directory(self, ctr_id: str) -> Path:
        """The directory with the container's own files, as overlay keeps them."""
        return content.stack(self._parts, containers.require(self._parts, ctr_id).layer_id).upper

    def lower_directories(self, ctr_id: str) -> list[Path]:
        """The directories of the image's layers, nearest first."""
        return list(content.stack(self._parts, containers.require(self._parts, ctr_id).layer_id).lowers)

    def layer_directory(self, layer_id: str) -> Path:
        """The directory with the files of one layer."""
        return content.stack(self._parts, layer_id).upper

    def container_size(self, ctr_id: str) -> int:
        """The bytes in the container's own layer."""
        return content.layer_size(self._parts, containers.require(self._parts, ctr_id).layer_id)

    # ---- images -----------------------------------------------------------------------------------------------

    def images(self) -> list[StoredImage]:
        """Every image, in order of creation, those of additional stores last."""
        return images.all_images(self._parts)

    def image(self, image_id: str) -> StoredImage | None:
        return images.by_id(self._parts, image_id)

    def find_image(self, name_or_id: str) -> StoredImage | None:
        """By exact id, exact full reference, or an id prefix that only one image has."""
        return images.find(self._parts, name_or_id)

    def image_data(self, image_id: str, key: str) -> bytes:
        """One item of big data, such as ``manifest``. Raises NoSuchImageError, StorageError when it is missing."""
        return images.data(self._parts, image_id, key)

    def image_manifest(self, image_id: str) -> dict[str, Any]:
        return images.document(self._parts, image_id, "manifest")

    def image_config(self, image_id: str) -> dict[str, Any]:
        return images.config(self._parts, image_id)

    def image_size(self, image_id: str) -> int:
        """The bytes of all distinct layers of the image and of its data."""
        return images.size(self._parts, image_id)

    def root_fs_size(self, image_id: str) -> int:
        """The bytes of the image's layers: what a fresh container of it shows."""
        return images.layers_size(self._parts, image_id)

    def layers(self) -> list[StoredLayer]:
        """Every layer, a container's and an image's, in order of creation."""
        return layers.all_layers(self._parts)

    def set_image_names(self, image_id: str, names: Iterable[str]) -> StoredImage:
        """Replace all names; other images lose those that this one gets."""
        wanted = list(names)
        return images.change_names(self._parts, image_id, lambda _: wanted)

    def add_image_names(self, image_id: str, names: Iterable[str]) -> StoredImage:
        """Put names in front of those it has; other images lose them."""
        wanted = list(names)
        return images.change_names(self._parts, image_id, lambda present: [*wanted, *present])

    def remove_image_names(self, image_id: str, names: Iterable[str]) -> StoredImage:
        unwanted = list(names)
        return images.change_names(
            self._parts, image_id, lambda present: images.names_without(present, unwanted)
        )

    def delete_image(self, image_id: str) -> list[str]:
        """Remove an image whatever its names, and the layers only it needed; returns their ids.

        Raises NoSuchImageError, ImageInUseError while any program's container is based on it, StorageError when it
        lives in an additional store.
        """
        return images.delete(self._parts, image_id)

    def mount_image(self, image_id: str) -> Path:
        """Mount an image's top layer read-only, or count one more user of it."""
        return mounting.mount(
            self._parts, images.top_layer(self._parts, image_id), MountRequest(read_only=True)
        )

    def image_mountpoint(self, image_id: str) -> Path | None:
        """Where the image is mounted now; None also with a driver that mounts nothing."""
        top = images.top_layer(self._parts, image_id)
        return mounting.mountpoint(self._parts, top) if self._parts.driver.mounts else None

    def unmount_image(self, image_id: str, *, force: bool = False) -> bool:
        """Count one user less, with *force* none; returns whether it is still mounted."""
        return mounting.unmount(self._parts, images.top_layer(self._parts, image_id), force=force)

    # ---- order ------------------------------------------------------------------------------------------------

    def recover(self, known: Callable[[], Collection[str]]) -> list[Leftover]:
        """Remove what killed processes of the same owner left; cheap when there is nothing.

        *known* returns the ids of all containers the engine has; it is called while no lock of the store is held, and
        after the dead creators have been found, so that a container which is just being made is never taken away.
        """
        from libpod.storage import recovery

        return recovery.collect(self._parts, known)

    def leftovers(self, known: Callable[[], Collection[str]]) -> list[Leftover]:
        """What `recover` would remove; changes nothing."""
        from libpod.storage import recovery

        return recovery.find(self._parts, known)

    def check(self) -> list[Finding]:
        """Everything in the store that is not as it should be; changes nothing."""
        from libpod.storage import check

        return check.findings(self._parts)

    def repair(self) -> list[str]:
        """Make lost short links again; returns what was done, a sentence each."""
        return content.repair(self._parts)


def _driver(paths: StorePaths, behind: Sequence[ReadOnlyStore], options: StoreOptions) -> LayerDriver:
    homes = [store.paths.home for store in behind]
    if paths.driver == "vfs":
        from libpod.storage.vfs import VfsDriver

        return VfsDriver(paths.home, additional_homes=homes)
    return OverlayDriver(
        paths.home,
        additional_homes=homes,
        mount_options=options.mount_options,
        mount_program=options.mount_program,
        skip_mount_home=options.skip_mount_home,
        ignore_chown_errors=options.ignore_chown_errors,
    )
