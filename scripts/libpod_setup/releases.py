"""Which newer releases of the distribution are worth a look for a CRIU that works. Pure.

The names are aliases that the archives keep pointing at the newest releases, so this list does not age.
"""

from collections.abc import Mapping

from libpod_setup.commands import SetupError

SUITES = {
    "debian": ("stable", "testing", "unstable"),
    "ubuntu": ("devel",),
}
COMPONENTS = {
    "debian": ("main",),
    "ubuntu": ("main", "universe"),
}


def parse_os_release(text: str) -> dict[str, str]:
    """The assignments of /etc/os-release."""
    pairs = (line.partition("=") for line in text.splitlines() if "=" in line and not line.startswith("#"))
    return {key.strip(): value.strip().strip("\"'") for key, _, value in pairs}


def archive_of(os_release: Mapping[str, str]) -> str:
    """Whose archive the system's mirror carries: "debian" or "ubuntu"; derivatives name it in ID_LIKE."""
    names = [os_release.get("ID", ""), *os_release.get("ID_LIKE", "").split()]
    # Ubuntu and all that derive from it say "debian" too, so the closer relative is asked for first.
    for archive in ("ubuntu", "debian"):
        if archive in names:
            return archive
    raise SetupError(
        f"{os_release.get('PRETTY_NAME', 'this system')} is neither Debian nor Ubuntu nor made from them"
    )


def codename_of(os_release: Mapping[str, str], archive: str) -> str:
    """The release of *archive* that this system is made from, or "" if it does not say."""
    return os_release.get(f"{archive.upper()}_CODENAME") or os_release.get("VERSION_CODENAME", "")
