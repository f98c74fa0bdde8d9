"""A CRIU of another release, with libraries of its own, beside the system and not in it.

    /opt/libpod-criu/
        4.2.1/                  everything that this version needs, unpacked from the packages
            usr/sbin/criu       the program
            usr/lib/…           its libraries and its loader
            usr/lib/python3/dist-packages/pycriu    the image definitions of the same version
            bin/criu            starts the program with the loader and the libraries above
        bin/criu -> ../4.2.1/bin/criu

The loader is given the library path as an argument rather than through LD_LIBRARY_PATH, because CRIU starts
programs of the system (tar, nft, iptables-restore, ip), which would inherit the variable and break.
"""

import shlex
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from libpod_setup import layout
from libpod_setup.commands import SetupError, run
from libpod_setup.files import link_atomically, write_atomically

WRAPPER = """\
#!/bin/sh
exec {loader} --library-path {libraries} --argv0 criu {program} "$@"
"""


@contextmanager
def workshop(prefix: Path = layout.CRIU_PREFIX) -> Iterator[Path]:
    """A temporary folder beside the versions, so that a finished one can be renamed into place.

    The caller holds the lock of the set-up, so another such folder was left by one that was killed.
    """
    prefix.mkdir(parents=True, exist_ok=True)
    for abandoned in prefix.glob(".building-*"):
        shutil.rmtree(abandoned)
    with tempfile.TemporaryDirectory(prefix=".building-", dir=prefix) as name:
        yield Path(name)


def unpack(archives: Iterable[Path], root: Path) -> None:
    for archive in archives:
        run(["dpkg-deb", "--extract", archive, root])


def write_wrapper(root: Path, *, home: Path | None = None) -> Path:
    """Write `bin/criu` below *root*; it names the files by their final place, below *home*."""
    home = home or root
    loader, libraries = loader_and_libraries(root)
    text = WRAPPER.format(
        loader=shlex.quote(str(home / loader.relative_to(root))),
        libraries=shlex.quote(":".join(str(home / directory.relative_to(root)) for directory in libraries)),
        program=shlex.quote(str(home / program_in(root).relative_to(root))),
    )
    wrapper = root / "bin" / "criu"
    write_atomically(wrapper, text, mode=0o755)
    return wrapper


def program_in(root: Path) -> Path:
    for candidate in (root / "usr/sbin/criu", root / "usr/bin/criu", root / "sbin/criu"):
        if candidate.is_file():
            return candidate
    raise SetupError(f"the package of CRIU that was unpacked in {root} holds no criu")


def loader_and_libraries(root: Path) -> tuple[Path, list[Path]]:
    """The dynamic loader and the folders of libraries, wherever this release puts them."""
    libraries = sorted(
        {file.parent for part in ("usr/lib", "lib") for file in (root / part).glob("*/*.so.*")}
    )
    loaders = [file for directory in libraries for file in sorted(directory.glob("ld-linux*.so.*"))]
    if not loaders:
        raise SetupError(f"the packages that were unpacked in {root} hold no dynamic loader")
    return loaders[0], libraries


def publish(root: Path, version: str, prefix: Path = layout.CRIU_PREFIX) -> Path:
    """Move the unpacked *root* to its final place and make it the CRIU of the prefix."""
    home = prefix / version
    write_wrapper(root, home=home)
    root.chmod(0o755)
    if home.exists():
        # Left by an earlier set-up; it may be damaged, and may be in use, so it is moved away, not emptied.
        home.rename(root.parent / "replaced")
    root.rename(home)
    link_atomically(prefix / "bin" / "criu", f"../{version}/bin/criu")
    return prefix / "bin" / "criu"
