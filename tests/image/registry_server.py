"""Real registries on the loopback, and a proxy that cuts the wire."""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

USER, PASSWORD = "tester", "pa55:wörd"
# bcrypt of PASSWORD; the registry understands no other kind.
HTPASSWD = f"{USER}:$2b$04$ICRbSrz0gy0jJPp2kZsf1OzuKk31SlEjG.8C9VJmUGe22wrc/LWjK\n"
DEADLINE = 60.0


class RegistryServer:
    """Debian's docker-registry, on a port that the kernel chose."""

    def __init__(self, top: Path, *, tls: bool = False, password: bool = False) -> None:
        self.top = top
        self.certificates = top / "certs"
        self._log = top / "log"
        top.mkdir(parents=True)
        config = top / "config.yml"
        config.write_text(_config(top, tls=tls, password=password))
        if tls:
            _make_certificate(self.certificates)
        if password:
            (top / "htpasswd").write_text(HTPASSWD)
        self._stream = self._log.open("wb")
        self._process = subprocess.Popen(
            [_program(), "serve", str(config)], stdout=self._stream, stderr=subprocess.STDOUT
        )
        self.port = self._wait_for_port()

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"

    def stop(self) -> None:
        self._process.kill()
        self._process.wait()
        self._stream.close()

    def _wait_for_port(self) -> int:
        end = time.monotonic() + DEADLINE
        while time.monotonic() < end:
            found = re.search(
                r"listening on (?:127\.0\.0\.1|\[::\]):(\d+)", self._log.read_text(errors="replace")
            )
            if found is not None:
                return int(found[1])
            if self._process.poll() is not None:
                break
            time.sleep(0.02)
        raise AssertionError(f"the registry did not start: {self._log.read_text(errors='replace')}")


def serving(*, tls: bool = False, password: bool = False) -> Iterator[RegistryServer]:
    """A registry while a fixture is in use; the test is skipped where there is none."""
    if not have_registry():
        pytest.skip("docker-registry is not installed")
    path = Path(tempfile.mkdtemp(prefix="lr-", dir="/tmp"))
    server = RegistryServer(path / "r", tls=tls, password=password)
    yield server
    server.stop()
    shutil.rmtree(path)


def have_registry() -> bool:
    return shutil.which("docker-registry") is not None or shutil.which("registry") is not None


def _program() -> str:
    return shutil.which("docker-registry") or shutil.which("registry") or "docker-registry"


def _config(top: Path, *, tls: bool, password: bool) -> str:
    document: dict[str, object] = {
        "version": "0.1",
        "log": {"level": "info"},
        "storage": {"filesystem": {"rootdirectory": str(top / "data")}, "delete": {"enabled": True}},
        "http": {"addr": "127.0.0.1:0"},
    }
    if tls:
        certificate, key = top / "certs/ca.crt", top / "certs/server.pem"
        document["http"] = {"addr": "127.0.0.1:0", "tls": {"certificate": str(certificate), "key": str(key)}}
    if password:
        document["auth"] = {"htpasswd": {"realm": "tests", "path": str(top / "htpasswd")}}
    return json.dumps(document)  # JSON is YAML


def _make_certificate(folder: Path) -> None:
    folder.mkdir()
    subprocess.run(
        [
            "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
            "-days", "2", "-subj", "/CN=tests", "-addext", "subjectAltName=IP:127.0.0.1",
            "-keyout", str(folder / "server.pem"), "-out", str(folder / "ca.crt"),
        ],
        check=True, capture_output=True,
    )  # fmt: skip


class CuttingProxy:
    """Forwards to a port, and breaks the connection after `limit` bytes in one direction; None: never."""

    def __init__(self, port: int) -> None:
        self._target = port
        self.limit: int | None = None
        self.cuts = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._threads: list[threading.Thread] = []
        self._accepting = threading.Thread(target=self._accept)
        self._accepting.start()

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._accepting.join()
        for thread in self._threads:
            thread.join()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            thread = threading.Thread(target=self._serve, args=(client,))
            self._threads.append(thread)
            thread.start()

    def _serve(self, client: socket.socket) -> None:
        with (
            client,
            contextlib.suppress(OSError),
            socket.create_connection(("127.0.0.1", self._target)) as server,
        ):
            upstream = threading.Thread(target=self._pump, args=(client, server))
            upstream.start()
            self._pump(server, client)
            upstream.join()

    def _pump(self, source: socket.socket, target: socket.socket) -> None:
        """Pass on what comes in one direction; at the limit or at the end both connections are closed."""
        passed = 0
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                passed += len(data)
                if self.limit is not None and passed > self.limit:
                    self.cuts += 1
                    break
                target.sendall(data)
        for side in (source, target):
            with contextlib.suppress(OSError):
                side.shutdown(socket.SHUT_RDWR)


@contextlib.contextmanager
def cutting(port: int) -> Iterator[CuttingProxy]:
    proxy = CuttingProxy(port)
    try:
        yield proxy
    finally:
        proxy.close()
