"""Many programs on one store at once, and ours killed again and again.

Beside a few of our processes, of which some are killed with -9 at random instants and started anew, podman 4, podman 5
where it is, skopeo and buildah work on the same directories without a pause. Each worker has images and containers of
its own, so that what it sees must be what it did; an error in any of them that was not killed ends the storm. Some
images and containers belong to nobody and have to be there, whole, when the weather clears.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import attrs

from tests.engines import Engine
from tests.podmans import PODMAN_5

WORKER = r"""
import io, os, random, sys, tarfile, time
import libpod

root, runroot, name, seed, seconds = sys.argv[1:]
choose = random.Random(int(seed))
end = time.monotonic() + float(seconds)

def tar(text):
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w") as archive:
        entry = tarfile.TarInfo("mine")
        entry.size = len(text)
        archive.addfile(entry, io.BytesIO(text))
    return io.BytesIO(sink.getvalue())

with libpod.Runtime(root, runroot, events_backend="none") as runtime:
    # What a predecessor of this name left when it was killed.
    for listed in runtime.containers():
        if listed.name.startswith(name):
            runtime.container(listed.id).remove(force=True, timeout=0)
    for image in runtime.images(f"reference={name}*"):
        runtime.remove_image(image.id, force=True)
    rounds = 0
    while time.monotonic() < end or not rounds:
        text = os.urandom(choose.randrange(1, 200_000))
        container = runtime.create("localhost/keep:1", "true", name=f"{name}-{rounds}", network="none")
        place = container.mount()
        (place / "written").write_bytes(text)
        container.copy_in(tar(text), "/")
        assert sorted(str(c) for c in container.diff()) == ["A /mine", "A /written"], container.diff()
        made = container.commit(f"{name}:{rounds}")
        container.unmount()
        image = runtime.image(f"{name}:{rounds}")
        assert image.id == made
        image.tag(f"{name}-too:{rounds}")
        child = runtime.create(f"{name}-too:{rounds}", "true", name=f"{name}-{rounds}-child", network="none")
        sink = io.BytesIO()
        child.copy_out("/mine", sink)
        assert text in sink.getvalue()
        child.remove()
        container.remove()
        runtime.remove_image(made, force=True)
        assert not [each for each in runtime.images() if each.id == made]
        rounds += 1
        print(rounds, flush=True)
"""


VANISHED = re.compile("not known|does not exist|no such file")


@attrs.define
class Weather:
    """What a storm did."""

    kills: int = 0
    rounds: dict[str, int] = attrs.field(factory=dict)
    errors: list[str] = attrs.field(factory=list)

    def count(self, name: str) -> None:
        self.rounds[name] = self.rounds.get(name, 0) + 1


@attrs.frozen
class Others:
    """The Go programs on the store of *engine*."""

    engine: Engine
    directory: Path

    def where(self, program: str) -> list[str]:
        store = [
            "--root", str(self.engine.root), "--runroot", str(self.engine.runroot), "--storage-driver", "overlay",
        ]  # fmt: skip
        if program == "buildah":
            return ["buildah", *store]
        return [
            program, *store, "--tmpdir", str(self.directory / Path(program).name), "--runtime", "runc",
            "--cgroup-manager", "cgroupfs", "--events-backend", "none",
        ]  # fmt: skip

    def run(self, program: str, *words: str) -> str:
        argv = ["skopeo", "--insecure-policy"] if program == "skopeo" else self.where(program)
        for _ in range(20):
            done = subprocess.run(
                [*argv, *words], capture_output=True, text=True, timeout=300, check=False, stdin=subprocess.DEVNULL,
                env={**os.environ, **self.environment(program)},
            )  # fmt: skip
            # podman lists all images and then looks at each; one that anybody removes in between is an error to it.
            if done.returncode == 0 or words[0] not in ("rmi", "images") or not VANISHED.search(done.stderr):
                break
        assert done.returncode == 0, f"{program} {' '.join(words)}: {done.stderr}"
        return done.stdout.strip()

    def environment(self, program: str) -> dict[str, str]:
        """Two podmans with one database between them would take each other's containers for their own."""
        found = {"PODMAN_IGNORE_CGROUPSV1_WARNING": "1"}
        if program == str(PODMAN_5):
            override = self.directory / "podman5.conf"
            override.write_text(
                f'[engine]\ndatabase_backend = "sqlite"\nstatic_dir = "{self.directory}/static5"\n'
            )
            found["CONTAINERS_CONF_OVERRIDE"] = str(override)
        return found

    def reference(self, name: str) -> str:
        return f"containers-storage:[overlay@{self.engine.root}+{self.engine.runroot}]{name}"


def storm(engine: Engine, directory: Path, seconds: float, *, seed: int = 1) -> Weather:
    """Let everybody loose for so many seconds; the store must have an image "keep:1"."""
    weather, others = Weather(), Others(engine, directory)
    end = time.monotonic() + seconds
    layout = directory / "layout"
    others.run("skopeo", "copy", "-q", others.reference("localhost/keep:1"), f"oci:{layout}:x")

    # A base and a content each: a Go program that commits looks for a layer of the same content first, an empty one
    # too, and whoever removes that layer takes it from the one who just found it.
    with engine.runtime() as runtime:
        for name in ("base-four", "base-five", "base-built"):
            (directory / name).mkdir()
            (directory / name / name).write_text(name)
            runtime.import_image(directory / name, f"{name}:1")

    def podman(program: str, name: str, number: int) -> None:
        others.run(program, "create", "--name", name, "--network", "none", f"localhost/base-{name}:1", "true")
        # Written without a mount: of two podmans, one that ends with an outdated view takes the driver's home, and
        # with it the mounts of the other, away. What is mounted here is ours.
        upper = others.run(
            program, "container", "inspect", "--format", "{{.GraphDriver.Data.UpperDir}}", name
        )
        (Path(upper) / name).write_text(f"{name} {number}")
        others.run(program, "commit", "-q", name, f"localhost/{name}:{number}")
        others.run(program, "rm", name)
        others.run(program, "rmi", f"localhost/{name}:{number}")
        others.run(program, "images", "-a")

    def podman_4(number: int) -> None:
        podman("podman", "four", number)

    def podman_5(number: int) -> None:
        podman(str(PODMAN_5), "five", number)

    def skopeo(number: int) -> None:
        others.run(
            "skopeo", "copy", "-q", f"oci:{layout}:x", others.reference(f"localhost/skopeo:{number % 3}")
        )
        others.run("skopeo", "inspect", others.reference("localhost/keep:1"))

    def buildah(number: int) -> None:
        name = others.run("buildah", "from", "--name", "built", "localhost/base-built:1")
        others.run("buildah", "config", "--label", f"number={number}", name)
        others.run("buildah", "commit", "-q", "--rm", name, f"localhost/built:{number}")
        others.run("buildah", "rmi", f"localhost/built:{number}")

    works = [podman_4, skopeo, buildah, *([podman_5] if PODMAN_5.exists() else [])]
    threads = [threading.Thread(target=_repeated, args=(work, end, weather)) for work in works]
    threads += [
        threading.Thread(target=_ours, args=(engine, name, end, weather, seed + number, is_killed))
        for number, (name, is_killed) in enumerate((("calm", False), ("doomed", True)))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return weather


def _repeated(work: Callable[[int], None], end: float, weather: Weather) -> None:
    number = 0
    while (time.monotonic() < end or not number) and not weather.errors:
        try:
            work(number)
        except Exception as error:  # noqa: BLE001 - a thread's error must reach the test
            weather.errors.append(f"{work.__name__}, round {number}: {error}")
            return
        number += 1
        weather.count(work.__name__)


def _ours(engine: Engine, name: str, end: float, weather: Weather, seed: int, is_killed: bool) -> None:
    choose = random.Random(seed)
    number = 0
    while time.monotonic() < end and not weather.errors:
        left = end - time.monotonic()
        with _worker(engine, name, seed + 1000 * number, left) as worker:
            if is_killed:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    worker.wait(min(left, choose.uniform(0.3, 4.0)))
                if worker.poll() is None:
                    worker.send_signal(signal.SIGKILL)
                    weather.kills += 1
            out, said = worker.communicate()
        for _ in out.split():
            weather.count(name)
        if worker.returncode not in (0, -signal.SIGKILL):
            weather.errors.append(f"{name}, start {number}: {said[-2000:]}")
        number += 1


@contextlib.contextmanager
def _worker(engine: Engine, name: str, seed: int, seconds: float) -> Iterator[subprocess.Popen[str]]:
    argv = [
        sys.executable,
        "-c",
        WORKER,
        str(engine.root),
        str(engine.runroot),
        name,
        str(seed),
        str(seconds),
    ]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def aftermath(engine: Engine, directory: Path, before: dict[str, str]) -> list[str]:
    """What is wrong with the store once the doomed are cleared away; *before* are the ids that must still be there."""
    others = Others(engine, directory)
    wrong: list[str] = []
    with engine.runtime() as runtime:
        for listed in runtime.containers():
            if listed.name.startswith("doomed"):
                runtime.container(listed.id).remove(force=True, timeout=0)
        for image in runtime.images():
            if any("doomed" in name for name in image.names):
                runtime.remove_image(image.id, force=True)
        wrong += [str(finding) for finding in runtime.check(repair=True).findings if not finding.repaired]
        wrong += [str(finding) for finding in runtime.check().findings]
        wrong += [
            f"{name} is lost"
            for name, image_id in before.items()
            if image_id not in {image.id for image in runtime.images()}
        ]
        container = runtime.container("kept")
        assert (container.mount() / "kept").read_text() == "kept\n"
        container.unmount()
    for program in ("podman", *([str(PODMAN_5)] if PODMAN_5.exists() else [])):
        seen = {
            document["Id"] for document in json.loads(others.run(program, "images", "-a", "--format", "json"))
        }
        wrong += [
            f"{name} is lost for {program}" for name, image_id in before.items() if image_id not in seen
        ]
    if PODMAN_5.exists():
        # Layers that a killed copy left complete are what a repair removes; nothing else may be wrong.
        others.run(str(PODMAN_5), "system", "check", "--quick", "--repair", "--max", "0s")
        others.run(str(PODMAN_5), "system", "check")
    return wrong
