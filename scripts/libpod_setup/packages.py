"""The distribution's packages: what is needed, what is missing, how it gets here.

Only what is missing is installed, and nothing is upgraded for its own sake. Package lists are fetched when an
installation needs them, not before, so that a set-up with nothing to do needs no network.
"""

import shutil
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from libpod_setup import layout
from libpod_setup.commands import SetupError, attempt, run, say
from libpod_setup.files import link_atomically, write_atomically
from libpod_setup.releases import parse_os_release


@dataclass(frozen=True, kw_only=True)
class Package:
    """One thing that the library, its tests or its demonstration needs from the distribution."""

    name: str
    program: str | None = None
    """What to look for on PATH where the distribution is not of the Debian family."""
    optional: bool = False
    """Not every release of the family has it; what needs it says so itself."""


NEEDED = (
    Package(name="conmon", program="conmon"),
    Package(name="runc", program="runc"),
    Package(name="crun", program="crun"),
    Package(name="libcriu2", optional=True),  # crun loads it to checkpoint, where it was built to
    Package(name="skopeo", program="skopeo"),
    Package(name="golang-github-containers-common"),  # seccomp.json, registries.conf, policy.json
    Package(name="nftables", program="nft"),
    Package(name="iptables", program="iptables"),  # CRIU locks established TCP connections with it
    Package(name="iproute2", program="ip"),
    Package(name="busybox-static", program="busybox"),  # the root file system of tests and demonstration
    # The original, which the tests compare with and hand checkpoints to.
    Package(name="podman", program="podman"),
    Package(name="buildah", program="buildah"),
    Package(name="catatonit", program="catatonit"),  # what a pod's infra container runs
    Package(name="fuse-overlayfs", optional=True),  # the mount program that the storage tests use
    Package(name="netavark", optional=True),
    Package(name="aardvark-dns", optional=True),
    Package(name="docker-registry", optional=True),  # the registry that image tests pull from
    # python-prctl comes as source.
    Package(name="gcc", program="gcc"),
    Package(name="libc6-dev"),
    Package(name="libcap-dev"),
    Package(name="python3-dev"),
    Package(name="python3-venv"),
)

UNWANTED_UNITS = {"docker-registry": "docker-registry.service"}
"""Services that would listen on the network as soon as their package is installed. Tests start their own."""

ATTEMPTS = 3


def ensure() -> None:
    """Install what is missing, or say what the user has to install."""
    if shutil.which("apt-get") is None:
        require_programs()
        return
    absent = known_as_absent()
    missing = [package for package in not_installed(NEEDED) if package.name not in absent]
    if missing:
        install(available(missing))


def require_programs() -> None:
    lacking = [p.program for p in NEEDED if p.program and not p.optional and shutil.which(p.program) is None]
    if lacking:
        raise SetupError(
            "this system has no apt-get, so please install these programs yourself, then run this again: "
            + ", ".join(sorted(lacking))
        )


def not_installed(packages: Iterable[Package]) -> list[Package]:
    """Those of *packages* that dpkg does not list as installed, in the given order."""
    wanted = list(packages)
    listing = attempt(
        [
            "dpkg-query",
            "--show",
            "--showformat",
            "${Package} ${db:Status-Status}\n",
            *(p.name for p in wanted),
        ]
    ).stdout
    installed = installed_names(listing)
    return [package for package in wanted if package.name not in installed]


def installed_names(listing: str) -> set[str]:
    """Names in dpkg-query's lines `name status`; complaints about unknown names are skipped."""
    words = (line.split() for line in listing.splitlines())
    return {line[0] for line in words if line[1:] == ["installed"]}


def available(packages: Sequence[Package]) -> list[str]:
    """Names of *packages* without those optional ones that this release does not have."""
    known = offered()
    if any(p.name not in known for p in packages if not p.optional):
        update_lists()
        known = offered()
    absent = [p.name for p in packages if p.optional and p.name not in known]
    if absent:
        say(f"going on without what this release does not have: {' '.join(absent)}")
        everything = sorted(known_as_absent().union(absent))
        write_atomically(layout.ABSENT_PACKAGES, "\n".join([release(), *everything]) + "\n")
    return [p.name for p in packages if p.name not in absent]


def known_as_absent() -> set[str]:
    """Optional packages that this release was found not to have; asking apt again each time costs a second."""
    try:
        of_release, *names = layout.ABSENT_PACKAGES.read_text(encoding="utf-8").splitlines()
    except (FileNotFoundError, ValueError):
        return set()
    return set(names) if of_release == release() else set()


def release() -> str:
    """What tells this release of the distribution from another."""
    os_release = parse_os_release(layout.OS_RELEASE.read_text(encoding="utf-8"))
    return " ".join(os_release.get(key, "") for key in ("ID", "VERSION_ID", "VERSION_CODENAME"))


def offered() -> set[str]:
    """Names of all packages of this system's releases; fetches the lists if there are none yet."""
    if not any(Path("/var/lib/apt/lists").glob("*_Packages*")):
        update_lists()
    # `dumpavail` prints only what can be installed; `pkgnames` also knows names that are merely mentioned.
    available = run(["apt-cache", "dumpavail"])
    return {line.removeprefix("Package: ") for line in available.splitlines() if line.startswith("Package: ")}


def update_lists() -> None:
    say("fetching the package lists")
    run(["apt-get", "--quiet=2", "-o", "Acquire::Retries=3", "update"])


def install(names: Sequence[str]) -> None:
    """Install *names* without recommendations; a stale list or a busy dpkg is a reason to try again."""
    if not names:
        return
    say("installing " + " ".join(names))
    for name in names:
        mask_unit(name)
    command = [
        "apt-get", "--quiet=2", "--yes", "--no-install-recommends",
        "-o", "Acquire::Retries=3",
        "-o", "DPkg::Lock::Timeout=300",
        # A configuration file that the user has changed stays as it is; there is nobody to ask.
        "-o", "Dpkg::Options::=--force-confdef",
        "-o", "Dpkg::Options::=--force-confold",
        "install", *names,
    ]  # fmt: skip
    for attempt_number in range(1, ATTEMPTS + 1):
        try:
            run(command)
            break
        except SetupError:
            if attempt_number == ATTEMPTS:
                raise
            time.sleep(attempt_number)
            update_lists()
    remember(names)


def mask_unit(name: str) -> None:
    unit = UNWANTED_UNITS.get(name)
    if unit is not None:
        link_atomically(Path("/etc/systemd/system") / unit, "/dev/null")


def remember(names: Sequence[str]) -> None:
    """Keep a list of what was installed on the user's behalf, for whoever wants to undo it."""
    file = layout.INSTALLED_PACKAGES
    before = file.read_text(encoding="utf-8").split() if file.exists() else []
    write_atomically(file, "".join(f"{name}\n" for name in dict.fromkeys([*before, *names])))
