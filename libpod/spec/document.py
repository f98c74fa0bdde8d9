"""The OCI runtime specification as typed JSON.

Plain dictionaries: a document that came from somewhere else keeps the keys we do not know. The types of the parts we
know are in `document_parts`.

Covers: github.com/opencontainers/runtime-spec/specs-go
"""

from __future__ import annotations

from typing import Any

import msgspec

from libpod.define.errors import InvalidArgumentError

Document = dict[str, Any]
"""A whole `config.json`. `document_parts.Spec` names the keys that are known."""

OCI_VERSION = "1.0.2-dev"
"""The version podman 4 writes; runc and crun accept every 1.0."""


def check_document(document: Document, subject: str) -> None:
    """Raise InvalidArgumentError unless every known part of a specification has the type it must have.

    For documents that come from somewhere else: afterwards they can be worked on without fear of a TypeError.
    """
    from libpod.spec.document_parts import known_parts

    try:
        known_parts.decode(msgspec.json.encode(document))
    except (msgspec.MsgspecError, TypeError, ValueError, RecursionError) as error:
        raise InvalidArgumentError(f"the specification of {subject} is malformed: {error}") from error
