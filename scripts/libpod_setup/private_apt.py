"""An apt that shares nothing with the system's but the mirror and its keys.

It has its own lists, its own cache and an empty idea of what is installed. From the last follows that asking
it for a package yields the package with *all* its libraries, the C library included: exactly what is needed
to run a program of a newer release on an older one.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path

from libpod_setup import apt_sources, layout, releases
from libpod_setup.apt_sources import Source
from libpod_setup.commands import attempt, run

CONFIGURATION = Path("/etc/apt")
KEYRINGS = Path("/usr/share/keyrings")


def system_sources(configuration: Path = CONFIGURATION) -> list[Source]:
    """All sources of this system, in apt's order."""
    found: list[Source] = []
    main = configuration / "sources.list"
    parts = configuration / "sources.list.d"
    for file in [main, *sorted(parts.glob("*.list"))]:
        if file.is_file():
            found += apt_sources.parse_one_line(file.read_text(encoding="utf-8", errors="replace"))
    for file in sorted(parts.glob("*.sources")):
        found += apt_sources.parse_deb822(file.read_text(encoding="utf-8", errors="replace"))
    return found


def default_keyring(archive: str) -> str:
    """The archive's own keyring; "" leaves it to the keys that apt trusts in general."""
    keyring = KEYRINGS / f"{archive}-archive-keyring.gpg"
    return str(keyring) if keyring.exists() else ""


def newer_suites() -> Iterator[tuple[str, str]]:
    """The newer releases on the system's mirror, oldest first, each with the text of its source."""
    os_release = releases.parse_os_release(layout.OS_RELEASE.read_text(encoding="utf-8"))
    archive = releases.archive_of(os_release)
    mirror = apt_sources.mirror_of(system_sources(), releases.codename_of(os_release, archive), archive)
    for suite in releases.SUITES[archive]:
        yield (
            suite,
            apt_sources.stanza_for(
                mirror,
                suite=suite,
                components=releases.COMPONENTS[archive],
                default_keyring=default_keyring(archive),
            ),
        )


class PrivateApt:
    """One suite of a mirror, under *root*, a folder that the caller owns and removes."""

    def __init__(self, root: Path, source: str) -> None:
        self.archives = root / "archives"
        for directory in (root / "lists" / "partial", self.archives / "partial"):
            directory.mkdir(parents=True)
        (root / "status").touch()
        (root / "private.sources").write_text(source, encoding="utf-8")
        # An empty configuration, because the system's may pin releases or rename files; proxies and
        # credentials of the system still apply, since its apt.conf.d is read as usual.
        settings = {
            "Dir::State": root,
            "Dir::State::lists": root / "lists",
            "Dir::State::status": root / "status",
            "Dir::Cache": root,
            "Dir::Cache::archives": self.archives,
            "Dir::Cache::pkgcache": root / "pkgcache.bin",
            "Dir::Cache::srcpkgcache": root / "srcpkgcache.bin",
            "Dir::Etc::sourcelist": root / "private.sources",
            "Dir::Etc::sourceparts": "/dev/null",
            "Dir::Etc::preferences": "/dev/null",
            "Dir::Etc::preferencesparts": "/dev/null",
            "Acquire::Languages": "none",
            "Acquire::Retries": "3",
            # The download user may not enter our folder, and need not: nothing of it is the user's.
            "APT::Sandbox::User": "root",
            # Hooks of the system (package lists for desktops, and so on) are none of our business.
            "APT::Update::Post-Invoke-Success": "",
        }
        self._options = [word for key, value in settings.items() for word in ("-o", f"{key}={value}")]

    def update(self) -> None:
        run(["apt-get", *self._options, "--quiet=2", "update"], timeout=300)

    def candidate(self, package: str) -> str | None:
        """The version of *package* that this suite offers."""
        policy = attempt(["apt-cache", *self._options, "policy", package]).stdout
        return candidate_in(policy)

    def fetch_with_libraries(self, *packages: str) -> list[Path]:
        """Download *packages* and everything that they depend on."""
        run(
            ["apt-get", *self._options, "--quiet=2", "--yes", "--no-install-recommends", "--download-only",
             "install", *packages],
            timeout=600,
        )  # fmt: skip
        return sorted(self.archives.glob("*.deb"))

    def fetch(self, packages: Iterable[str]) -> list[Path]:
        """Download *packages* alone."""
        before = set(self.archives.glob("*.deb"))
        run(["apt-get", *self._options, "--quiet=2", "download", *packages], cwd=self.archives, timeout=300)
        return sorted(set(self.archives.glob("*.deb")) - before)


def candidate_in(policy: str) -> str | None:
    """The version after `Candidate:` in the output of `apt-cache policy`."""
    for line in policy.splitlines():
        name, _, value = line.strip().partition(": ")
        if name == "Candidate" and value != "(none)":
            return value
    return None
