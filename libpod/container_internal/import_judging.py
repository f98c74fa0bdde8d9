"""Holding an archive's wishes against the policy of whoever imports it.

First what makes no sense at all, then what the policy does not grant: all of it in one sentence, so that nobody has to
try again and again. After unpacking, the rights that the process images claim are held against the same policy.

Covers: nothing upstream; podman grants everything
"""

from __future__ import annotations

from libpod.checkpoint.credentials import capability_bits
from libpod.checkpoint.reader import UnpackedArchive
from libpod.container_internal.services import Services
from libpod.define.errors import ArchiveError
from libpod.linux.capabilities import NAMES
from libpod.model.container_config import ContainerConfig
from libpod.model.import_policy import ImportPolicy
from libpod.spec.capabilities import normalized
from libpod.spec.imported import ALWAYS_GRANTED, oddities, requests

_SHOWN = 4


def require_granted(
    services: Services, config: ContainerConfig, policy: ImportPolicy, *, archive: str
) -> None:
    """Raise ArchiveError unless *policy* grants all that *config*, with the template as its specification, asks for."""
    odd = list(oddities(config))
    if odd:
        raise ArchiveError(archive, f"no engine writes {_listed(odd)}", resolution="do not trust it")
    refused = list(
        requests(config, usual_capabilities=services.config.containers.capabilities, policy=policy)
    )
    if refused:
        fields = sorted({request.field for request in refused})
        raise ArchiveError(
            archive,
            f"container {config.name} asks for {_listed([request.what for request in refused])}, which the policy for "
            "imports does not grant",
            resolution=f"if you trust it, import it with a policy that does ({', '.join(fields)}), "
            "or with ImportPolicy.trusted()",
        )


def require_rights(
    services: Services, unpacked: UnpackedArchive, config: ContainerConfig, policy: ImportPolicy
) -> None:
    """Raise ArchiveError when a frozen process says that it has more capabilities than the container was granted."""
    if policy.may_have("ALL") or (config.privileged and policy.privileged) or unpacked.images is None:
        return
    bits = capability_bits(unpacked.images)
    held = {name for number, name in enumerate(NAMES) if bits >> number & 1}
    if bits >> len(NAMES):
        held.add("capabilities that this kernel does not know")
    granted = set(normalized(services.config.containers.capabilities)) | ALWAYS_GRANTED | policy.capabilities
    beyond = sorted(held - granted)
    if beyond:
        raise ArchiveError(
            str(unpacked.path),
            f"its processes claim {_listed(beyond)}, which the policy for imports does not grant",
            resolution="if you trust it, import it with a policy that grants these capabilities",
        )


def _listed(clauses: list[str]) -> str:
    shown = clauses[:_SHOWN]
    more = len(clauses) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more else "")
