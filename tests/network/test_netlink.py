"""The route socket: pyroute2's messages without the whole of it, and refusals in words."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import threading

import pytest

from libpod.define.errors import NetworkError
from libpod.network import netlink, wiring
from libpod.network.netlink import RouteSocket
from libpod.network.plan import PlannedRoute

pytestmark = [pytest.mark.root, pytest.mark.network]


def in_a_fresh_interpreter(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_messages_come_without_the_event_loop_and_the_database():
    code = """
import sys
from libpod.network import netlink, wiring
assert not any(name.startswith("pyroute2") for name in sys.modules)
netlink.link_message(); netlink.address_message(); netlink.route_message()
heavy = {"asyncio", "sqlite3", "pyroute2.iproute", "pyroute2.ndb", "pyroute2.netlink.nlsocket"}
print(sorted(heavy & set(sys.modules)))
"""
    assert in_a_fresh_interpreter(code) == "[]"


@pytest.mark.parametrize(
    "use",
    [
        "import pyroute2; print(pyroute2.IPRoute.__name__)",
        "from pyroute2 import IPRoute; print(IPRoute.__name__)",
        "import pyroute2.netlink.rtnl; print(pyroute2.IPRoute.__name__)",
        "import pyroute2.iproute; print(pyroute2.iproute.IPRoute.__name__)",
        "import inspect, pyroute2; inspect.getmodule(pyroute2); print(pyroute2.IPRoute.__name__)",
    ],
)
def test_whoever_imports_pyroute2_later_finds_all_of_it(use):
    first = "from libpod.network import netlink; netlink.link_message()\n"
    assert in_a_fresh_interpreter(first + use) == "IPRoute"


def test_who_imported_pyroute2_before_keeps_it():
    code = "import pyroute2\nfrom libpod.network import netlink\nbefore = pyroute2.netlink.rtnl.ifinfmsg.ifinfmsg\n"
    assert in_a_fresh_interpreter(code + "print(type(netlink.link_message()) is before)") == "True"


def test_first_messages_of_many_threads_are_whole():
    code = """
import threading
from libpod.network import netlink
gate, made = threading.Barrier(8), []
def make():
    gate.wait()
    made.append(netlink.link_message(index=7)["index"])
threads = [threading.Thread(target=make) for _ in range(8)]
for thread in threads: thread.start()
for thread in threads: thread.join()
print(made == [7] * 8)
"""
    assert in_a_fresh_interpreter(code) == "True"


def test_a_refusal_says_what_the_kernel_said(host):
    def refused() -> None:
        with RouteSocket() as opened:
            route = PlannedRoute(destination="192.0.2.0/24", gateway="198.51.100.1", metric=1, version=4)
            wiring.Wiring(opened).add_route(1, route)

    with pytest.raises(NetworkError, match=r"route to 192.0.2.0/24 via 198.51.100.1 .*unreachable.*gateway"):
        host.do(refused)


def test_a_socket_serves_the_namespace_of_the_thread_that_made_it(host):
    opened = host.do(RouteSocket().__enter__)
    with contextlib.ExitStack() as stack:
        stack.push(opened)
        message = netlink.link_message()
        kind = {"attrs": [("IFLA_INFO_KIND", "bridge")]}
        message["attrs"] = [("IFLA_IFNAME", "here0"), ("IFLA_LINKINFO", kind)]
        worker = threading.Thread(target=lambda: opened.change(netlink.NEWLINK, message, flags=netlink.MAKE))
        worker.start()
        worker.join()
    assert host.links() == {"lo", "here0"}
