"""Many containers: listing, looking up, creating one more."""

from __future__ import annotations

from collections.abc import Iterator

import libpod
from benchmarks.hosts import IMAGE, Hosts
from benchmarks.measure import Comparison, compare, measured, timed

LOOK_UPS = 100


def chapter(hosts: Hosts, rounds: int, *, count: int = 1000, multitude: int = 10_000) -> Iterator[Comparison]:
    """All rows, as they come; podman's own thousand take a minute to make, our ten thousand several."""
    with hosts.runtime() as runtime, hosts.service() as client:
        ids = [
            runtime.create(IMAGE, "true", network="none", name=f"crowd{number}").id for number in range(count)
        ]
        theirs = [
            client.containers.create(IMAGE, ["true"], name=f"crowd{number}", network_mode="none").id
            for number in range(count)
        ]
        middle, their_middle = ids[count // 2], theirs[count // 2]

        def listed() -> object:
            return [
                (item.name, item.summary.image, item.status, item.summary.port_mappings)
                for item in runtime.containers()
            ]

        yield compare(
            f"list {count} in the library",
            listed,
            lambda: hosts.podman("ps", "-a"),
            rounds=rounds,
            rival="podman ps -a",
            target=1 / 25,
        )
        yield compare(
            f"list {count} in the library",
            listed,
            lambda: client.containers.list(all=True),
            rounds=rounds,
            rival="podman-py containers.list(all=True)",
            target=1 / 20,
        )
        yield compare(
            f"libpod ps -a of {count} as a whole process",
            lambda: hosts.libpod("ps", "-a"),
            lambda: hosts.podman("ps", "-a"),
            rounds=rounds,
            rival="podman ps -a",
            target=1 / 4,
        )
        yield compare(
            f"look one up among {count} by name, id, prefix; ×{LOOK_UPS}",
            lambda: _look_up(runtime, ("crowd7", middle, middle[:12])),
            lambda: [
                client.containers.exists(word)
                for word in ("crowd7", their_middle, their_middle[:12])
                for _ in range(LOOK_UPS)
            ],
            rounds=rounds,
            rival="podman-py containers.exists",
            target=1 / 15,
        )
        yield compare(
            f"create + remove among {count}",
            lambda: runtime.create(IMAGE, "true", network="none").remove(),
            lambda: client.containers.create(IMAGE, ["true"], network_mode="none").remove(),
            rounds=rounds * 3,
            rival="podman-py create, remove",
            target=0.35,
        )
    hosts.clear()
    yield from _multitude(hosts, rounds, multitude)


def _look_up(runtime: libpod.Runtime, words: tuple[str, ...]) -> None:
    for word in words:
        for _ in range(LOOK_UPS):
            assert runtime.has_container(word)


def _multitude(hosts: Hosts, rounds: int, count: int) -> list[Comparison]:
    """One engine with ten containers and one with *count*, by turns."""
    places = hosts.directory / "few", hosts.directory / "many"
    few, many = (libpod.Runtime(place / "g", place / "r", events_backend="file") for place in places)
    with few, many:
        for runtime, size in ((few, 10), (many, count)):
            runtime.import_image(hosts.rootfs, IMAGE, changes=["CMD /bin/sh"])
            for number in range(size):
                runtime.create(IMAGE, "true", network="none", name=f"one{number}")
        words = {
            runtime: ("one7", found, found[:12])
            for runtime in (few, many)
            for found in (runtime.container("one5").id,)
        }

        def created(runtime: libpod.Runtime) -> float:
            made: list[libpod.Container] = []
            took = timed(lambda: made.append(runtime.create(IMAGE, "true", network="none")))
            made[0].remove()
            return took

        return [
            compare(
                f"look one up among {count}; ×{LOOK_UPS}",
                lambda: _look_up(many, words[many]),
                lambda: _look_up(few, words[few]),
                rounds=rounds,
                rival="ours among 10",
                target=2,
            ),
            compare(
                f"create one more beside {count}",
                lambda: created(many),
                lambda: created(few),
                rounds=rounds * 3,
                rival="ours beside 10",
                target=1.5,
                clock=measured,
            ),
        ]
