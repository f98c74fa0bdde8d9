"""Finds out whether a CRIU works on the running kernel, by using it.

`criu check` is not enough: it knows the features of a kernel, not how the kernel has changed since. CRIU 4.1
passes it on Linux 6.16 and later, and then cannot dump a process that has an IP socket. So the probe freezes
and thaws what a container usually is: a process of its own session with listening TCP sockets. Afterwards it
asks the thawed process for an answer over each of them.
"""

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from libpod_setup.commands import SetupError, attempt

TIMEOUT = 60.0

SUBJECT = """\
import os, socket, sys
os.setsid()
sockets = []
for family, address in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
    try:
        sockets.append(socket.create_server((address, 0), family=family))
    except OSError:
        pass  # a host without IPv6
print(*(s.getsockname()[1] for s in sockets), flush=True)
null = os.open(os.devnull, os.O_RDWR)
for descriptor in (0, 1, 2):
    os.dup2(null, descriptor)
os.close(null)
import select
while waiting := select.select(sockets, [], [], 120)[0]:
    for ready in waiting:
        connection = ready.accept()[0]
        connection.sendall(b"alive")
        connection.close()
"""
"""What is frozen. It prints its ports, one for each family, and then lets go of the pipe it printed to.

Should the set-up be killed, it ends by itself after two minutes without a visitor.
"""


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What the probe found. *reason* is "" exactly if the CRIU works."""

    version: str
    reason: str = ""

    @property
    def works(self) -> bool:
        return not self.reason


def probe(criu: Path) -> Verdict:
    """Judge *criu*; a CRIU that fails is an answer, not an error."""
    try:
        version = version_in(attempt([criu, "--version"], timeout=TIMEOUT).stdout)
        check = attempt([criu, "check"], timeout=TIMEOUT)
        if check.returncode != 0:
            return Verdict(version=version, reason="criu check: " + reason_in(check.stdout))
        return Verdict(version=version, reason=freeze_and_thaw(criu))
    except SetupError as error:
        return Verdict(version="unknown", reason=str(error))


def version_in(text: str) -> str:
    match = re.search(r"^Version:\s*(\S+)", text, re.MULTILINE)
    return match[1] if match else "unknown"


def reason_in(log: str) -> str:
    """The first error of a CRIU log: later ones mostly report that an earlier one was noticed.

    That CRIU may not raise its limit of open files is an error only in name; it happens in many sandboxes.
    """
    for line in log.splitlines():
        match = re.search(r"Error \([^)]*\): (.*)", line)
        if match and "RLIMIT_NOFILE" not in line:
            return match[1].strip()
    lines = log.strip().splitlines()
    return lines[-1] if lines else "no output"


def freeze_and_thaw(criu: Path) -> str:
    """Dump and restore a process of ours; "" if all went well, else what went wrong."""
    with tempfile.TemporaryDirectory(prefix="libpod-criu-probe-") as name:
        images = Path(name)
        subject = subprocess.Popen(
            [os.path.realpath(sys.executable), "-I", "-S", "-c", SUBJECT],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            cwd="/",
        )
        assert subject.stdout is not None
        with subject.stdout:
            ports = [int(word) for word in subject.stdout.readline().split()]
        try:
            if not ports:
                return "the process to freeze could not listen on a TCP socket"
            dump = step(criu, "dump", images, "--tree", str(subject.pid))
            if dump:
                return dump
            subject.wait(TIMEOUT)
            restore = step(criu, "restore", images, "--restore-detached")
            return restore or silence(ports)
        except subprocess.TimeoutExpired:
            return "criu dump left the process running"
        finally:
            end(subject)


def step(criu: Path, verb: str, images: Path, *arguments: str) -> str:
    log = images / f"{verb}.log"
    result = attempt(
        [criu, verb, "--images-dir", images, "-v4", "--log-file", log.name, *arguments], timeout=TIMEOUT
    )
    if result.returncode == 0:
        return ""
    text = log.read_text(encoding="utf-8", errors="replace") if log.exists() else result.stdout
    return f"criu {verb}: {reason_in(text)}"


def silence(ports: list[int]) -> str:
    """ "" if the thawed process answers on all its *ports*."""
    for port, address in zip(ports, ("127.0.0.1", "::1"), strict=False):
        try:
            with socket.create_connection((address, port), timeout=5) as connection:
                if connection.recv(5) == b"alive":
                    continue
        except OSError as error:
            return f"the restored process does not answer on {address}: {error}"
        return f"the restored process answers nonsense on {address}"
    return ""


def end(subject: "subprocess.Popen[str]") -> None:
    """Kill the subject, whether it is still our child or was restored under the same process id.

    A restored one is a child of init, so it cannot be waited for; it is gone when its id is.
    """
    if subject.returncode is None:
        subject.kill()
        subject.wait()
        return
    with contextlib.suppress(ProcessLookupError):
        deadline = time.monotonic() + 5
        while time.monotonic() < deadline:
            os.kill(subject.pid, signal.SIGKILL)
            time.sleep(0.01)
