"""How a store is to be used: the driver options of storage.conf and of `--storage-opt`.

Everybody who uses one store has to use the same options, so an option that would change what is on disk and that we do
not implement is refused, never ignored.

Covers: storage/drivers/overlay/overlay.go (parseOptions), storage/types/options.go (the keys)
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Self

import msgspec

from libpod.define.errors import ConfigError, NotSupportedError

_NOT_BUILT = {
    "force_mask": "the force_mask option",
    "use_composefs": "composefs",
    "additionallayerstore": "an additional layer store",
    "size": "a size limit for containers",
    "inodes": "an inode limit for containers",
}
_OFF = ("", "false", "0", "no", "off")


class StoreOptions(msgspec.Struct, frozen=True, kw_only=True):
    """The driver's options."""

    mount_options: tuple[str, ...] = ()
    """`mountopt`: for every overlay mount of a container that does not bring its own."""
    additional_image_stores: tuple[Path, ...] = ()
    """`additionalimagestores`: graph roots with images that may be used and never changed."""
    mount_program: str = ""
    """A program, such as fuse-overlayfs, that mounts in place of the kernel."""
    skip_mount_home: bool = False
    """Do not make the driver's home a private mount of its own."""
    ignore_chown_errors: bool = False
    """Carry on when a new layer's directory cannot be given its owner (rootless without subordinate ids)."""

    @classmethod
    def parse(
        cls, options: Iterable[str], *, image_stores: Iterable[Path] = (), driver: str = "overlay"
    ) -> Self:
        """From strings such as ``overlay.mountopt=nodev`` or ``mountopt=nodev``, and additional image stores.

        Raises ConfigError for what is not an option and NotSupportedError for what is not built.
        """
        mount_options: list[str] = []
        stores = list(image_stores)
        program = ""
        flags = {"skip_mount_home": False, "ignore_chown_errors": False}
        for option in options:
            key, equals, value = option.partition("=")
            prefix, dot, bare = key.strip().lower().partition(".")
            if dot and prefix not in (driver, f"{driver}2", "storage", ""):
                continue
            word = (bare if dot else prefix).replace("-", "_")
            if not equals:
                raise ConfigError(
                    f'the storage option "{option}" has no value', resolution="write it as key=value"
                )
            if word == "mountopt":
                mount_options = [part.strip() for part in value.split(",") if part.strip()]
            elif word in ("imagestore", "additionalimagestore", "additionalimagestores"):
                stores += [Path(part) for part in value.split(",") if part]
            elif word == "mount_program":
                program = value
            elif word in flags:
                flags[word] = value.lower() not in _OFF
            elif word in _NOT_BUILT:
                if value.lower() not in _OFF:
                    raise NotSupportedError(
                        f"the storage option {option} asks for {_NOT_BUILT[word]}, which libpod cannot do",
                        resolution="use a store without it",
                    )
            elif word in ("sync", "disable_volatile"):
                continue  # about durability of image layers and volatile mounts; we write neither
            else:
                raise ConfigError(f'"{option}" is not an option of the {driver} storage driver')
        return cls(
            mount_options=tuple(mount_options),
            additional_image_stores=tuple(stores),
            mount_program=program,
            **flags,
        )

    def strings(self, driver: str) -> list[str]:
        """The same options as the strings that skopeo and podman take."""
        words = []
        if self.mount_options:
            words.append(f"{driver}.mountopt={','.join(self.mount_options)}")
        words += [f"{driver}.imagestore={store}" for store in self.additional_image_stores]
        if self.mount_program:
            words.append(f"{driver}.mount_program={self.mount_program}")
        if self.skip_mount_home:
            words.append(f"{driver}.skip_mount_home=true")
        if self.ignore_chown_errors:
            words.append(f"{driver}.ignore_chown_errors=true")
        return words
