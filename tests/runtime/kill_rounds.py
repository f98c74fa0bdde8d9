"""Rounds of work that end with kill -9: what the killed process is told to do, and what must be true afterwards.

A worker, forked so that it starts within milliseconds, opens the engine and does random things; before and after each
it appends a line to a log, which survives it. Some steps later, at a random instant, it is killed. Then the engine is
opened anew and compared with what the log says: everything that was done is there, the one step under way has happened
or has not, nothing is half there, and the host has exactly what the records explain.

Conmon's exit commands that are at work at that instant are killed too, now and then.

Which instants are hit depends on the machine; the choice of steps does not, given the seed.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs

import libpod
from libpod import ContainerStatus as Status
from libpod.container_internal.exit_command import START
from libpod.define.ids import new_id
from libpod.linux import cgroups, mounts
from libpod.model.pod import PodConfig, PodState
from libpod.model.times import now
from tests.engines import COUNT, Engine, conmons_of, until

IMAGE = "bb:1"
LIVE = {Status.CREATED, Status.RUNNING, Status.PAUSED, Status.STOPPING}
ENDED = {Status.STOPPED, Status.EXITED}
PATIENCE = 60.0
MOST = 5
"""Containers at a time."""


# ---- the worker ---------------------------------------------------------------------------------------------------


class Worker:
    """Does random things in the process that will be killed."""

    def __init__(self, runtime: libpod.Runtime, log: int, archives: Path, choose: random.Random) -> None:
        self.runtime, self._log, self.archives, self.choose = runtime, log, archives, choose

    def say(self, **line: Any) -> None:
        os.write(self._log, json.dumps(line).encode() + b"\n")

    def work(self) -> None:
        while True:
            step = self._step()
            if step is not None:
                verb, subject, action = step
                self.say(begin=verb, **subject)
                action()
                self.say(done=verb, **subject)

    def _step(self) -> tuple[str, dict[str, str], Callable[[], object]] | None:
        """A verb, what it is done to, and how."""
        rows = self.runtime.containers()
        listed = self.choose.choice(rows) if rows else None
        if len(rows) < 2 or (len(rows) < MOST and self.choose.random() < 0.3):
            return self._making()
        if self.choose.random() < 0.15:
            return self._of_volumes_and_pods()
        assert listed is not None
        container = self.runtime.container(listed.id)
        state = container.state()
        verbs = [
            name
            for name, wanted in _VERBS.items()
            if wanted(state.status, bool(state.checkpointed and state.checkpoint_path))
        ]
        if "restore" in verbs and self.choose.random() < 0.5:
            verbs = ["restore"]
        verb = self.choose.choice(verbs)
        subject = {"id": container.id}
        if verb == "rename":
            subject["name"] = f"r{self.choose.getrandbits(40):x}z"
        if verb in {"export", "export-on"}:
            subject["archive"] = str(self.archives / f"{self.choose.getrandbits(40):x}.tar.zst")
        return verb, subject, lambda: getattr(self, verb.replace("-", "_"))(container, subject)

    def _making(self) -> tuple[str, dict[str, str], Callable[[], object]]:
        name = f"c{self.choose.getrandbits(40):x}z"
        archives = sorted(self.archives.glob("*.tar.zst"))
        if archives and self.choose.random() < 0.3:
            source = self.choose.choice(archives)
            return (
                "import",
                {"name": name, "archive": str(source)},
                lambda: self.runtime.restore(import_=source, name=name, ignore_volumes=True),
            )
        volumes = self.choose.choice([(), ("/data",), (f"{name}-vol:/data",)])
        return (
            "create",
            {"name": name},
            lambda: self.runtime.create(IMAGE, "sh", "-c", COUNT, name=name, network="none", volumes=volumes),
        )

    def _of_volumes_and_pods(self) -> tuple[str, dict[str, str], Callable[[], object]]:
        free = [volume for volume in self.runtime.volumes() if not volume.users()]
        state = self.runtime._services.state
        pods = state.pods()
        verb = self.choose.choice(
            ["volume", "pod", *(["unvolume"] if free else []), *(["unpod"] if pods else [])]
        )
        name = f"v{self.choose.getrandbits(40):x}z"
        if verb == "volume":
            return verb, {"name": name}, lambda: self.runtime.create_volume(name)
        if verb == "pod":
            pod = PodConfig(id=new_id(), name=name, created_time=now(), lock_id=state.allocate_lock())
            return verb, {"name": name}, lambda: state.add_pod(pod, PodState())
        if verb == "unvolume":
            volume = self.choose.choice(free)
            return verb, {"name": volume.name}, volume.remove
        config = self.choose.choice(pods)[0]

        def remove() -> None:
            state.remove_pod(config.id)
            state.free_lock(config.lock_id)

        return verb, {"name": config.name}, remove

    def start(self, container: libpod.Container, subject: dict[str, str]) -> None:
        container.start()

    def init(self, container: libpod.Container, subject: dict[str, str]) -> None:
        container.init()

    def exec(self, container: libpod.Container, subject: dict[str, str]) -> None:
        assert container.run("echo", "hello").stdout == b"hello\n"

    def exec_on(self, container: libpod.Container, subject: dict[str, str]) -> None:
        container.exec(libpod.ExecOptions(command=("sleep", "0.2"), detach=True)).close()

    def pause(self, container: libpod.Container, subject: dict[str, str]) -> None:
        container.pause()

    def unpause(self, container: libpod.Container, subject: dict[str, str]) -> None:
        container.unpause()

    def stop(self, container: libpod.Container, subject: dict[str, str]) -> None:
        container.stop(timeout=self.choose.choice([0, 0.2]))

    def checkpoint(self, container: libpod.Container, subject: dict[str, str]) -> None:
        container.checkpoint()

    def export(self, container: libpod.Container, subject: dict[str, str]) -> None:
        self.runtime.checkpoint(container, export=subject["archive"])

    def export_on(self, container: libpod.Container, subject: dict[str, str]) -> None:
        self.runtime.checkpoint(container, export=subject["archive"], leave_running=True)

    def restore(self, container: libpod.Container, subject: dict[str, str]) -> None:
        container.restore()

    def rename(self, container: libpod.Container, subject: dict[str, str]) -> None:
        container.rename(subject["name"])

    def remove(self, container: libpod.Container, subject: dict[str, str]) -> None:
        container.remove(force=True, timeout=0, volumes=True)


_VERBS: dict[str, Callable[[Status, bool], bool]] = {
    "start": lambda status, frozen: status in {Status.CONFIGURED, Status.CREATED, *ENDED} and not frozen,
    "init": lambda status, frozen: status in {Status.CONFIGURED, *ENDED} and not frozen,
    "exec": lambda status, frozen: status is Status.RUNNING,
    "exec-on": lambda status, frozen: status is Status.RUNNING,
    "pause": lambda status, frozen: status is Status.RUNNING,
    "unpause": lambda status, frozen: status is Status.PAUSED,
    "stop": lambda status, frozen: status in {Status.RUNNING, Status.CREATED},
    "checkpoint": lambda status, frozen: status is Status.RUNNING,
    "export": lambda status, frozen: status is Status.RUNNING,
    "export-on": lambda status, frozen: status is Status.RUNNING,
    "restore": lambda status, frozen: frozen and status in {Status.EXITED},
    "rename": lambda status, frozen: True,
    "remove": lambda status, frozen: True,
}


# ---- what is known ------------------------------------------------------------------------------------------------


@attrs.define
class Known:
    """What the records of an engine say, or must say."""

    containers: dict[str, tuple[str, Status, bool]]
    """Id → name, status, whether it is checkpointed and can be restored."""
    volumes: set[str]
    pods: set[str]

    @classmethod
    def of(cls, runtime: libpod.Runtime) -> Known:
        state = runtime._services.state
        found = {}
        for config, _ in state.containers():
            try:
                now_ = runtime.container(config.id).state()
            except libpod.NoSuchContainerError:
                continue  # an exit command has just finished its removal
            restorable = now_.checkpointed and bool(now_.checkpoint_path)
            found[config.id] = (config.name, now_.status, restorable)
        return cls(
            found, {config.name for config, _ in state.volumes()}, {pod.name for pod, _ in state.pods()}
        )


class Rounds:
    """Rounds on one engine."""

    def __init__(self, engine: Engine, directory: Path, seed: int, *, longest: float = 0.35) -> None:
        self.engine, self.archives, self.seed, self._longest = engine, directory / "archives", seed, longest
        self.archives.mkdir(parents=True)
        self._log = directory / "log"
        self._round = 0
        self.interrupted: dict[str, int] = {}
        """Verb → how often the kill came while it was under way."""
        self.story: list[str] = []

    def run(self) -> None:
        """One round: work, kill, look. Raises AssertionError with the story of the round."""
        self._round += 1
        choose = random.Random(f"{self.seed}/{self._round}")
        with self.engine.runtime() as runtime:
            before = Known.of(runtime)
        lines = self._worked_and_killed(choose)
        self.story = [f"seed {self.seed}, round {self._round}", *(json.dumps(line) for line in lines)]
        under_way = lines[-1] if lines and "begin" in lines[-1] else None
        verb = under_way["begin"] if under_way else "nothing"
        self.interrupted[verb] = self.interrupted.get(verb, 0) + 1
        try:
            self._look(before, lines, under_way)
        except BaseException as error:
            error.add_note("\n".join(self.story))
            raise

    def _worked_and_killed(self, choose: random.Random) -> list[dict[str, Any]]:
        self._log.write_bytes(b"")
        log = os.open(self._log, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
        pid = os.fork()
        if pid == 0:
            with contextlib.suppress(BaseException):
                self._child(log, random.Random(choose.random()))
            os._exit(1)
        os.close(log)
        try:
            steps = choose.choice([0, 1, 1, 2, 3])
            self._await_steps(pid, steps)
            time.sleep(choose.random() ** 2 * self._longest)
        finally:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            if choose.random() < 0.4:
                self._kill_exit_commands()
        lines = [json.loads(line) for line in self._log.read_text().splitlines()]
        failed = [line["failed"] for line in lines if "failed" in line]
        assert not failed, failed[0]
        return lines

    def _kill_exit_commands(self) -> None:
        """The programs that conmon runs at an end, wherever they are in their work."""
        for name in filter(str.isdecimal, os.listdir("/proc")):
            with contextlib.suppress(OSError):
                line = Path(f"/proc/{name}/cmdline").read_bytes()
                if START.encode() in line.split(b"\0") and str(self.engine.root).encode() in line:
                    conmon = int(Path(f"/proc/{name}/stat").read_text().rpartition(")")[2].split()[1])
                    os.kill(int(name), signal.SIGKILL)
                    # It waits for its child; before it has noticed, everything seems to be under way.
                    assert until(lambda pid=conmon: pid not in conmons_of(self.engine.root))

    def _await_steps(self, pid: int, steps: int) -> None:
        deadline = time.monotonic() + PATIENCE
        while (text := self._log.read_text()).count('{"done"') < steps and '{"failed"' not in text:
            assert time.monotonic() < deadline, f"the worker hangs: {text}"
            time.sleep(0.002)

    def _child(self, log: int, choose: random.Random) -> None:
        worker = None
        try:
            with self.engine.runtime() as runtime:
                worker = Worker(runtime, log, self.archives, choose)
                worker.work()
        except BaseException:  # noqa: BLE001 - whatever it is, the parent shows it
            os.write(log, json.dumps({"failed": traceback.format_exc()}).encode() + b"\n")
            time.sleep(PATIENCE)

    # -- afterwards -------------------------------------------------------------------------------------------------

    def _look(self, before: Known, lines: list[dict[str, Any]], under_way: dict[str, Any] | None) -> None:
        with self.engine.runtime() as runtime:
            found = Known.of(runtime)
            self._compare(before, found, lines, under_way)
            report = until(runtime.check, lambda item: not item.findings, timeout=PATIENCE)
            assert not report.findings, "\n".join(str(item) for item in report.findings)
            assert runtime._services.state.repair(thorough=True, pretend=True) == []
            self._compare_with_host(runtime)

    def _compare(
        self, before: Known, found: Known, lines: list[dict[str, Any]], under_way: dict[str, Any] | None
    ) -> None:
        expected = Expected(before)
        for line in lines:
            if "done" in line:
                expected.done(line)
        if under_way is not None:
            expected.may_have(under_way)
        expected.require(found)

    def _compare_with_host(self, runtime: libpod.Runtime) -> None:
        """Processes, mounts, files and cgroups: one set for each container that lives, and nothing else."""
        engine = self.engine
        states = {
            config.id: runtime.container(config.id).state()
            for config, _ in runtime._services.state.containers()
        }
        live = {ctr_id for ctr_id, state in states.items() if state.status in LIVE}
        for ctr_id in live:
            state = states[ctr_id]
            assert os.path.exists(f"/proc/{state.pid}"), f"{ctr_id} is {state.status.word} without a process"
        conmons = until(
            lambda: conmons_of(engine.root), lambda pids: len(pids) == len(live), timeout=PATIENCE
        )
        assert len(conmons) == len(live), f"{len(conmons)} monitors for {len(live)} containers"
        volatile = engine.runroot / "libpod-py"
        assert set(os.listdir(volatile / "netns")) == live
        assert {
            name
            for runtime_name in os.listdir(volatile / "oci")
            for name in os.listdir(volatile / "oci" / runtime_name)
        } == live
        assert os.listdir(engine.root / "libpod-py/tmp") == []
        own = {item.id for item in runtime._services.store.containers()}
        assert own == set(states)
        merged = [
            info.target
            for info in mounts.read_mountinfo()
            if info.target.startswith(f"{engine.root}/overlay/")
        ]
        assert len(merged) == len(live), merged
        signs = [sign for sign in runtime._services.presence.signs() if sign.is_dead()]
        assert signs == []
        for ctr_id in states.keys() - live:
            path = f"/libpod_parent/libpod-{ctr_id}"
            assert not any(hierarchy.directory(path).is_dir() for hierarchy in cgroups.hierarchies()), path
        for archive in self.archives.iterdir():
            assert not archive.name.startswith(".") or archive.name.startswith(".tmp-"), archive
            if archive.name.startswith(".tmp-"):
                archive.unlink()  # the one thing that only the owner of the directory can collect
        volumes = {config.name for config, _ in runtime._services.state.volumes()}
        assert set(os.listdir(runtime._services.paths.volumes)) == volumes


class Expected:
    """What must be there after the steps that were done; and what may be instead, because of the one under way."""

    def __init__(self, before: Known) -> None:
        self.containers = {
            ctr_id: (name, {status}, frozen) for ctr_id, (name, status, frozen) in before.containers.items()
        }
        self.volumes, self.pods = set(before.volumes), set(before.pods)
        self.made: set[str] = set()
        """Names of containers whose id only the worker knew."""
        self._free: set[str] = set()
        self._may_go: set[str] = set()
        self._may_come: set[str] = set()
        self._names: dict[str, str] = {}
        self._things = set[str]()

    def done(self, line: dict[str, Any]) -> None:
        verb = line["done"]
        if verb in {"create", "import"}:
            self.made.add(line["name"])
        elif verb == "volume":
            self.volumes.add(line["name"])
        elif verb == "pod":
            self.pods.add(line["name"])
        elif verb == "unvolume":
            self.volumes.discard(line["name"])
        elif verb == "unpod":
            self.pods.discard(line["name"])
        elif verb == "remove":
            if self.containers.pop(line["id"], None) is None:
                self._things.add(line["id"])
        elif line["id"] in self.containers:
            name, status, frozen = self.containers[line["id"]]
            if verb == "rename":
                self.containers[line["id"]] = (line["name"], status, frozen)
            elif verb in _AFTER:
                self.containers[line["id"]] = (
                    name,
                    set(_AFTER[verb]),
                    verb == "checkpoint" or (frozen and verb == "export-on"),
                )
        else:
            # Made in this round: its name is the only thing to hold against it.
            if verb == "rename":
                self._names[line["id"]] = line["name"]

    def may_have(self, line: dict[str, Any]) -> None:
        verb = line["begin"]
        if verb in {"create", "import"}:
            self._may_come.add(line["name"])
        elif verb in {"volume", "unvolume", "pod", "unpod"}:
            self._free.add(line["name"])
        else:
            self._free.add(line["id"])
            if verb == "remove":
                self._may_go.add(line["id"])
            if verb == "rename":
                self._names[line["id"]] = line["name"]

    def require(self, found: Known) -> None:
        for ctr_id, (name, statuses, frozen) in self.containers.items():
            if ctr_id not in found.containers:
                assert ctr_id in self._may_go, f"container {name} is lost"
                continue
            its_name, status, restorable = found.containers[ctr_id]
            assert its_name in {name, self._names.get(ctr_id)}, (name, its_name)
            assert status not in {Status.REMOVING, Status.UNKNOWN}, (name, status)
            if ctr_id not in self._free:
                assert status in statuses, f"container {name} is {status.word}, not {statuses}"
                assert restorable == frozen, f"container {name}: restorable is {restorable}, not {frozen}"
        new = {name for ctr_id, (name, _, _) in found.containers.items() if ctr_id not in self.containers}
        known = self.made | self._may_come | set(self._names.values())
        assert new <= known, f"containers {new - known} came from nowhere"
        made_and_kept = len(self.made) - len(self._things)
        assert len(new) >= made_and_kept - len(self._may_go - self.containers.keys()), (
            f"of {self.made} only {new} is left"
        )
        assert found.pods - self._free == self.pods - self._free
        # Volumes of containers come and go with them; those that were asked for by name are there.
        wanted = {name for name in self.volumes if name.startswith("v")} - self._free
        assert wanted <= found.volumes, f"volumes {wanted - found.volumes} are lost"


_AFTER = {
    "start": {Status.RUNNING},
    "init": {Status.CREATED},
    "pause": {Status.PAUSED},
    "unpause": {Status.RUNNING},
    "stop": ENDED,
    "checkpoint": {Status.EXITED},
    "export": {Status.EXITED},
    "export-on": {Status.RUNNING},
    "restore": {Status.RUNNING},
}
