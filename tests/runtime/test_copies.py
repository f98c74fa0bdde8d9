"""Many containers out of one archive."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

import libpod
from libpod import runtime_copies
from tests.engines import Engine, counts_on, last_count, lines, until
from tests.runtime.test_networks import address_of

pytestmark = [pytest.mark.root, pytest.mark.criu]

SCRIPT = (
    "t=$(cat /proc/sys/kernel/random/uuid); echo $t > /data/word; echo $t > /word;"
    "i=0; while true; do i=$((i+1)); echo $i; sleep 0.1; done"
)


@pytest.fixture
def archive(runtime: libpod.Runtime, tmp_path: Path) -> Path:
    """A counting container with a volume, frozen at some number, and gone."""
    container = runtime.run("bb:1", "sh", "-c", SCRIPT, name="many", network="none", volumes=["vol:/data"])
    counts_on(container, 3)
    runtime.checkpoint(container, export=tmp_path / "many.tar.zst")
    container.remove()
    runtime.volume("vol").remove()
    return tmp_path / "many.tar.zst"


def test_every_copy_goes_on_from_the_same_instant_and_on_its_own(runtime, engine: Engine, archive):
    copies = runtime.restore_copies(archive, copies=3, name="web")
    assert [copy.name for copy in copies] == ["web-1", "web-2", "web-3"]
    assert len({copy.id for copy in copies}) == 3
    for copy in copies:
        counts_on(copy, last_count(copy))
        numbers = [int(line) for line in lines(copy)]
        assert numbers == list(range(1, len(numbers) + 1)), "each has the whole log, and writes to its own"
    copies[0].run("sh", "-c", "echo mine > /data/word; echo mine > /word")
    word = copies[1].run("cat", "/data/word", "/word").stdout
    assert word == copies[2].run("cat", "/data/word", "/word").stdout
    assert b"mine" not in word
    assert {volume.name for volume in runtime.volumes()} == {"vol-1", "vol-2", "vol-3"}


def test_names_count_on_from_the_archives_own(runtime, archive):
    assert [copy.name for copy in runtime.restore(import_=archive, copies=2)] == ["many-1", "many-2"]
    with pytest.raises(libpod.InvalidArgumentError, match="from an archive"):
        runtime.restore("many-1", copies=2)


def test_one_that_fails_takes_all_back(runtime, engine: Engine, archive, monkeypatch):
    """The last one fails when the others are awake."""
    others = threading.Semaphore(0)
    wake = runtime_copies._wake_one

    def waking(services, plan, *rest):
        if plan.config.name == "web-3":
            others.acquire()
            others.acquire()
            raise libpod.RestoreError(container="web-3", step="waking", cause="nothing in particular")
        try:
            return wake(services, plan, *rest)
        finally:
            others.release()

    monkeypatch.setattr(runtime_copies, "_wake_one", waking)
    with pytest.raises(libpod.RestoreError, match="nothing in particular"):
        runtime.restore_copies(archive, copies=3, name="web")
    assert runtime.containers() == []
    assert runtime.volumes() == []


def test_a_name_that_is_taken_is_found_before_anything_is_made(runtime, archive):
    runtime.create("bb:1", "true", name="web-2")
    with pytest.raises(libpod.RestoreError, match="web-2"):
        runtime.restore_copies(archive, copies=3, name="web")
    assert [listed.name for listed in runtime.containers()] == ["web-2"]
    assert runtime.volumes() == []


@pytest.mark.parametrize(
    "wrong", [{"copies": 0}, {"copies": 100_000}, {"copies": 2, "tcp_established": True}]
)
def test_what_makes_no_sense_is_refused(runtime, tmp_path, wrong):
    with pytest.raises(libpod.InvalidArgumentError):
        runtime.restore_copies(tmp_path / "none.tar", **wrong)


@pytest.mark.network
def test_copies_share_neither_addresses_nor_ports(runtime, host, tmp_path):
    server = ("sh", "-c", "httpd -p 80 -h /etc; sleep 1000")
    web = host.do(lambda: runtime.run("bb:1", *server, name="web", publish=["8080:80"], ip="10.77.0.99"))
    host.do(lambda: runtime.checkpoint(web, export=tmp_path / "web.tar"))
    host.do(web.remove)
    copies = host.do(lambda: runtime.restore_copies(tmp_path / "web.tar", copies=3))
    assert len({address_of(copy) for copy in copies}) == 3
    ports = [copy.config.port_mappings[0].host_port for copy in copies]
    assert len(set(ports)) == 3

    def answer(port: int) -> bytes:
        try:
            return host.ask("127.0.0.1", port, b"GET /image-file HTTP/1.0\r\n\r\n")
        except OSError:
            return b""

    for port in ports:
        assert b"from the image" in until(lambda port=port: answer(port))
    for copy in copies:
        host.do(lambda copy=copy: copy.remove(force=True, timeout=0))
