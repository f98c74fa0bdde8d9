"""Helper of test_netavark_kills: somebody is killed at the n-th step of netavark and somebody repairs; what is left?

    python -m tests.network.netavark_killed <scenario> <directory>

runs in the network namespace that is the test's host. netavark is the real one, with a library before it that counts
what it changes (messages to the kernel, iptables, files, signals) and kills -9 before the n-th: itself, whoever called
it, or both. The victims and the repairs go by turns, so that one run meets every step once. A second netavark, as
podman would drive it, has a network of the same name beside ours: whatever happens, its rules stay as they are.
Prints one JSON object.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from libpod.define.ids import new_id
from libpod.linux import pidfd
from libpod.linux.links import links
from libpod.linux.namespaces import create_network_namespace, delete_network_namespace
from libpod.model.container_config import PortMapping
from libpod.network.aardvark import find_aardvark
from libpod.network.base import ContainerNetwork, NetworkAttachment
from libpod.network.creation import NetworkCreateOptions, Occupied, SubnetRequest, new_definition
from libpod.network.definitions import NetworkDefinition, definition_document
from libpod.network.netavark import NetavarkBackend, find_netavark
from tests.engines import until

SHIM = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#define REAL(name) static typeof(&name) real; if (!real) real = dlsym(RTLD_NEXT, #name)
static void step(void) {
    static int seen;
    const char *at = getenv("KILL_AT"), *whom = getenv("KILL_WHOM");
    if (!at || strcmp(program_invocation_short_name, "netavark") || ++seen != atoi(at)) return;
    static int (*real)(pid_t, int);
    real = dlsym(RTLD_NEXT, "kill");
    int note = creat(getenv("KILL_NOTE"), 0600);
    close(note);
    if (strcmp(whom, "netavark")) real(getppid(), SIGKILL);
    if (strcmp(whom, "us")) real(getpid(), SIGKILL);
    usleep(200000); /* still at work while others repair already */
}
ssize_t send(int s, const void *d, size_t n, int f) { REAL(send); step(); return real(s, d, n, f); }
ssize_t write(int s, const void *d, size_t n) { REAL(write); if (s > 2) step(); return real(s, d, n); }
int unlink(const char *p) { REAL(unlink); step(); return real(p); }
int kill(pid_t p, int s) { REAL(kill); step(); return real(p, s); }
int posix_spawnp(pid_t *p, const char *f, const posix_spawn_file_actions_t *a, const posix_spawnattr_t *t,
                 char *const v[], char *const e[]) {
    REAL(posix_spawnp);
    int looks = 0;
    for (int i = 1; v[i]; i++)
        looks |= !strcmp(v[i], "-C") || !strcmp(v[i], "-S") || !strcmp(v[i], "--version");
    if (!looks) step();
    return real(p, f, a, t, v, e);
}
"""
WRAPPER = """#!/bin/sh
at=0; whom=none
if read at whom < {directory}/at; then rm {directory}/at; fi
KILL_AT=$at KILL_WHOM=$whom KILL_NOTE={directory}/struck LD_PRELOAD={directory}/shim.so exec {netavark} "$@"
"""
VICTIMS = ("both", "us", "netavark")
PORT = 8080


def repair_by_clean_up(backend: NetavarkBackend, request: ContainerNetwork) -> None:
    backend.teardown(request)


def repair_without_namespace(backend: NetavarkBackend, request: ContainerNetwork) -> None:
    delete_network_namespace(request.namespace)
    backend.teardown(request)


def repair_as_stray(backend: NetavarkBackend, request: ContainerNetwork, live: Sequence[str] = ()) -> None:
    delete_network_namespace(request.namespace)
    backend.remove_strays(backend.strays(live, []))
    rest = backend.strays(live, [])
    assert not rest, f"still {rest}"


def repair_by_another_set_up(backend: NetavarkBackend, request: ContainerNetwork) -> None:
    backend.setup(request)
    with_port = subprocess.run(
        ["iptables-save", "-t", "nat"], check=True, capture_output=True, text=True
    ).stdout
    assert f"dport {PORT}" in with_port, "it is not published after the repetition"
    backend.teardown(request)


REPAIRS = (repair_by_clean_up, repair_as_stray, repair_by_another_set_up, repair_without_namespace)


class Bench:
    """The host, the backend under test and a network of podman's."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        shim, wrapper = directory / "shim.so", directory / "netavark"
        subprocess.run(
            ["gcc", "-O1", "-shared", "-fPIC", "-x", "c", "-", "-o", shim, "-ldl"],
            input=SHIM.encode(),
            check=True,
        )
        wrapper.write_text(WRAPPER.format(directory=directory, netavark=find_netavark()))
        wrapper.chmod(0o755)
        self.backend = NetavarkBackend(directory / "run", program=str(wrapper), aardvark=find_aardvark())
        self.network = network("front", "br-ours", "10.5.0.0/24", dns=True)

    def request(
        self, name: str = "ctr", last: int = 2, ports: tuple[PortMapping, ...] = ()
    ) -> ContainerNetwork:
        container = new_id()
        namespace = self.directory / "netns" / container
        create_network_namespace(namespace)
        return ContainerNetwork(
            container_id=container,
            container_name=name,
            namespace=namespace,
            attachments=(
                NetworkAttachment(definition=self.network, interface="eth0", addresses=(f"10.5.0.{last}",)),
            ),
            ports=ports,
        )

    def left(self) -> dict[str, Any]:
        """All that netavark makes on a host."""
        run = self.directory / "run"
        names = run / "netavark/aardvark-dns"
        pid = pidfd.read_pid(names / "aardvark.pid")
        return {
            "links": sorted(link.name for link in links() if not link.name.startswith("veth")),
            "pairs": sum(link.name.startswith("veth") for link in links()),
            "rules": [*rules_of("iptables-save"), *rules_of("ip6tables-save")],
            "names": {file.name: file.read_text() for file in names.glob("*") if file.name != "aardvark.pid"},
            "server": pid is not None and pidfd.process_state(pid) not in ("", "Z"),
            "stand-ins": [path.name for path in run.glob("netavark-*")],
            "connections": [path.name for path in run.glob("netavark/connections/*")],
        }


def network(name: str, bridge: str, subnet: str, *, dns: bool) -> NetworkDefinition:
    options = NetworkCreateOptions(
        name=name, interface_name=bridge, subnets=(SubnetRequest(subnet=subnet),), dns=dns
    )
    return new_definition(options, [], Occupied())


def rules_of(program: str) -> list[str]:
    text = subprocess.run([program], check=True, capture_output=True, text=True).stdout
    return sorted(line for line in text.splitlines() if line.startswith(("-A", ":NETAVARK")))


def podmans(directory: Path) -> Path:
    """The namespace of a container with a port on a network of the name of ours, connected as podman does it."""
    definition = network("front", "br-theirs", "10.88.0.0/16", dns=False)
    namespace = directory / "netns" / "theirs"
    create_network_namespace(namespace)
    connect_as_podman(directory, namespace, definition)
    return namespace


def connect_as_podman(directory: Path, namespace: Path, definition: NetworkDefinition) -> None:
    document = {
        "container_id": new_id(),
        "container_name": "theirs",
        "networks": {definition.name: {"interface_name": "eth0", "static_ips": ["10.88.0.5"]}},
        "network_info": {definition.name: definition_document(definition)},
        "port_mappings": [
            {"container_port": 80, "host_port": 9090, "host_ip": "", "protocol": "tcp", "range": 1}
        ],
    }
    subprocess.run(
        [find_netavark() or "", "--config", str(directory / "podmans"), "setup", str(namespace)],
        input=json.dumps(document).encode(),
        check=True,
        capture_output=True,
    )


def killed(bench: Bench, step: int, victim: str, action: Callable[[], object]) -> bool:
    """Do *action* in a child while somebody is killed at the *step*-th step; whether that happened."""
    struck = bench.directory / "struck"
    struck.unlink(missing_ok=True)
    (bench.directory / "at").write_text(f"{step} {victim}\n")
    child = os.fork()
    if child == 0:
        try:
            action()
        except Exception:  # noqa: BLE001 - netavark was killed under it
            os._exit(1)
        os._exit(0)
    os.waitpid(child, 0)
    (bench.directory / "at").unlink(missing_ok=True)
    return struck.exists()


def round_of(
    bench: Bench, step: int, scenario: str, beside: ContainerNetwork | None
) -> tuple[bool, list[str]]:
    """Whether there was a *step*-th step, and what went wrong in the attempt or the repair."""
    victim, repair = VICTIMS[step % 3], REPAIRS[step % 4]
    request = bench.request("hit", 9, (PortMapping(container_port=80, host_port=PORT),))
    backend = bench.backend
    action = backend.teardown if scenario.startswith("teardown") else backend.setup
    if action == backend.teardown:
        backend.setup(request)
    more = killed(bench, step, victim, lambda: action(request))
    try:
        if repair is repair_as_stray:
            repair_as_stray(bench.backend, request, [beside.container_id] if beside else [])
        else:
            repair(bench.backend, request)
    except Exception as error:  # noqa: BLE001 - reported to the test
        return more, [f"{victim} killed, {repair.__name__}: {type(error).__name__}: {error}"]
    finally:
        delete_network_namespace(request.namespace)
    return more, []


def main() -> None:
    scenario, bench = sys.argv[1], Bench(Path(sys.argv[2]))
    podmans(bench.directory)
    expected = bench.left()  # netavark's base chains among it
    beside = bench.request() if scenario.endswith("beside") else None
    if beside:
        bench.backend.setup(beside)
        expected = bench.left()
    problems: list[str] = []
    step, more = 0, True
    while more and len(problems) < 10:
        step += 1
        more, found = round_of(bench, step, scenario, beside)
        left = until(bench.left, lambda left: left == expected, timeout=3)
        found += [
            f"{key} {left[key]}, expected {expected[key]}" for key in left if left[key] != expected[key]
        ]
        problems += [f"step {step}: {item}" for item in found]
    if beside:
        bench.backend.teardown(beside)
        delete_network_namespace(beside.namespace)
    delete_network_namespace(bench.directory / "netns/theirs")
    sys.stdout.write(json.dumps({"steps": step, "problems": problems}))


if __name__ == "__main__":
    main()
