"""Waiting for a container: for its end and for other states, without polling and without missing anything."""

from __future__ import annotations

import os
import signal
import threading
import time

import pytest

import libpod
from libpod import ContainerStatus as Status
from tests.state.children import Child

pytestmark = pytest.mark.root
SLEEP = ("sleep", "1000")


def waiting_for(engine, container, *states) -> Child:
    """A process that waits for one of *states* and says so."""

    def wait(say) -> None:
        with engine.runtime() as own:
            handle = own.container(container.id)
            say("waiting")
            code = handle.wait(list(states), timeout=60)
            say(f"{handle.status().word} {code}")

    child = Child(wait)
    child.wait_for("waiting")
    return child


def test_a_state_that_another_process_makes_is_noticed(engine, runtime):
    container = runtime.create("bb:1", *SLEEP, network="none")
    child = waiting_for(engine, container, Status.RUNNING)
    container.start()
    assert child.finish()[-1].startswith("running")
    child = waiting_for(engine, container, Status.PAUSED)
    container.pause()
    assert child.finish()[-1].startswith("paused")
    container.unpause()
    child = waiting_for(engine, container, Status.EXITED)
    container.stop(timeout=0)
    assert child.finish()[-1] == "exited 137"


def test_the_end_of_a_container_whose_monitor_is_killed_too_is_noticed(engine, runtime):
    container = runtime.run("bb:1", *SLEEP, network="none")
    state = container.state()
    child = waiting_for(engine, container, Status.STOPPED, Status.EXITED)
    os.kill(state.conmon_pid, signal.SIGKILL)
    os.kill(state.pid, signal.SIGKILL)
    assert child.finish()[-1].endswith(" -1")


def test_many_waiters_cost_no_processor_time(engine, runtime):
    container = runtime.create("bb:1", *SLEEP, network="none")
    codes: list[int] = []
    waiters = [
        threading.Thread(target=lambda: codes.append(container.wait(Status.RUNNING, timeout=60)))
        for _ in range(8)
    ]
    for waiter in waiters:
        waiter.start()
    before = time.process_time()
    time.sleep(1.0)  # what is measured is that nothing happens
    used = time.process_time() - before
    container.start()
    for waiter in waiters:
        waiter.join()
    assert codes == [-1] * 8
    assert used < 0.2, f"{used:.3f} seconds of processor time for waiting a second"


def test_a_wait_for_a_state_is_bounded(runtime):
    container = runtime.create("bb:1", *SLEEP, network="none")
    with pytest.raises(libpod.WaitTimeoutError, match=r"is created still after 0.2 seconds"):
        container.wait(Status.RUNNING, timeout=0.2)
    assert container.wait(Status.RUNNING, timeout=0.0, or_none=True) == -1


def test_a_container_that_is_removed_meanwhile_gives_its_code(engine, runtime):
    container = runtime.run("bb:1", *SLEEP, network="none")

    def wait(say) -> None:
        with engine.runtime() as own:
            handle = own.container(container.id)
            say("waiting")
            say(str(handle.wait(timeout=60)))

    child = Child(wait)
    child.wait_for("waiting")
    container.remove(force=True, timeout=0)
    assert child.finish()[-1] == "137"
