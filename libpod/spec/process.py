"""The process document of an exec: another process in a running container.

It is the container's own process as it was finally started, with what the exec asks for in its place. Limits and
no-new-privileges stay. Capabilities follow the user: root has the container's bounding set in effect; the container's
own user has what the container gave it, handed on as ambient; anybody else nothing in effect, with the container's
bounding set. Privileged execs get all that this machine's engine may hand on.

Covers: libpod/oci_conmon_exec_common.go (prepareProcessExec)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from libpod.linux.host import HostFacts
from libpod.model.exec_options import ExecOptions
from libpod.spec.environment import merged
from libpod.spec.finalize import copied
from libpod.spec.users import ResolvedUser

if TYPE_CHECKING:
    from libpod.spec.document_parts import Capabilities


def exec_process(
    document: Mapping[str, Any],
    options: ExecOptions,
    *,
    user: ResolvedUser,
    host: HostFacts,
    umask: int | None = None,
) -> dict[str, Any]:
    """The document for the runtime's `exec --process`.

    *document* is the container's final specification, its `config.json`. *user* is the one the exec runs as: the
    container's own when the options name none.
    """
    process: Mapping[str, Any] = document["process"]
    result: dict[str, Any] = copied(process)
    result["args"] = list(options.command)
    inherited = [entry for entry in result.get("env") or () if not entry.startswith("HOME=")]
    result["env"] = merged(inherited, {**({"HOME": user.home} if user.home else {}), **options.env})
    result["cwd"] = options.workdir or result.get("cwd") or "/"
    result["user"] = _user(user, umask if umask is not None else (process.get("user") or {}).get("umask"))
    result.pop("terminal", None)
    result.pop("consoleSize", None)
    if options.tty:
        result["terminal"] = True
        if options.size is not None:
            result["consoleSize"] = {"height": options.size[0], "width": options.size[1]}
    sets = _capabilities(process.get("capabilities") or {}, options, user, host)
    result.pop("capabilities", None)
    if sets:
        result["capabilities"] = sets
    return result


def _user(user: ResolvedUser, umask: int | None) -> dict[str, Any]:
    found: dict[str, Any] = {"uid": user.uid, "gid": user.gid}
    if user.additional_gids:
        found["additionalGids"] = sorted(set(user.additional_gids))
    if umask is not None:
        found["umask"] = umask
    return found


def _capabilities(
    own: Mapping[str, Any], options: ExecOptions, user: ResolvedUser, host: HostFacts
) -> Capabilities:
    bounding = sorted(host.bounding) if options.privileged else list(own.get("bounding") or ())
    found: Capabilities = {}
    if bounding:
        found["bounding"] = bounding
    if user.uid == 0:
        if bounding:
            found["effective"], found["permitted"] = list(bounding), list(bounding)
        return found
    if not options.user and own.get("effective"):
        granted = list(own["effective"])
        found["effective"], found["permitted"] = list(granted), list(granted)
        found["inheritable"], found["ambient"] = list(granted), list(granted)
    return found
