"""From a container's template to the document that runs.

`finalize_spec` copies the template and sends the copy through a list of small passes, each of which knows one subject.
The template is never touched, so the same call gives the same document however often a container is started. All that
has to be looked up – users, paths of namespaces, mounted volumes – comes in as `FinalFacts`.

A restore from an archive is different: the processes are what they were on the other machine, so their environment,
capabilities, host name, filters and annotations stay the source's. `import_template` takes out what belonged to that
machine (root, namespace paths, cgroup, the engine's own files, volumes), and `finalize_for_restore` puts this
machine's in.

Covers: libpod/container_internal_common.go (generateSpec), pkg/checkpoint/checkpoint_restore.go (the specification)
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from libpod.define.errors import NotSupportedError, VolumeError
from libpod.linux.devices import DeviceNode
from libpod.linux.host import HostFacts
from libpod.model.container_config import ContainerConfig
from libpod.model.times import is_zero
from libpod.spec import annotations as names
from libpod.spec import capabilities, devices, hooks, mounts, rlimits, seccomp
from libpod.spec.document import Document, check_document
from libpod.spec.environment import with_missing
from libpod.spec.namespaces import cgroups_path, has_entry, has_own, with_path
from libpod.spec.users import ResolvedUser

if TYPE_CHECKING:
    from libpod.spec.document_parts import MountEntry

ENGINE_FILES = frozenset(
    {
        "/etc/hosts",
        "/etc/resolv.conf",
        "/etc/hostname",
        "/etc/localtime",
        "/etc/passwd",
        "/etc/group",
        "/run/.containerenv",
        "/run/secrets",
        mounts.SHM,
    }
)
"""Destinations of what the engine itself binds, when no user has mounted something there."""


class FinalFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What is known only when a container is about to start."""

    root_path: str
    """The mounted root file system."""
    host: HostFacts
    user: ResolvedUser | None = None
    """Who `config.user` is in the container; None leaves the template's numbers."""
    namespaces: Mapping[str, str] = msgspec.field(default_factory=dict)
    """Namespace → path to join: our network namespace, and those of other containers."""
    bind_mounts: Mapping[str, str] = msgspec.field(default_factory=dict)
    """Files of the engine: path in the container → path on the host."""
    volumes: Mapping[str, str] = msgspec.field(default_factory=dict)
    """Named volumes: name → directory of its content."""
    mounted: Mapping[str, str] = msgspec.field(default_factory=dict)
    """Destination → mount point on the host, for overlay and image volumes, and for volumes with a sub-path."""
    tmpfs_targets: Mapping[str, str] = msgspec.field(default_factory=dict)
    """Destinations of tmpfs that are links in the root file system → where they lead, in the container."""
    seccomp: seccomp.SeccompProfile | None = None
    """The machine's profile; None: no filter."""
    hooks: Sequence[hooks.Hook] = ()
    devices: Sequence[DeviceNode] = ()
    """All devices of the host, for a privileged container."""
    extra_env: Mapping[str, str] = msgspec.field(default_factory=dict)
    """Variables that are not kept in the record: secrets, LISTEN_FDS."""
    process_label: str = ""
    mount_label: str = ""


Pass = Callable[[Document, ContainerConfig, FinalFacts], None]
"""Changes the document in place, which is always a private copy."""


def finalize_spec(config: ContainerConfig, facts: FinalFacts) -> Document:
    """The `config.json` for the next run of the container."""
    document: Document = copied(config.spec)
    for step in PASSES:
        step(document, config, facts)
    return document


def finalize_for_restore(document: Mapping[str, Any], config: ContainerConfig, facts: FinalFacts) -> Document:
    """The `config.json` for a restore of processes that ran as *document* says, which may be another machine's.

    *config* is the record on this machine. Raises NotSupportedError for limits that cannot be set here, and what
    `import_template` raises.
    """
    result = import_template(document, config)
    beyond = rlimits.out_of_reach(result, facts.host)
    if beyond:
        raise NotSupportedError(
            f"container {config.name} has resource limits that this process may not set: {', '.join(beyond)}",
            resolution="restore with CAP_SYS_RESOURCE, or make the container with smaller ulimits",
        )
    for step in RESTORE_PASSES:
        step(result, config, facts)
    return result


def import_template(document: Mapping[str, Any], config: ContainerConfig) -> Document:
    """*document*, which ran on some machine, without what belonged to that machine: a template for this one.

    Raises InvalidArgumentError when it is not a specification.
    """
    result: Document = copied(document)
    check_document(result, f"container {config.name}")
    result["root"] = {**(result.get("root") or {}), "path": "rootfs"}
    linux = result.setdefault("linux", {})
    linux.pop("cgroupsPath", None)
    result.pop("hooks", None)  # programs of the other machine, run as root: never on the word of an archive
    linux["namespaces"] = [_without_engine_path(entry, config) for entry in linux.get("namespaces") or ()]
    own = {volume.dest for volume in config.named_volumes}
    own |= {volume.dest for volume in config.overlay_volumes} | {
        volume.dest for volume in config.image_volumes
    }
    result["mounts"] = [
        entry
        for entry in result.get("mounts") or ()
        if not (entry.get("type") == "bind" and _is_engines(entry["destination"], config, own))
    ]
    return result


def _is_engines(destination: str, config: ContainerConfig, volumes: set[str]) -> bool:
    if destination in volumes:
        return True
    return destination in ENGINE_FILES and destination not in config.user_volumes


def _without_engine_path(entry: Mapping[str, Any], config: ContainerConfig) -> dict[str, Any]:
    """A path stays only where the user named it: `--network ns:PATH` and the like."""
    kept = config.network_mode == f"ns:{entry.get('path')}" and entry.get("type") == "network"
    return dict(entry) if kept else {"type": entry["type"]}


def precreate_hooks(config: ContainerConfig, loaded: Sequence[hooks.Hook]) -> list[Any]:
    """The programs that get the finished document and print another; the caller runs them, in order."""
    return _matching_hooks(config.spec, config, loaded).get(hooks.PRECREATE, [])


def copied(value: Any) -> Any:
    """A deep copy of JSON; mappings and sequences of any kind come out as dictionaries and lists."""
    if isinstance(value, Mapping):
        return {key: copied(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [copied(item) for item in value]
    return value


# ---- the passes -----------------------------------------------------------------------------------------------


def set_root(document: Document, config: ContainerConfig, facts: FinalFacts) -> None:
    document["root"] = {**document.get("root", {}), "path": facts.root_path}


def set_user(document: Document, config: ContainerConfig, facts: FinalFacts) -> None:
    user = document["process"].setdefault("user", {})
    if facts.user is not None:
        user["uid"], user["gid"] = facts.user.uid, facts.user.gid
        user.pop("additionalGids", None)
        if facts.user.additional_gids:
            user["additionalGids"] = list(facts.user.additional_gids)
    if config.umask:
        user["umask"] = int(config.umask, 8)


def join_namespaces(document: Document, config: ContainerConfig, facts: FinalFacts) -> None:
    entries = document["linux"].get("namespaces") or []
    for namespace, path in facts.namespaces.items():
        entries = with_path(entries, namespace, path)
    document["linux"]["namespaces"] = entries


def add_volumes(document: Document, config: ContainerConfig, facts: FinalFacts) -> None:
    """Named, overlay and image volumes, as binds of where the engine has them."""
    found: list[MountEntry] = []
    for volume in config.named_volumes:
        source = facts.mounted.get(volume.dest) or facts.volumes.get(volume.name)
        found.append(_bind(config, volume.dest, source, list(volume.options)))
    for overlay in config.overlay_volumes:
        words = [word for word in overlay.options if word in ("ro", "rw")]
        found.append(_bind(config, overlay.dest, facts.mounted.get(overlay.dest), mounts.bind_options(words)))
    for image in config.image_volumes:
        access = "rw" if image.read_write else "ro"
        found.append(_bind(config, image.dest, facts.mounted.get(image.dest), mounts.bind_options((access,))))
    replaced = {entry["destination"] for entry in found}
    kept = [entry for entry in document["mounts"] if entry["destination"] not in replaced]
    document["mounts"] = kept + found


def _bind(config: ContainerConfig, destination: str, source: str | None, options: list[str]) -> MountEntry:
    if not source:
        raise VolumeError(
            f"container {config.name}: the volume on {destination} is not mounted on this machine"
        )
    return {"destination": destination, "type": "bind", "source": source, "options": options}


def add_engine_files(document: Document, config: ContainerConfig, facts: FinalFacts) -> None:
    """The engine's binds, where no user mounted something – nor on /run, whose content is then the user's alone."""
    read_only = bool(document.get("root", {}).get("readonly"))
    taken = {entry["destination"] for entry in document["mounts"]}
    generated = [
        mounts.generated_bind(
            destination,
            source,
            read_only=read_only,
            own_shm=destination == mounts.SHM and source == config.shm_dir,
        )
        for destination, source in facts.bind_mounts.items()
        if not (destination.startswith("/run/") and "/run" in taken)
    ]
    document["mounts"] = mounts.with_generated(document["mounts"], generated)


def settle_mounts(document: Document, config: ContainerConfig, facts: FinalFacts) -> None:
    """Words for the engine out, links of tmpfs destinations followed, shallow destinations first."""
    entries = []
    for entry in document["mounts"]:
        if entry.get("type") == "mqueue" and not facts.host.mqueue:
            continue
        settled = mounts.without_engine_words(entry)
        if entry.get("type") == "tmpfs":
            if "U" in (entry.get("options") or ()):
                user = document["process"]["user"]
                settled["options"] += [f"uid={user['uid']}", f"gid={user['gid']}"]
            settled["destination"] = facts.tmpfs_targets.get(entry["destination"], entry["destination"])
        entries.append(settled)
    document["mounts"] = mounts.by_depth(entries)
    propagation = mounts.root_propagation(entries)
    if propagation:
        document["linux"]["rootfsPropagation"] = propagation


def set_cgroup(document: Document, config: ContainerConfig, facts: FinalFacts) -> None:
    path = cgroups_path(config)
    document["linux"].pop("cgroupsPath", None)
    if path:
        document["linux"]["cgroupsPath"] = path


def set_hostname(document: Document, config: ContainerConfig, facts: FinalFacts) -> None:
    """The name of the container, which the process also finds in HOSTNAME; the host's without a UTS namespace.

    In somebody else's UTS namespace the name is theirs and not to be set.
    """
    name = str(document.get("hostname") or config.short_id)
    if has_own(document, "uts"):
        document["hostname"] = name
    else:
        document.pop("hostname", None)
        name = name if has_entry(document, "uts") else facts.host.hostname
    home = facts.user.home if facts.user is not None else "/"
    process = document["process"]
    additions = {"HOME": home} if home else {}
    additions |= {"HOSTNAME": name, **facts.extra_env}
    process["env"] = with_missing(process.get("env") or [], additions)


def fit_limits(document: Document, config: ContainerConfig, facts: FinalFacts) -> None:
    process = document["process"]
    process["rlimits"] = rlimits.clamped(rlimits.completed(process.get("rlimits") or []), facts.host)
    if "oomScoreAdj" in process and not facts.host.may_raise_limits:
        process["oomScoreAdj"] = max(process["oomScoreAdj"], facts.host.oom_score_adj)


def fit_capabilities(document: Document, config: ContainerConfig, facts: FinalFacts) -> None:
    process = document["process"]
    if process.get("capabilities"):
        process["capabilities"] = capabilities.limited(process["capabilities"], facts.host.bounding)


def add_host_devices(document: Document, config: ContainerConfig, facts: FinalFacts) -> None:
    if not config.privileged or not facts.devices:
        return
    given = document["linux"].get("devices") or []
    taken = {entry["path"] for entry in given}
    added = [entry for entry in devices.privileged(facts.devices) if entry["path"] not in taken]
    if given or added:
        document["linux"]["devices"] = [*given, *added]


def set_labels(document: Document, config: ContainerConfig, facts: FinalFacts) -> None:
    if facts.process_label:
        document["process"]["selinuxLabel"] = facts.process_label
    if facts.mount_label:
        document["linux"]["mountLabel"] = facts.mount_label


def set_seccomp(document: Document, config: ContainerConfig, facts: FinalFacts) -> None:
    """The machine's profile, unless the template has one of its own or wants none. Needs the final capabilities."""
    linux = document["linux"]
    if not facts.host.seccomp:
        linux.pop("seccomp", None)
        return
    asked = (document.get("annotations") or {}).get(names.SECCOMP, "")
    if linux.get("seccomp") or config.privileged or asked == seccomp.UNCONFINED or facts.seccomp is None:
        return
    bounding = frozenset((document["process"].get("capabilities") or {}).get("bounding") or ())
    compiled = seccomp.compile_profile(facts.seccomp, architecture=facts.host.architecture, bounding=bounding)
    if compiled is not None:
        linux["seccomp"] = compiled


def set_annotations(document: Document, config: ContainerConfig, facts: FinalFacts) -> None:
    found = {
        **(document.get("annotations") or {}),
        names.MANAGER: names.MANAGER_NAME,
        names.STOP_SIGNAL: str(config.stop_signal_number),
    }
    if not is_zero(config.created_time):
        found[names.CREATED] = config.created_time
    document["annotations"] = found


def add_hooks(document: Document, config: ContainerConfig, facts: FinalFacts) -> None:
    """Hooks of the administrator, after those the template may have. `precreate` is not the runtime's business."""
    found = _matching_hooks(config.spec, config, facts.hooks)
    for stage, entries in found.items():
        if stage != hooks.PRECREATE:
            merged = document.setdefault("hooks", {})
            merged[stage] = [*(merged.get(stage) or ()), *entries]


def _matching_hooks(
    template: Mapping[str, Any], config: ContainerConfig, loaded: Sequence[hooks.Hook]
) -> dict[str, list[Any]]:
    if not loaded:
        return {}
    return dict(
        hooks.matching(
            loaded,
            command=(template.get("process") or {}).get("args") or (),
            annotations=template.get("annotations") or {},
            bind_mounts=bool(config.user_volumes),
        )
    )


PASSES: tuple[Pass, ...] = (
    set_root,
    set_user,
    join_namespaces,
    add_volumes,
    add_engine_files,
    settle_mounts,
    set_cgroup,
    set_hostname,
    fit_limits,
    fit_capabilities,
    add_host_devices,
    set_labels,
    set_seccomp,
    set_annotations,
    add_hooks,
)

RESTORE_PASSES: tuple[Pass, ...] = (
    set_root,
    join_namespaces,
    add_volumes,
    add_engine_files,
    settle_mounts,
    set_cgroup,
    set_labels,
    add_hooks,
)


def working_directory(config: ContainerConfig) -> str:
    """Where the process starts, as a clean path: made in the root file system when the image names it only."""
    return posixpath.normpath(str((config.spec.get("process") or {}).get("cwd") or "/"))
