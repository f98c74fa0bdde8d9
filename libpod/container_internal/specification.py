"""The bundle's config.json: what has to be looked up for it, and writing it.

`spec.finalize` decides; this module looks: users in the container's own passwd file, namespaces of other containers,
the machine's seccomp profile, links under tmpfs mounts. The file is written last of all that a start needs, because its
presence is what lets conmon go on when we die.

Covers: libpod/container_internal_common.go (generateSpec, saveSpec, makeBindMounts)
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from libpod.container_internal import (
    extra_mounts,
    generated_files,
    id_mapping,
    source_preparation,
    user_lookup,
)
from libpod.container_internal.held import LockedContainer
from libpod.define.errors import HostError
from libpod.linux import devices, process
from libpod.linux.files import write_atomic
from libpod.linux.openat import open_inside
from libpod.spec import hooks, seccomp
from libpod.spec.finalize import (
    FinalFacts,
    finalize_for_restore,
    finalize_spec,
    precreate_hooks,
    working_directory,
)
from libpod.spec.namespaces import borrowed, proc_path

Document = dict[str, Any]


class Prepared(msgspec.Struct, frozen=True, kw_only=True):
    """What was looked up for one start."""

    facts: FinalFacts
    bind_mounts: dict[str, str]


def prepare(held: LockedContainer, root: Path) -> Prepared:
    """Look everything up and write the generated files; *root* is the mounted root file system."""
    config, services = held.config, held.services
    user = user_lookup.resolve(root, config.user, groups=config.groups)
    _make_working_directory(held, root, *id_mapping.on_host(config, user.uid, user.gid))
    binds = generated_files.write(held, network_status=held.state.network_status)
    if config.passwd is not False and (
        passwd := user_lookup.passwd_for(root, user, working_directory(config))
    ):
        path = held.run_directory / "passwd"
        write_atomic(path, passwd.encode(errors="surrogateescape"), mode=0o644, durable=False)
        binds["/etc/passwd"] = str(path)
    source_preparation.prepare(held, user)
    id_mapping.give_to_root(
        config, (path for path in binds.values() if held.run_directory in Path(path).parents)
    )
    id_mapping.make_accessible(held, root)
    facts = FinalFacts(
        root_path=str(root),
        host=services.host,
        user=user,
        namespaces=_namespaces(held),
        bind_mounts=binds,
        volumes={name: services.state.volume_config(name).mount_point for name in config.volume_names},
        mounted=extra_mounts.prepare(held),
        tmpfs_targets=_tmpfs_targets(config.spec, root),
        seccomp=_machine_profile(held),
        hooks=hooks.load_hooks(services.config.hooks_dirs),
        devices=devices.host_devices() if config.privileged else (),
        process_label=config.process_label,
        mount_label=config.mount_label,
    )
    return Prepared(facts=facts, bind_mounts=binds)


def write_config(held: LockedContainer, prepared: Prepared) -> None:
    """Write config.json for a fresh start."""
    document = finalize_spec(held.config, prepared.facts)
    for hook in precreate_hooks(held.config, prepared.facts.hooks):
        document = _filtered(held, document, hook)
    _write(held, document)


def _filtered(held: LockedContainer, document: Document, hook: Mapping[str, Any]) -> Document:
    """What a precreate hook makes of the document: it reads one and prints another."""
    argv = [str(word) for word in hook.get("args") or [hook["path"]]]
    argv[0] = str(hook["path"])
    environ = dict(word.split("=", 1) for word in hook.get("env") or () if "=" in word)
    try:
        done = process.run(argv, stdin=_encoded(document), env=environ, timeout=hook.get("timeout"))
        changed = json.loads(done.stdout)
    except ValueError as error:
        raise HostError(
            f"container {held.name}: the hook {argv[0]} did not print a document ({error})"
        ) from error
    if not isinstance(changed, dict):
        raise HostError(f"container {held.name}: the hook {argv[0]} did not print a JSON object")
    return changed


def write_restored(held: LockedContainer, prepared: Prepared, document: Document) -> None:
    """Write config.json for a restore of processes that ran as *document* says."""
    _write(held, finalize_for_restore(document, held.config, prepared.facts))


def write_imported(held: LockedContainer, document: Mapping[str, Any]) -> None:
    """Keep the specification that came with an archive, as config.json until the restore replaces it."""
    _write(held, dict(document))


def read_config(path: Path) -> Document:
    """A bundle's config.json; raises HostError when there is none that can be read."""
    try:
        document: Document = json.loads(path.read_bytes())
    except FileNotFoundError as error:
        raise HostError(f"{path} is missing", resolution="restore from an archive instead") from error
    except ValueError as error:
        raise HostError(f"{path} is damaged: {error}") from error
    return document


KEPT = "config.json.before-restore"


def kept_for_restore(path: Path) -> Document:
    """A bundle's config.json, put by until the restore is over.

    A launch removes config.json and writes it last: were we killed in between, the checkpoint would be worthless.
    """
    kept = path.with_name(KEPT)
    if not kept.exists():
        write_atomic(kept, _encoded(read_config(path)), mode=0o644)
    return read_config(kept)


def forget_kept(path: Path) -> None:
    """After the restore."""
    path.with_name(KEPT).unlink(missing_ok=True)


def put_back(path: Path, document: Document) -> None:
    """Write again what `kept_for_restore` gave, after a restore that failed."""
    write_atomic(path, _encoded(document), mode=0o644, durable=False)


def _write(held: LockedContainer, document: Document) -> None:
    write_atomic(held.directory / "config.json", _encoded(document), mode=0o644, durable=False)


def _encoded(document: Document) -> bytes:
    return json.dumps(document, separators=(",", ":")).encode()


def _namespaces(held: LockedContainer) -> dict[str, str]:
    """Namespace → path: our own network namespace, and those of the containers that are joined."""
    found = {"network": held.state.netns} if held.state.netns else {}
    for namespace, owner in borrowed(held.config).items():
        state = held.services.state.container_state(owner)
        found[namespace] = proc_path(state.pid, namespace)
    return found


def _machine_profile(held: LockedContainer) -> seccomp.SeccompProfile | None:
    configured = held.services.config.containers.seccomp_profile
    if not held.services.host.seccomp or held.config.privileged or configured == seccomp.UNCONFINED:
        return None
    return seccomp.default_profile(configured)


def _tmpfs_targets(template: Mapping[str, Any], root: Path) -> dict[str, str]:
    """Destinations of tmpfs mounts that are links in the image → where they lead, so that no link is followed later."""
    found = {}
    for mount in template.get("mounts") or ():
        if mount.get("type") == "tmpfs" and mount["destination"] not in {"/dev", "/dev/shm"}:
            found[mount["destination"]] = _inside(root, mount["destination"])
    return found


def _inside(root: Path, destination: str) -> str:
    top = os.open(root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        try:
            descriptor = open_inside(top, destination.lstrip("/"), os.O_PATH)
        except OSError:
            return destination  # not there yet, or not to be reached: the runtime makes it or says why not
        try:
            real = os.readlink(f"/proc/self/fd/{descriptor}")
        finally:
            os.close(descriptor)
    finally:
        os.close(top)
    return (
        "/" + os.path.relpath(real, os.path.realpath(root)) if real != os.path.realpath(root) else destination
    )


def _make_working_directory(held: LockedContainer, root: Path, uid: int, gid: int) -> None:
    """An image may name a working directory that it does not have; it is made, owned by the user."""
    path = working_directory(held.config).lstrip("/")
    if not path or not held.config.create_working_dir:
        return
    top = os.open(root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        made = ""
        for part in path.split("/"):
            parent = open_inside(top, made, os.O_RDONLY | os.O_DIRECTORY) if made else os.dup(top)
            try:
                os.mkdir(part, 0o755, dir_fd=parent)
                os.chown(part, uid, gid, dir_fd=parent, follow_symlinks=False)
            except FileExistsError:
                pass  # the usual case
            finally:
                os.close(parent)
            made = f"{made}/{part}" if made else part
    except OSError as error:
        raise HostError(
            f"container {held.name}: its working directory /{path} cannot be made ({error.strerror})"
        ) from error
    finally:
        os.close(top)
