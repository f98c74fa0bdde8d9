"""Reads the system's apt sources in both formats, to learn where the mirror is. Pure.

The mirror is never guessed: what the system uses is what the user trusts and can reach. An address may also
be a list of mirrors (`mirror+file:…`); it is handed on as it stands.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from libpod_setup.commands import SetupError


@dataclass(frozen=True, kw_only=True)
class Source:
    """One enabled source of binary packages."""

    uri: str
    suites: tuple[str, ...]
    components: tuple[str, ...] = ()
    signed_by: str = ""
    """Key files, fingerprints or a whole key block; "" for the keys that apt trusts in general."""
    trusted: bool = False
    """The user has switched the signature check off for this mirror."""


ONE_LINE = re.compile(
    r"deb\s+(?:\[(?P<options>[^]]*)\]\s+)?(?P<uri>\S+)\s+(?P<suite>\S+)(?P<components>[^#]*)"
)


def parse_one_line(text: str) -> Iterator[Source]:
    """Sources of a `sources.list` or `*.list` file."""
    for line in text.splitlines():
        match = ONE_LINE.match(line.strip())
        if match is None:
            continue
        options = dict(word.partition("=")[::2] for word in (match["options"] or "").split())
        yield Source(
            uri=match["uri"],
            suites=(match["suite"],),
            components=tuple(match["components"].split()),
            signed_by=options.get("signed-by", "").replace(",", " "),
            trusted=options.get("trusted", "") == "yes",
        )


def parse_deb822(text: str) -> Iterator[Source]:
    """Sources of a `*.sources` file."""
    for stanza in re.split(r"\n[ \t]*\n", text):
        fields = parse_stanza(stanza)
        if "deb" not in fields.get("types", "").split() or fields.get("enabled", "yes").lower() == "no":
            continue
        for uri in fields.get("uris", "").split():
            yield Source(
                uri=uri,
                suites=tuple(fields.get("suites", "").split()),
                components=tuple(fields.get("components", "").split()),
                signed_by=fields.get("signed-by", ""),
                trusted=fields.get("trusted", "") == "yes",
            )


def parse_stanza(stanza: str) -> dict[str, str]:
    """Fields by lower-case name. Continuation lines keep their form: an embedded key depends on it."""
    fields: dict[str, str] = {}
    name = ""
    for line in stanza.splitlines():
        if line.startswith("#"):
            continue
        if line[:1] in (" ", "\t"):
            if name:
                fields[name] += "\n" + line
        elif ":" in line:
            name, _, value = line.partition(":")
            name = name.strip().lower()
            fields[name] = value.strip()
    return fields


def mirror_of(sources: Iterable[Source], codename: str, archive: str) -> Source:
    """The source that carries the running release itself, not its updates, security fixes or a third party's.

    That is the archive in which newer releases are neighbours.
    """
    aliases = {codename, "stable", "oldstable", "testing", "unstable", "sid"} - {""}
    fitting = [source for source in sources if aliases & set(source.suites) and "main" in source.components]
    # Third parties like to call their suite "stable" as well, so the name of the release goes first.
    fitting.sort(key=lambda source: codename not in source.suites)
    if not fitting:
        raise SetupError(
            f"the apt sources of this system name no mirror of {archive.capitalize()} {codename}, "
            "so there is nothing to fetch a newer CRIU from"
        )
    return fitting[0]


def stanza_for(mirror: Source, *, suite: str, components: Iterable[str], default_keyring: str) -> str:
    """A deb822 source for *suite* of the same mirror, trusted in the same way."""
    lines = [
        "Types: deb",
        f"URIs: {mirror.uri}",
        f"Suites: {suite}",
        f"Components: {' '.join(components)}",
    ]
    keys = mirror.signed_by or default_keyring
    if keys:
        lines.append(f"Signed-By: {keys}")
    if mirror.trusted:
        lines.append("Trusted: yes")
    return "\n".join(lines) + "\n"
