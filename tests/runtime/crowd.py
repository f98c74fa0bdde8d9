"""Many processes with many threads at work on one engine at once.

Every thread leads containers of its own through their lives and holds the engine to its word at each step: what it made
is listed, what it started runs, what it removed is gone, for itself and at once. In between it lays hands on containers
that all share, where only the right refusals are allowed.
"""

from __future__ import annotations

import random
import threading
import time
import traceback

import libpod
from libpod import ContainerStatus as Status
from tests.engines import Engine
from tests.state.children import Child

SHARED = ("crowd-1", "crowd-2", "crowd-3")
REFUSALS = (
    libpod.ContainerStateError,
    libpod.NoSuchContainerError,
    libpod.ContainerExistsError,
    libpod.ContainerInUseError,
)
"""What may be said of a container that somebody else has just started, stopped or removed."""


def crowd(engine: Engine, *, processes: int, threads: int, seconds: float) -> int:
    """Run it; returns how many lives were led. Raises what went wrong in any thread."""
    deadline = time.monotonic() + seconds
    children = [
        Child(
            lambda say, number=number: _process(engine, threads, deadline, number, say),
            patience=seconds + 240,
        )
        for number in range(processes)
    ]
    return sum(int(line.removeprefix("lives ")) for child in children for line in child.finish())


def _process(engine: Engine, threads: int, deadline: float, number: int, say) -> None:
    lives = [0] * threads
    errors: list[str] = []
    with engine.runtime() as runtime:

        def work(place: int) -> None:
            choose = random.Random(f"{number}/{place}")
            try:
                while time.monotonic() < deadline and not errors:
                    lead_a_life(runtime, f"p{number}t{place}n{lives[place]}z", choose)
                    lives[place] += 1
                    lay_hands_on_a_shared_one(runtime, choose)
            except BaseException:  # noqa: BLE001 - whatever it is, the parent shows it
                errors.append(traceback.format_exc())

        crew = [threading.Thread(target=work, args=(place,)) for place in range(threads)]
        for thread in crew:
            thread.start()
        for thread in crew:
            thread.join()
    assert not errors, errors[0]
    say(f"lives {sum(lives)}")


def lead_a_life(runtime: libpod.Runtime, name: str, choose: random.Random) -> None:
    """Create, start, list, exec, stop, remove; everything is seen by whoever did it."""
    container = runtime.create("bb:1", "sleep", "1000", name=name, network="none", labels={"by": name})
    assert runtime.container(name).labels == {"by": name}
    assert name in {item.name for item in runtime.containers()}
    container.start()
    listed = {item.name: item.status for item in runtime.containers(all=False)}
    assert listed[name] is Status.RUNNING
    assert container.run("echo", name).stdout.decode() == f"{name}\n"
    if choose.random() < 0.5:
        new = f"{name}y"
        container.rename(new)
        assert runtime.has_container(new)
        assert not runtime.has_container(name)
        name = new
    container.stop(timeout=0)
    assert container.status() in {Status.STOPPED, Status.EXITED}
    assert container.state().exit_code == 137
    container.remove()
    assert not runtime.has_container(name)
    assert name not in {item.name for item in runtime.containers()}


def lay_hands_on_a_shared_one(runtime: libpod.Runtime, choose: random.Random) -> None:
    """Something that others may be doing too, or may have made impossible."""
    name = choose.choice(SHARED)
    verb = choose.choice(["create", "start", "exec", "stop", "remove", "state"])
    try:
        if verb == "create":
            runtime.create("bb:1", "sleep", "1000", name=name, network="none")
        elif verb == "start":
            runtime.container(name).start()
        elif verb == "exec":
            result = runtime.container(name).run("echo", "x")
            assert result.exit_code in {0, 137, 255, -1}, result  # killed by who stops it meanwhile
        elif verb == "stop":
            runtime.container(name).stop(timeout=0)
        elif verb == "remove":
            runtime.container(name).remove(force=True, timeout=0)
        else:
            runtime.container(name).state()
    except REFUSALS:
        pass
    except libpod.OciRuntimeError:
        # Between our look and the runtime's the container was killed.
        if verb != "exec":
            raise
