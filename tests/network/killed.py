"""Helper of test_crashes: set up, be killed at the n-th step, repair, and say what is left.

    python -m tests.network.killed <scenario> <directory>

runs in the network namespace that is the test's host. Every attempt is a fork that kills itself (SIGKILL) when it
enters the n-th function that touches the kernel; n grows until an attempt ends by itself. Prints one JSON object.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from types import CodeType

import pyroute2  # noqa: F401 - before the forks, which would all import it again

from libpod.define.ids import new_id
from libpod.linux.links import links
from libpod.linux.namespaces import create_network_namespace, delete_network_namespace
from libpod.model.container_config import PortMapping
from libpod.network.base import ContainerNetwork, NetworkAttachment
from libpod.network.bridge import BridgeBackend
from libpod.network.creation import Occupied, default_definition
from tests.killing import killed_at

TOUCHING = ("network/wiring.py", "network/firewall.py", "network/sysctls.py")
QUIET = (
    "find", "require", "__init__", "on_host", "inside", "has_ipv6",
    "exists", "published", "network_elements", "_listed", "check_conflicts", "_key_of",
)  # fmt: skip
"""What only looks, or only calls what is counted anyway. (Private names of the modules are left out by name.)"""


def is_step(code: CodeType) -> bool:
    name = code.co_name
    return (
        code.co_filename.endswith(TOUCHING)
        and name not in QUIET
        and (name in ("_run", "_write") or not name.startswith(("_", "<")))
    )


def leftovers() -> list[str]:
    rules = subprocess.run(["nft", "list", "ruleset"], check=True, capture_output=True, text=True).stdout
    return [link.name for link in links() if link.name != "lo"] + rules.splitlines()[:1]


def main() -> None:
    scenario, directory = sys.argv[1], Path(sys.argv[2])
    backend = BridgeBackend(directory / "run")
    network = default_definition("podman", [], Occupied())
    problems: list[str] = []
    step = 0
    killed = True
    while killed:
        step += 1
        container = new_id()
        namespace = directory / "netns" / container
        create_network_namespace(namespace)
        request = ContainerNetwork(
            container_id=container,
            container_name="ctr",
            namespace=namespace,
            attachments=(NetworkAttachment(definition=network, interface="eth0", addresses=("10.77.0.2",)),),
            ports=(PortMapping(container_port=80, host_port=8080),),
        )
        try:
            if scenario == "teardown":
                backend.setup(request)
                killed = killed_at(step, lambda request=request: backend.teardown(request), is_step)
            else:
                killed = killed_at(step, lambda request=request: backend.setup(request), is_step)
            if scenario == "again":
                backend.setup(request)
            if scenario == "strays":
                delete_network_namespace(namespace)
                backend.remove_strays(backend.strays([], [network]))
                rest = backend.strays([], [network])
                problems += [f"step {step}: still {stray}" for stray in rest]
            else:
                backend.teardown(request)
        except Exception as error:  # noqa: BLE001 - reported to the test
            problems.append(f"step {step}: {type(error).__name__}: {error}")
            subprocess.run(["nft", "flush", "ruleset"], check=True)
        finally:
            delete_network_namespace(namespace)
        problems += [f"step {step}: left {item}" for item in leftovers()]
        if len(problems) > 20:
            break
    sys.stdout.write(json.dumps({"steps": step, "problems": problems}))


if __name__ == "__main__":
    main()
