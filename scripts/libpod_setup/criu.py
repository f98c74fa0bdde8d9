"""A CRIU that works on the running kernel: the one that is there, or a newer one beside it.

What is asked, in this order, and the first that passes the probe is the answer:

    1. the one recorded by an earlier set-up, if neither it nor the kernel has changed since (no probe needed)
    2. the one that $LIBPOD_CRIU names; if it does not work, nothing else is tried, since it was asked for
    3. the one of an earlier set-up in the private prefix; if a new kernel broke it, it is taken out of use
    4. the one on PATH, which is the user's choice or the distribution's package; installed if there is none
    5. the packages of newer releases, unpacked into the private prefix

That is the order in which the library looks, too, so that it comes upon the one that was probed.
"""

import json
import os
import platform
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path

from libpod_setup import criu_prefix, layout, packages, private_apt
from libpod_setup.commands import SetupError, say
from libpod_setup.criu_probe import probe
from libpod_setup.files import write_atomically

DEFINITIONS = "python3-pycriu"
"""The Python definitions of CRIU's image files; they change with the version, so they come with it."""

REMEDY = (
    "Install CRIU 4.2 or newer by other means and name it in LIBPOD_CRIU. "
    "Containers run without it, but cannot be checkpointed or restored."
)


@dataclass(frozen=True, kw_only=True)
class Found:
    """A CRIU that passed the probe, and under which circumstances it did."""

    path: str
    version: str
    kernel: str
    boot_id: str
    identity: str
    """Changes when the file is replaced."""


def ensure() -> Found:
    """Return a CRIU that works here, installing one if there is none."""
    recorded = read_record()
    if recorded is not None and recorded == describe(Path(recorded.path), recorded.version):
        return recorded
    failures: dict[str, str] = {}
    found = installed_that_works(failures) or newer_that_works(failures)
    write_atomically(layout.CRIU_RECORD, json.dumps(asdict(found), indent=2) + "\n")
    return found


def installed_that_works(failures: dict[str, str]) -> Found | None:
    """The first working one of what is installed; *failures* receives version and reason of the others."""
    explicit = os.environ.get("LIBPOD_CRIU")
    if explicit:
        found = accept(Path(explicit), failures)
        if found is None:
            raise SetupError(f"the CRIU named in LIBPOD_CRIU does not work here: {explain(failures)}")
        return found
    private = layout.CRIU_PREFIX / "bin" / "criu"
    if private.exists():
        if found := accept(private, failures):
            return found
        private.unlink()
    if shutil.which("criu") is None and shutil.which("apt-get") and "criu" in packages.offered():
        packages.install(["criu"])
    on_path = shutil.which("criu")
    return accept(Path(on_path), failures) if on_path else None


def newer_that_works(failures: dict[str, str]) -> Found:
    """Try the newer releases, oldest first: the nearest to this system has the least that is new."""
    if shutil.which("apt-get") is None:
        raise SetupError(f"no CRIU works on this kernel ({explain(failures)}). {REMEDY}")
    for suite, source in private_apt.newer_suites():
        if found := try_suite(suite, source, failures):
            return found
    raise SetupError(f"no CRIU of this system's mirror works on this kernel ({explain(failures)}). {REMEDY}")


def try_suite(suite: str, source: str, failures: dict[str, str]) -> Found | None:
    """Unpack the CRIU of *suite* and publish it if it works; one that is already known to fail is skipped."""
    with criu_prefix.workshop() as work:
        apt = private_apt.PrivateApt(work / "apt", source)
        try:
            apt.update()
            package_version = apt.candidate("criu")
            if package_version is None:
                raise SetupError("there is none in that release")
            version = upstream_version(package_version)
            if version in failures:
                return None
            say(f"fetching CRIU {version} of {suite}")
            archives = apt.fetch_with_libraries("criu")
            if apt.candidate(DEFINITIONS) is not None:
                archives += apt.fetch([DEFINITIONS])
        except SetupError as error:
            failures[f"of {suite}"] = str(error)
            return None
        root = work / "root"
        root.mkdir()
        criu_prefix.unpack(archives, root)
        if accept(criu_prefix.write_wrapper(root), failures) is None:
            return None
        return describe(criu_prefix.publish(root, version), version)


def accept(criu: Path, failures: dict[str, str]) -> Found | None:
    """Probe *criu*; a failure is told, and noted under the version, so that no other copy of it is tried."""
    verdict = probe(criu)
    if not verdict.works:
        failures[verdict.version] = verdict.reason
        say(f"CRIU {verdict.version} ({criu}) does not work on this kernel: {verdict.reason}")
        return None
    return describe(criu, verdict.version)


def explain(failures: dict[str, str]) -> str:
    return "; ".join(f"CRIU {which}: {reason}" for which, reason in failures.items()) or "none is installed"


def upstream_version(package_version: str) -> str:
    """`4.2.1` of `1:4.2.1-1+b2`: what the program itself says."""
    return (
        package_version.partition(":")[2].rpartition("-")[0]
        or package_version.rpartition("-")[0]
        or package_version
    )


def describe(criu: Path, version: str) -> Found:
    """What has to be the same for an earlier verdict on *criu* to hold."""
    boot_id = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    return Found(
        path=str(criu),
        version=version,
        kernel=platform.release(),
        boot_id=boot_id,
        identity=identity_of(criu),
    )


def identity_of(file: Path) -> str:
    try:
        status = file.stat()
    except FileNotFoundError:
        return "absent"
    return f"{status.st_dev}:{status.st_ino}:{status.st_size}:{status.st_mtime_ns}"


def read_record() -> Found | None:
    """What an earlier set-up found; a record that cannot be understood is as good as none."""
    try:
        found = Found(**json.loads(layout.CRIU_RECORD.read_text(encoding="utf-8")))
    except (FileNotFoundError, ValueError, TypeError):
        return None
    explicit = os.environ.get("LIBPOD_CRIU")
    return found if explicit in (None, "", found.path) else None
