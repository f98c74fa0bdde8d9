"""Helper of test_network_crashes: change a container's networks, be killed at the n-th step, look what is left.

    python -m tests.runtime.network_killed <scenario> <root> <runroot> <back end>

runs in the network namespace that is the test's host. Every attempt is a fork with a Runtime of its own, which kills
itself (SIGKILL) when it enters the n-th function that changes a network, the claims or the record; n grows until an
attempt ends by itself. Then the next command follows, by turns: look (opening is all), start, remove. Prints one JSON
object.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from types import CodeType
from typing import Any

import attrs

import libpod
from libpod.linux import pidfd
from libpod.linux.links import links
from tests.engines import Engine, conmons_of, until
from tests.killing import killed_at

STEPS = {
    "netlink.py": {"change"},
    "firewall.py": {"add_networks", "remove_network", "remove", "publish", "withdraw"},
    "namespaces.py": {"create_network_namespace", "delete_network_namespace"},
    "bridging.py": {"reserve", "connect", "disconnect", "announce"},
    "network_changes.py": {"_rewrite", "_rewrite_files"},
    "lmdb_state.py": {"claim", "release_claims"},
}
NETAVARK_STEPS = {"netavark.py": {"_run"}, "netavark_log.py": {"put"}, "subprocess.py": {"communicate"}}
"""The last kills us while netavark is at work."""
PORT = 8080
SUBNETS = {"first": "10.71.1.0/24", "second": "10.71.2.0/24"}


@attrs.frozen
class Bench(Engine):
    """An engine with one of the back ends."""

    backend: str = "bridge"

    def runtime(self, **settings: Any) -> libpod.Runtime:
        return super().runtime(network_backend=self.backend, **settings)

    def is_step(self, code: CodeType) -> bool:
        steps = NETAVARK_STEPS if self.backend == "netavark" else STEPS
        return code.co_name in steps.get(code.co_filename.rpartition("/")[2], ())


def left_over(engine: Engine) -> list[str]:
    """What there is of networks: links, rules, namespaces, claims, held ports; and monitors."""
    found = [f"link {link.name}" for link in links() if link.name != "lo"] + rules_left()
    found += [f"name server {pid}" for pid in name_servers(engine.runroot)]
    with engine.runtime() as runtime:
        found += [f"claim {claim.key}" for claim in runtime._services.state.claims()]
        found += [f"namespace {name}" for name in os.listdir(runtime._services.paths.netns_directory)]
    found += [f"monitor {pid}" for pid in conmons_of(engine.root)]
    with socket.socket() as program:
        try:
            program.bind(("0.0.0.0", PORT))
        except OSError:
            found.append(f"port {PORT} is held")
    return found


def rules_left() -> list[str]:
    """The first rule; of netavark's base chains, which stay, only rules that speak of our networks or port."""
    text = subprocess.run(["nft", "list", "ruleset"], check=True, capture_output=True, text=True).stdout
    lines = text.splitlines()
    if "NETAVARK" not in text:
        return lines[:1]
    return [line for line in lines if "10.71." in line or f"dport {PORT}" in line][:1]


def name_servers(runroot: Path) -> list[int]:
    found = (pidfd.read_pid(path) for path in runroot.glob("libpod-py/**/aardvark.pid"))
    return [pid for pid in found if pid is not None and pidfd.process_state(pid) not in ("", "Z")]


def problems_of(runtime: libpod.Runtime, container: libpod.Container) -> list[str]:
    """Whether what runs is connected as its record says, and nothing else is there."""
    status = container.state().network_status
    expected = set(container.config.networks)
    found = [] if set(status) == expected else [f"connected to {set(status)}, recorded are {expected}"]
    inside = {
        line.split(":")[1].strip().partition("@")[0]
        for line in container.run("ip", "-o", "link").stdout.decode().splitlines()
    }
    interfaces = {name for network in status.values() for name in network["interfaces"]}
    if inside != interfaces | {"lo"}:
        found.append(f"it has the interfaces {inside}, recorded are {interfaces}")
    ports = [link.name for link in links() if link.master]
    if len(ports) != len(expected):
        found.append(f"bridges have the ports {ports}, its networks are {expected}")
    claimed = runtime._services.state.claims(kind="address")
    if {claim.key.partition("/")[0] for claim in claimed} != expected:
        found.append(f"claims are {claimed}, its networks {expected}")
    report = runtime.check()
    return found + [f"check: {finding}" for finding in report.findings]


def one(runtime: libpod.Runtime) -> libpod.Container:
    return runtime.container("victim")


def start(engine: Engine) -> None:
    with engine.runtime() as runtime:
        one(runtime).start()


def stop(engine: Engine) -> None:
    with engine.runtime() as runtime:
        one(runtime).stop(timeout=0)
        one(runtime).clean_up()


def remove(engine: Engine) -> None:
    with engine.runtime() as runtime:
        one(runtime).remove(force=True, timeout=0)


def connect(engine: Engine) -> None:
    with engine.runtime() as runtime:
        runtime.connect_network("second", "victim")


def disconnect(engine: Engine) -> None:
    with engine.runtime() as runtime:
        runtime.disconnect_network("first", "victim")


ACTIONS = {"start": start, "stop": stop, "remove": remove, "connect": connect, "disconnect": disconnect}


def prepared(engine: Engine, scenario: str) -> None:
    with engine.runtime() as runtime:
        networks = "first,second" if scenario == "disconnect" else "first"
        container = runtime.create(
            "bb:1", "sleep", "1000", name="victim", network=networks, publish=[f"{PORT}:80"]
        )
        if scenario != "start":
            container.start()


def repaired(engine: Engine, scenario: str, step: int) -> list[str]:
    """The next command, whatever it is, finds or makes everything as it should be."""
    found: list[str] = []
    with engine.runtime() as runtime:
        if not runtime.has_container("victim"):
            return found
        container = one(runtime)
        live = container.status() is libpod.ContainerStatus.RUNNING
        if step % 3 == 1 and not live:
            container.start()
            live = True
        if step % 3 != 2 and live:
            found += problems_of(runtime, container)
        container.remove(force=True, timeout=0)
    return found


def main() -> None:
    scenario, engine = sys.argv[1], Bench(Path(sys.argv[2]), Path(sys.argv[3]), sys.argv[4])
    with engine.runtime() as runtime:
        for name, subnet in SUBNETS.items():
            runtime.create_network(name, subnets=[subnet])
    problems: list[str] = []
    step, killed = 0, True
    while killed and len(problems) < 20:
        step += 1
        prepared(engine, scenario)
        killed = killed_at(step, lambda: ACTIONS[scenario](engine), engine.is_step)
        try:
            problems += [f"step {step}: {found}" for found in repaired(engine, scenario, step)]
        except libpod.NoSuchContainerError:
            pass  # its removal was finished by somebody else, who saw that it was begun
        except (libpod.LibpodError, OSError) as error:
            problems.append(f"step {step}: {type(error).__name__}: {error}")
            with contextlib.suppress(libpod.NoSuchContainerError):
                remove(engine)
        left = until(lambda: left_over(engine), lambda found: not found, timeout=30)
        problems += [f"step {step}: left {item}" for item in left]
    with engine.runtime() as runtime:
        for name in SUBNETS:
            runtime.remove_network(name, force=True)
    sys.stdout.write(json.dumps({"steps": step, "problems": problems}))


if __name__ == "__main__":
    main()
