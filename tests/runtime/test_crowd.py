"""Eight processes times four threads on one engine; a minute of it in tests/soak."""

from __future__ import annotations

import os

import pytest

import libpod
from tests.runtime.crowd import SHARED, crowd
from tests.state.children import Child

pytestmark = pytest.mark.root


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_a_crowd_loses_nothing_and_waits_for_nothing_for_ever(other_engine):
    lives = crowd(other_engine, processes=8, threads=4, seconds=8.0)
    assert lives >= 8
    with other_engine.runtime() as runtime:
        assert {item.name for item in runtime.containers()} <= set(SHARED)
        for item in runtime.containers():
            runtime.container(item.id).remove(force=True, timeout=0)
        assert runtime._services.state.repair(thorough=True, pretend=True) == []
        assert [str(item) for item in runtime.check().findings] == []


def test_a_runtime_is_refused_in_a_forked_child_and_works_on_in_the_parent(engine, runtime):
    container = runtime.create("bb:1", "sleep", "1000", network="none")
    mine = os.getpid()

    def child(say) -> None:
        for use in (
            runtime.containers,
            runtime.volumes,
            container.state,
            container.start,
            lambda: runtime.create("bb:1", "true"),
            lambda: runtime.container(container.id),
            runtime.images,
        ):
            with pytest.raises(
                libpod.RuntimeClosedError, match=f"opened by process {mine} and is used in a child"
            ):
                use()
        runtime.close()  # must not let go of the parent's
        with engine.runtime() as own:
            assert own.container(container.id).name == container.name
        say("refused")

    assert Child(child).finish() == ["refused"]
    assert runtime._services.presence.living("open")
    container.start()
    container.stop(timeout=0)


def test_a_lock_wait_is_bounded_on_request(engine, runtime):
    container = runtime.create("bb:1", "true", network="none")

    def hold(say) -> None:
        from libpod.lock.base import LockKind

        with engine.runtime() as own:
            with own._services.locks.lock(container.config.lock_id, LockKind.CONTAINER):
                say("held")
                import time

                time.sleep(60)

    child = Child(hold)
    child.wait_for("held")
    try:
        with engine.runtime(lock_timeout=0.2) as impatient:
            with pytest.raises(libpod.LockError, match=f"process {child.pid} .*more than 0.2 seconds"):
                impatient.container(container.id).state()
        held = [lock for lock in runtime.locks() if lock.held]
        assert [(lock.number, lock.objects, lock.pid) for lock in held] == [
            (container.config.lock_id, (f"container {container.id}",), child.pid)
        ]
    finally:
        child.kill()
    assert container.status() is libpod.ContainerStatus.CONFIGURED
