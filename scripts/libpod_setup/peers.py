"""Other engines of a newer release, for the tests that hand archives over: podman 5, and checkpointctl.

    /opt/libpod-peers/
        newer/                  podman, conmon, netavark, checkpointctl and all their libraries, from the packages
        ld.so                   -> newer/usr/lib/<triplet>/ld-linux-….so
        bin/podman5             starts podman with its own conmon, netavark and configuration
        bin/checkpointctl

A program of a newer release needs that release's C library. CRIU gets it by starting its loader by hand; podman cannot
be started so, because it starts itself again as /proc/self/exe, which would then be the loader. So the programs are
changed: the path to their libraries is written into them and the path of their loader is overwritten, by the patchelf
of the same release. In this order, and the loader's new path must not be longer than the old one: otherwise patchelf
moves parts of a Go program to where they do not run.
"""

import json
import shlex
import shutil
from collections.abc import Sequence
from pathlib import Path

from libpod_setup import criu_prefix, layout, private_apt
from libpod_setup.commands import SetupError, attempt, run, say
from libpod_setup.files import link_atomically, write_atomically

PACKAGES = ("podman", "conmon", "netavark", "aardvark-dns")
OPTIONAL = ("checkpointctl",)
PROGRAMS = (
    "usr/bin/podman",
    "usr/bin/conmon",
    "usr/lib/podman/netavark",
    "usr/lib/podman/aardvark-dns",
    "usr/bin/checkpointctl",
)
LOADER = layout.PEERS_PREFIX / "ld.so"
LONGEST_LOADER = len("/lib/ld-linux-aarch64.so.1")

WRAPPER = """\
#!/bin/sh
CONTAINERS_CONF={configuration} PODMAN_IGNORE_CGROUPSV1_WARNING=1 exec {program} "$@"
"""


def ensure() -> None:
    """Unpack the other engines unless an earlier set-up did; raises SetupError when no release has them."""
    if (layout.PEERS_PREFIX / "bin" / "podman5").exists():
        return
    if shutil.which("apt-get") is None:
        raise SetupError("this system has no apt-get, so podman 5 cannot be unpacked for the tests")
    reasons = []
    for suite, source in private_apt.newer_suites():
        try:
            install_from(suite, source)
            return
        except SetupError as error:
            reasons.append(f"{suite}: {error}")
    raise SetupError(f"podman 5 cannot be had from this system's mirror ({'; '.join(reasons)})")


def install_from(suite: str, source: str, prefix: Path = layout.PEERS_PREFIX) -> None:
    """Fetch, change and publish the programs of *suite*; the wrapper comes last, and says that all is there."""
    with criu_prefix.workshop(prefix) as work:
        apt = private_apt.PrivateApt(work / "apt", source)
        apt.update()
        version = apt.candidate("podman")
        if version is None or not is_new_enough(version):
            raise SetupError(f"its podman is {version or 'missing'}")
        say(f"fetching podman {version} of {suite} for the tests")
        wanted = [*PACKAGES, *(name for name in OPTIONAL if apt.candidate(name)), "patchelf"]
        archives = apt.fetch_with_libraries(*wanted)
        root = work / "root"
        root.mkdir()
        criu_prefix.unpack(archives, root)
        home = prefix / "newer"
        loader, _ = criu_prefix.loader_and_libraries(root)
        link_atomically(prefix / "ld.so", str(home / loader.relative_to(root)))
        for name in PROGRAMS:
            if (root / name).exists():
                change_program(root / name, root, home)
        write_atomically(root / "containers.conf", configuration(home))
        root.chmod(0o755)
        if home.exists():
            home.rename(work / "replaced")
        root.rename(home)
    if (home / "usr/bin/checkpointctl").exists():
        link_atomically(prefix / "bin" / "checkpointctl", "../newer/usr/bin/checkpointctl")
    text = WRAPPER.format(
        configuration=shlex.quote(str(home / "containers.conf")),
        program=shlex.quote(str(home / "usr/bin/podman")),
    )
    run([home / "usr/bin/podman", "--version"])
    write_atomically(prefix / "bin" / "podman5", text, mode=0o755)


def is_new_enough(package_version: str) -> bool:
    """Whether a package is podman 5 or newer."""
    major = package_version.rpartition(":")[2].partition(".")[0]
    return major.isdecimal() and int(major) >= 5


def change_program(program: Path, root: Path, home: Path) -> None:
    """Let *program* find loader and libraries below *home*, where *root* is going to be."""
    loader, libraries = criu_prefix.loader_and_libraries(root)
    places = ":".join(str(home / directory.relative_to(root)) for directory in libraries)
    patchelf: Sequence[str | Path] = [
        loader, "--library-path", ":".join(str(directory) for directory in libraries),
        root / "usr/bin/patchelf",
    ]  # fmt: skip
    if attempt([*patchelf, "--print-interpreter", program]).returncode != 0:
        return  # static: it needs neither
    assert len(str(LOADER)) <= LONGEST_LOADER
    run([*patchelf, "--force-rpath", "--set-rpath", places, program])
    run([*patchelf, "--set-interpreter", LOADER, program])


def configuration(home: Path) -> str:
    """A containers.conf that leads podman to the programs of its own release. JSON strings are TOML strings."""
    conmon, helpers = json.dumps([str(home / "usr/bin/conmon")]), json.dumps([str(home / "usr/lib/podman")])
    lines = [
        "[engine]",
        f"conmon_path = {conmon}",
        f"helper_binaries_dir = {helpers}",
        'events_logger = "file"',
        # Locks in the private temporary directory, not in the one shared memory that all podmans of a machine use.
        'lock_type = "file"',
    ]
    return "\n".join(lines) + "\n"
