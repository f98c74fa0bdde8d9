"""What is to be seen of containers outside their records: processes, files, mounts, cgroups. Looks, changes nothing.

A survey lists the traces first, then who is making something, and last the records. A record comes before every trace
of its container and goes after the last, but for what its maker does under a sign of its own; so a trace without either
belongs to nobody, however much is going on meanwhile.

Covers: nothing upstream
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import attrs

from libpod.container_internal.monitors import monitors
from libpod.container_internal.services import Services
from libpod.container_internal.undertakings import Undertaking, undertakings
from libpod.define.ids import is_full_id
from libpod.linux import cgroups, mounts
from libpod.linux.pidfd import ProcessIdentity
from libpod.lock.presence import MAKE, Sign
from libpod.model.container_state import ContainerState
from libpod.model.container_summary import ContainerSummary
from libpod.spec.namespaces import CGROUPFS_PARENT


@attrs.frozen
class Trace:
    """One thing that is there for a container."""

    kind: str
    """monitor, exec monitor, runtime entry, namespace, exit file, persist directory, socket, layer, directory, mount
    or cgroup."""
    container: str
    name: str
    process: ProcessIdentity | None = None


@attrs.frozen(kw_only=True)
class Survey:
    """What was seen, in the order of the module."""

    traces: dict[str, list[Trace]]
    cleaning: frozenset[str]
    """Containers whose exit command runs."""
    making: frozenset[str]
    """Containers, and beginnings of volumes' names, that living processes are making."""
    dead_signs: tuple[Sign, ...]
    dead_undertakings: tuple[Undertaking, ...]
    abandoned: frozenset[str]
    """Containers whose lock was held by a process that died."""
    records: dict[str, tuple[ContainerSummary, ContainerState]]

    def of(self, ctr_id: str, kind: str) -> list[Trace]:
        """The traces of one kind of one container."""
        return [trace for trace in self.traces.get(ctr_id, ()) if trace.kind == kind]

    @property
    def unknown(self) -> dict[str, list[Trace]]:
        """Traces of containers that have no record and that nobody is making, or just cleaning up after.

        A cgroup alone proves nothing: other engines call theirs the same.
        """
        return {
            ctr_id: found
            for ctr_id, found in self.traces.items()
            if ctr_id not in self.records
            and ctr_id not in self.making
            and ctr_id not in self.cleaning
            and any(trace.kind != "cgroup" for trace in found)
        }


def survey(services: Services) -> Survey:
    """Look at everything once. Milliseconds."""
    traces: dict[str, list[Trace]] = {}
    cleaning: set[str] = set()
    dead_undertakings = tuple(item for item in undertakings(services.paths.staging) if item.is_over())
    for trace in _traces(services, cleaning):
        traces.setdefault(trace.container, []).append(trace)
    dead_signs = tuple(services.presence.dead())
    making = services.presence.living(MAKE)
    named = services.state.locks_in_use()
    abandoned = {
        word.removeprefix("container ")
        for number in services.locks.abandoned()
        for word in named.get(number, ())
        if word.startswith("container ")
    }
    return Survey(
        traces=traces,
        cleaning=frozenset(cleaning),
        making=frozenset(making),
        dead_signs=dead_signs,
        dead_undertakings=dead_undertakings,
        abandoned=frozenset(abandoned),
        records={row[0].id: row for row in services.state.container_summaries()},
    )


def _traces(services: Services, cleaning: set[str]) -> Iterator[Trace]:
    paths = services.paths
    for found in monitors(services):
        if found.kind == "exit command":
            cleaning.add(found.container)
        else:
            yield Trace(found.kind, found.container, f"process {found.process.pid}", found.process)
    for kind, directory in (
        ("namespace", paths.netns_directory),
        ("exit file", paths.exits),
        ("persist directory", paths.volatile / "persist"),
        ("socket", paths.sockets),
    ):
        for name in _names(directory):
            ctr_id = name.partition(".")[0] if kind == "exit file" else name  # `exit_files` says why
            if is_full_id(ctr_id):
                yield Trace(kind, ctr_id, str(directory / name))
    for runtime in _names(paths.volatile / "oci"):
        for name in _names(paths.volatile / "oci" / runtime):
            if is_full_id(name):
                yield Trace("runtime entry", name, str(paths.volatile / "oci" / runtime / name))
    yield from _directories_and_mounts(services)
    yield from _cgroups(services)


def _directories_and_mounts(services: Services) -> Iterator[Trace]:
    """Directories and mounts below both roots, by the id in their path, or by the layer they show."""
    containers = services.store.containers()
    stored = {item.layer_id: item.id for item in containers}
    known = set(stored.values())
    for item in containers:
        if services.store.is_own(item):
            yield Trace("layer", item.id, item.layer_id)
    bundle = services.bundle_directory("0" * 64).parent.parent
    run = services.run_directory("0" * 64).parent.parent
    for directory in (bundle, run):
        for name in _names(directory):
            # What the store knows is the store's to collect; it is asked first.
            if is_full_id(name) and name not in known:
                yield Trace("directory", name, str(directory / name))
    layers = str(services.store.graph_root / services.store.driver.name)
    for info in mounts.read_mountinfo():
        for base, by_layer in ((str(bundle), False), (str(run), False), (layers, True)):
            if info.target.startswith(f"{base}/"):
                own = info.target[len(base) + 1 :].split("/", 1)[0]
                ctr_id = stored.get(own, "") if by_layer else own
                if is_full_id(ctr_id):
                    yield Trace("mount", ctr_id, info.target)


def _cgroups(services: Services) -> Iterator[Trace]:
    parents = [
        CGROUPFS_PARENT,
        *(state.cgroup_path for _, state in services.state.pods() if state.cgroup_path),
    ]
    seen = set()
    for hierarchy in cgroups.hierarchies():
        for parent in parents:
            for name in _names(hierarchy.directory(parent)):
                ctr_id = name.removeprefix("libpod-")
                if is_full_id(ctr_id) and ctr_id not in seen:
                    seen.add(ctr_id)
                    yield Trace("cgroup", ctr_id, f"{parent}/{name}")


def _names(directory: Path) -> list[str]:
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        return sorted(os.listdir(directory))
    return []
