"""Helper of test_restore_kills: a restore is killed at every named step of its network; what does the next one find?

    python -m tests.runtime.restore_killed <in-place | import> <root> <runroot> <directory>

runs in the network namespace that is the test's host. The container serves a page on a published port of a bridge.
Every attempt is a fork with a Runtime of its own, which kills itself (SIGKILL) when it enters the n-th of `STEPS`, each
counted once; n grows until an attempt ends by itself. Then a Runtime is opened, as any next command does. Prints one
JSON object.
"""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import CodeType
from typing import Any

import attrs

import libpod
from tests.engines import Engine, until
from tests.killing import killed_at
from tests.runtime.moves import belongings
from tests.runtime.network_killed import PORT, left_over

STEPS = {
    "bridging.py": {"reserve", "announce"},
    "lmdb_state.py": {"claim"},
    "listeners.py": {"reserved"},
    "namespaces.py": {"create_network_namespace"},
    "hold.py": {"hold_namespace", "release_namespace", "release"},
    "sysctls.py": {"enable_forwarding", "prepare_bridge", "prepare_interface"},
    "firewall.py": {"add_networks", "publish"},
    "wiring.py": {"add_bridge", "add_address", "bring_up", "add_veth", "attach", "reflect", "add_route"},
    "aardvark.py": {"add", "_start"},
}
NET, SUBNET = "moved", "10.71.3.0/24"
FULLY = 8
"""Every so many steps the container is woken and asked, which takes longest."""


@attrs.define
class Steps:
    """Sees the named steps of an attempt, each once, and writes them down for the parent."""

    note: Path
    seen: set[str] = attrs.field(factory=set)

    def __call__(self, code: CodeType) -> bool:
        name = code.co_name
        if name in self.seen or name not in STEPS.get(code.co_filename.rpartition("/")[2], ()):
            return False
        self.seen.add(name)
        with self.note.open("a") as stream:
            stream.write(f"{name}\n")
        return True


@attrs.define
class Rounds:
    """One way to restore, again and again."""

    engine: Engine
    directory: Path
    before: dict[str, Any] = attrs.field(factory=dict)

    @property
    def archive(self) -> Path:
        return self.directory / "victim.tar"

    def prepare(self) -> None:
        with self.engine.runtime() as runtime:
            runtime.create_network(NET, subnets=[SUBNET])
            runtime.run(
                "bb:1", "httpd", "-f", "-p", "80", "-h", "/etc",
                name="victim", network=NET, publish=[f"{PORT}:80"],
            )  # fmt: skip
        assert self.answers(), "it does not answer before anything was done"

    def freeze(self) -> None:
        with self.engine.runtime() as runtime:
            runtime.checkpoint("victim", tcp_established=True)

    def restore(self) -> None:
        with self.engine.runtime() as runtime:
            runtime.restore("victim", tcp_established=True)

    def look(self, step: int) -> list[str]:
        """The next command: it runs, or rests and can be restored; either way nothing else is there."""
        with self.engine.runtime() as runtime:
            container = runtime.container("victim")
            runs = container.status() is libpod.ContainerStatus.RUNNING
            found = [f"check: {finding}" for finding in runtime.check().findings]
            if not runs and not container.state().checkpointed:
                found.append(f"it is {container.status().value} and not restorable")
        if not runs:
            found += self.left(holds=True)
            if step % FULLY:
                return found
            self.restore()
        found += [] if self.answers() else ["it does not answer"]
        self.freeze()
        return found

    def export(self) -> None:
        with self.engine.runtime() as runtime:
            runtime.checkpoint("victim", export=self.archive, tcp_established=True)
            runtime.container("victim").remove()
            self.before = belongings(runtime)

    def import_(self) -> None:
        with self.engine.runtime() as runtime:
            runtime.restore(import_=self.archive, tcp_established=True)

    def look_for_import(self, step: int) -> list[str]:
        """The next command: nothing is there, unless the container had been told of as running."""
        found: list[str] = []
        with self.engine.runtime() as runtime:
            # Conmon's exit command may be at the removal at the same moment, and is left to it.
            there = until(lambda: runtime.containers(), lambda listed: not any(map(_is_going, listed)))
            found += [f"check: {finding}" for finding in runtime.check().findings]
        if not there and step % FULLY == 0:
            self.import_()
        if there or step % FULLY == 0:
            found += [] if self.answers() else ["it does not answer"]
            with self.engine.runtime() as runtime:
                runtime.container("victim").remove(force=True, timeout=0)
        with self.engine.runtime() as runtime:
            after = belongings(runtime)
        found += [
            f"{key}: {after[key]}, before {self.before[key]}"
            for key in after
            if after[key] != self.before[key]
        ]
        return found + self.left(holds=False)

    def left(self, *, holds: bool) -> list[str]:
        found = until(lambda: left_over(self.engine), lambda found: not self._stray(found, holds), timeout=20)
        return [f"left {item}" for item in self._stray(found, holds)]

    def _stray(self, found: list[str], holds: bool) -> list[str]:
        """What is held for a container that rests stays, so that its peers wait."""
        if not (holds and found and found[0].startswith("table") and "_hold" in found[0]):
            return found
        tables = subprocess.run(["nft", "list", "tables"], check=True, capture_output=True, text=True).stdout
        return found[1:] + [line for line in tables.splitlines() if "_hold" not in line]

    def answers(self) -> bool:
        return bool(until(_asked, timeout=20))


def _is_going(listed: Any) -> bool:
    return bool(listed.state.status is libpod.ContainerStatus.REMOVING)


def _asked() -> bool:
    try:
        with socket.create_connection(("127.0.0.1", PORT), timeout=2) as client:
            client.sendall(b"GET /image-file HTTP/1.0\r\n\r\n")
            data = b""
            while part := client.recv(4096):
                data += part
    except OSError:
        return False
    return b"from the image" in data


def main() -> None:
    way, directory = sys.argv[1], Path(sys.argv[4])
    rounds = Rounds(Engine(Path(sys.argv[2]), Path(sys.argv[3])), directory)
    rounds.prepare()
    action: Callable[[], None]
    look: Callable[[int], list[str]]
    if way == "import":
        rounds.export()
        action, look = rounds.import_, rounds.look_for_import
    else:
        rounds.freeze()
        action, look = rounds.restore, rounds.look
    problems: list[str] = []
    names: list[str] = []
    step, killed = 0, True
    while killed and len(problems) < 10:
        step += 1
        note = directory / "steps"
        note.write_text("")
        killed = killed_at(step, action, Steps(note))
        names = note.read_text().split()
        try:
            found = look(step)
        except (libpod.LibpodError, OSError) as error:
            found = [f"{type(error).__name__}: {error}"]
        problems += [f"step {step} ({names[-1]}): {item}" for item in found]
    with rounds.engine.runtime() as runtime:
        runtime.remove_network(NET, force=True)
    sys.stdout.write(json.dumps({"names": names, "problems": problems}))


if __name__ == "__main__":
    main()
