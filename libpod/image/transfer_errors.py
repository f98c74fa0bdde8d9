"""What skopeo's complaints mean.

skopeo tells errors as text, which differs a little between versions. The text is read here, once for all callers, by
the words that survived all of them; what nobody recognises stays an ImageError with the original sentence in it.

Covers: image/docker/errors.go, image/docker/registry_error handling as seen from outside
"""

from __future__ import annotations

import re

from libpod.define.errors import (
    ImageError,
    ImageInUseError,
    ImagePolicyError,
    LibpodError,
    NoSuchImageError,
    RegistryAccessError,
    RegistryUnreachableError,
    last_lines,
)
from libpod.image.references import Location, Transport


def describe(source: Location, destination: Location) -> str:
    """What a copy is called in a message."""
    if destination.transport is Transport.STORE:
        return f"copying {shown(source)} into the store"
    return f"copying {shown(source)} to {shown(destination)}"


def shown(location: Location) -> str:
    """A location as people know it."""
    # The store's specification is long and means nothing to a reader.
    return (
        re.sub(r"^\[[^\]]*\]", "", location.details)
        if location.transport is Transport.STORE
        else str(location)
    )


_FATAL = re.compile(r'level=(?:fatal|error) msg="((?:[^"\\]|\\.)*)"')
_UNKNOWN = re.compile(r"manifest unknown|name unknown|repository name not known|\b404\b", re.IGNORECASE)
_MISSING = re.compile(
    r"reference \S+ not found|no such file or directory|does not (?:resolve|exist)|not found in (?:archive|index)"
    r"|identifier is not an image|no image found|Tag \S+ not found|no descriptor found",
    re.IGNORECASE,
)
_DAMAGE = re.compile(r"processing tar file\((.*?)\):")
_ACCESS = re.compile(
    r"unauthorized|authentication required|invalid username/password|requested access to the resource is denied"
    r"|\b401\b|\b403\b|access denied|invalid status code from registry 40[13]",
    re.IGNORECASE,
)
_UNREACHABLE = re.compile(
    r"(?:dial|read|write) tcp|connection refused|no such host|i/o timeout|TLS handshake|connection reset"
    r"|network is unreachable|no route to host"
    r"|x509:|server gave HTTP response|unexpected EOF|: EOF|broken pipe|\b50[0-4]\b|deadline exceeded"
    r"|server closed|http2:|toomanyrequests",
    re.IGNORECASE,
)
_POLICY = re.compile(
    r"Source image rejected|Running image .* is rejected by policy|required a signature", re.IGNORECASE
)


def fatal_message(stderr: str) -> str:
    """The sentence skopeo ended with, without time stamp, quotes and the long queries of addresses."""
    stderr = re.sub(r"\?_state=[^\s\"\\]*", "", stderr)
    found = _FATAL.findall(stderr)
    if found:
        return re.sub(
            r"\\(.)", lambda match: {"n": "; ", "t": " "}.get(match[1], match[1]), str(found[-1])
        ).strip()
    return last_lines(stderr, 1) or "no output on stderr"


def translate(stderr: str, *, subject: str, name: str, remote: bool) -> LibpodError:
    """The error that skopeo's complaint means: the most telling words win, whatever the version around them."""
    said = fatal_message(stderr)
    details = last_lines(stderr)
    message = f"{subject} failed: {said}"
    if "no space left on device" in said:
        return ImageError(
            message,
            resolution="free space in the store or point TMPDIR to a larger disk, then repeat",
            details=details,
        )
    if _POLICY.search(said):
        return ImagePolicyError(
            message, resolution="see the signature policy in policy.json", details=details
        )
    if "image used by" in said or "image is in use" in said:
        return ImageInUseError(name, re.findall(r"\b[0-9a-f]{64}\b", said) or ["a container"])
    damage = _DAMAGE.search(said)
    if damage is not None:
        return ImageError(
            f"{subject} failed: a layer is not a tar that can be unpacked ({damage[1]})", details=details
        )
    if remote:
        if _ACCESS.search(said) and not _UNKNOWN.search(said):
            return RegistryAccessError(
                message, resolution="log in to the registry, or check user and password", details=details
            )
        if _UNREACHABLE.search(said):
            return RegistryUnreachableError(
                message, resolution="check the registry's name, the network and the TLS settings, then repeat",
                details=details,
            )  # fmt: skip
    if _UNKNOWN.search(said) or _MISSING.search(said):
        return NoSuchImageError(name, message=message, resolution="check the name and the tag")
    return ImageError(message, details=details)
