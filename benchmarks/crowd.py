"""A thousand containers: listing, looking up, creating one more."""

from __future__ import annotations

import itertools

from benchmarks.hosts import IMAGE, Hosts
from benchmarks.measure import Comparison, compare

_number = itertools.count()


def chapter(hosts: Hosts, rounds: int, *, count: int = 1000) -> list[Comparison]:
    """All rows; podman's own thousand take the better part of a minute to make."""
    with hosts.runtime() as runtime:
        ids = [
            runtime.create(IMAGE, "true", network="none", name=f"crowd{number}").id for number in range(count)
        ]
        for number in range(count):
            hosts.podman("create", "--name", f"crowd{number}", "--network", "none", IMAGE, "true")
        middle = ids[count // 2]
        rows = [
            compare(
                f"list {count} in the library",
                lambda: [
                    (item.name, item.summary.image, item.status, item.summary.port_mappings)
                    for item in runtime.containers()
                ],
                lambda: hosts.podman("ps", "-a"),
                rounds=rounds,
                rival="podman ps -a",
                target=1 / 25,
            ),
            compare(
                f"libpod ps -a of {count} as a whole process",
                lambda: hosts.libpod("ps", "-a"),
                lambda: hosts.podman("ps", "-a"),
                rounds=rounds,
                rival="podman ps -a",
                target=1 / 4,
            ),
            compare(
                f"create + remove among {count}",
                lambda: runtime.create(IMAGE, "true", network="none").remove(),
                lambda: hosts.podman(
                    "rm", hosts.podman("create", "--network", "none", IMAGE, "true").strip()
                ),
                rounds=rounds,
                rival="podman create; podman rm",
            ),
            compare(
                f"look one up among {count} (by name, id, prefix; ×100)",
                lambda: [
                    runtime.has_container(word)
                    for word in ("crowd7", middle, middle[:12])
                    for _ in range(100)
                ],
                lambda: [hosts.podman("container", "exists", word) for word in ("crowd7",)],
                rounds=rounds,
                rival="one podman container exists",
            ),
        ]
    hosts.clear()
    return rows
