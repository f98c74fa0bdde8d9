"""Containers that move between us and the real podmans, both ways, with the same words of a command line.

Each row of the matrix is one container that carries something; the check looks, on the other side, whether it arrived.
docs/interoperability.md is the table for readers.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import socket
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import attrs
import pytest

from libpod.checkpoint import criu
from libpod.network.definitions import NetworkDefinition, Subnet
from tests.engines import Engine, until
from tests.network.conftest import Machine
from tests.podmans import PODMAN_5, Side, our_side, podman_side

pytestmark = [
    pytest.mark.root,
    pytest.mark.criu,
    pytest.mark.network,
    pytest.mark.podman,
    pytest.mark.skipif(shutil.which("podman") is None, reason="needs podman"),
    pytest.mark.skipif(not PODMAN_5.exists(), reason="needs podman 5, which scripts/setup --peers unpacks"),
    pytest.mark.skipif(not criu.PREFIX.exists(), reason="needs the set-up's CRIU"),
]

BODY = "while true; do i=$((i+1)); echo $i; echo $t $i > /dev/shm/count; sleep 0.1; done"
SCRIPT = f"t=$(cat /proc/sys/kernel/random/uuid); i=0; {BODY}"
"""A process whose memory is a word that nobody else knows, and a number."""
WEB = f"httpd -p 80 -h /etc; {SCRIPT}"
ADDRESS, MAC = "10.88.0.77", "02:11:22:33:44:55"


@attrs.define(kw_only=True)
class Move:
    """One container on its way."""

    source: Side
    target: Side
    host: Machine
    directory: Path
    row: Row
    name: str = "mover"
    before: dict[str, Any] = attrs.field(factory=dict)
    said: dict[str, str] = attrs.field(factory=dict)
    """What checkpoint and restore printed."""

    def on(self, side: Side, *words: str | Path) -> str:
        return side(*words, inside=self.host.do)

    def source_sh(self, script: str) -> str:
        return self.on(self.source, "exec", "mover", "sh", "-c", script)

    def target_sh(self, script: str) -> str:
        return self.on(self.target, "exec", self.name, "sh", "-c", script)

    def counted(self, side: Side, name: str) -> tuple[str, int]:
        """The word and the number in the process's memory, as it last wrote them."""
        pid = side.inspect(name)["State"]["Pid"]
        return self.counted_by(pid)

    @staticmethod
    def counted_by(pid: int) -> tuple[str, int]:
        file = Path(f"/proc/{pid}/root/dev/shm/count")

        def look() -> list[str]:
            with contextlib.suppress(FileNotFoundError):
                return file.read_text().split()
            return []

        words = until(look, lambda found: len(found) == 2, timeout=60)
        return words[0], int(words[1])

    def network(self, side: Side, name: str) -> dict[str, str]:
        found = side.inspect(name)["NetworkSettings"]["Networks"]["podman"]
        return {"address": found["IPAddress"], "mac": found["MacAddress"]}


Check = Callable[[Move], None]


def nothing(move: Move) -> None:
    """The counter's going on is all there is to see."""


@attrs.frozen(kw_only=True)
class Row:
    """One line of the matrix."""

    name: str
    create: tuple[str, ...] = ("--network", "none")
    command: tuple[str, ...] = ("sh", "-c", SCRIPT)
    prepare: Check = nothing
    suffix: str = "tar.zst"
    codec: str = ""
    checkpoint: tuple[str, ...] = ()
    restore: tuple[str, ...] = ()
    check: Check = nothing
    stays: bool = False
    """The source runs on."""

    @property
    def volume(self) -> str:
        """The named volume that it uses, if any."""
        return "matrix" if "matrix:/data" in self.create else ""


# ---- what the rows look at -------------------------------------------------------------------------------------------


def magic_is(magic: bytes) -> Check:
    def check(move: Move) -> None:
        found = next(move.directory.glob("c.*")).read_bytes()[:16]
        assert found.startswith(magic), found

    return check


LIST = (
    "cd /; stat -c '%n %F %a %u:%g %h %s' new tree tree/sub tree/sub/deep hard soft fifo;"
    " cat hard tree/sub/deep; readlink soft; ls -a /var; ls /etc/group 2>&1; true"
)


def make_files(move: Move) -> None:
    move.source_sh(
        "echo new > /new; mkdir -p /tree/sub; echo deep > /tree/sub/deep; ln /new /hard; ln -s new /soft;"
        "mkfifo /fifo; rm /etc/group; chown 1000:2000 /new; chmod 4755 /new; chmod 1700 /tree; rm -r /home"
    )
    if not move.source.is_podman:
        # podman forgets changes of what the image has: nothing of these is in its archives.
        move.source_sh(
            "echo more >> /etc/image-file; chmod 700 /var; rm -r /tmp; mkdir /tmp; echo x > /tmp/x"
        )
    move.before["files"] = move.source_sh(LIST)


def same_files(move: Move) -> None:
    assert move.target_sh(LIST) == move.before["files"]
    assert "No such" in move.on(move.target, "exec", move.name, "sh", "-c", "ls -d /home 2>&1; true")
    if not move.source.is_podman:
        found = move.target_sh("cat /etc/image-file /tmp/x; stat -c %a /var")
        assert found == "from the image\nmore\nx\n700"


def make_content(move: Move) -> None:
    move.source_sh("echo precious > /data/file; ln /data/file /data/link; echo s > /dev/shm/s; echo n > /new")


def same_content(move: Move) -> None:
    assert move.target_sh("cat /data/link /dev/shm/s /new; stat -c %h /data/file") == "precious\ns\nn\n2"


def content_ignored(move: Move) -> None:
    assert move.target_sh("ls /data; ls -d /new 2>/dev/null; cat /dev/shm/s") == "s"


def note_network(move: Move) -> None:
    move.before |= move.network(move.source, "mover")
    assert_served(move, 8080)


def assert_served(move: Move, port: int) -> None:
    request = b"GET /image-file HTTP/1.0\r\n\r\n"

    def answer() -> bytes:
        with contextlib.suppress(OSError):
            return move.host.ask("127.0.0.1", port, request)
        return b""

    assert b"from the image" in until(answer)


def same_network(move: Move) -> None:
    found = move.network(move.target, move.name)
    assert found == {"address": move.before["address"], "mac": move.before["mac"]}
    assert_served(move, 8080)


def other_network(move: Move) -> None:
    found = move.network(move.target, move.name)
    assert move.before["address"] == ADDRESS != found["address"]
    assert move.before["mac"] == MAC != found["mac"]
    assert_served(move, 8090)
    assert not move.host.reaches("127.0.0.1", 8080)


def statistics_and_files_kept(move: Move) -> None:
    for verb, fields in (
        ("checkpoint", {"freezing_time", "frozen_time", "memdump_time", "memwrite_time", "pages_scanned",
                        "pages_written"}),
        ("restore", {"forking_time", "restore_time", "pages_restored"}),
    ):  # fmt: skip
        document = json.loads(move.said[verb])
        assert set(document) == {f"podman_{verb}_duration", "container_statistics"}
        (element,) = document["container_statistics"]
        assert set(element) - {"RawInput"} == {"Id", f"runtime_{verb}_duration", "criu_statistics"}
        assert fields <= set(element["criu_statistics"])
        assert document[f"podman_{verb}_duration"] >= element[f"runtime_{verb}_duration"] > 0
    bundle = move.target.bundle(move.target.inspect(move.name)["Id"])
    for name in ("checkpoint/inventory.img", "restore.log", "stats-restore"):
        assert (bundle / name).exists(), name


def both_run(move: Move) -> None:
    found = move.source.inspect("mover")
    pid = found["State"]["Pid"]
    _, stood = move.counted_by(pid)
    assert until(lambda: move.counted_by(pid)[1], lambda number: number > stood) > stood
    assert found["Id"] != move.target.inspect(move.name)["Id"]


def still_locked(move: Move) -> None:
    tried = move.target.attempt("exec", move.name, "/programs/locker", "once", inside=move.host.do)
    assert (tried.returncode, tried.stdout) == (1, "taken\n"), tried.stderr


def connect(move: Move) -> None:
    address = move.network(move.source, "mover")["address"]

    def attempt() -> socket.socket | None:
        with contextlib.suppress(OSError):
            return move.host.connect(address, 80, timeout=60)
        return None

    client = until(attempt)
    client.sendall(b"before")
    assert client.recv(6) == b"before"
    move.before["client"] = client


def still_connected(move: Move) -> None:
    with move.before["client"] as client:
        client.sendall(b"after")
        assert client.recv(5) == b"after"


def whole_log(move: Move) -> None:
    """The log came along, and nothing in it is missing or double."""
    seen = [int(line) for line in move.on(move.target, "logs", move.name).split()]
    assert seen == list(range(1, len(seen) + 1))


def no_log(move: Move) -> None:
    driver = move.target.inspect(move.name)["HostConfig"]["LogConfig"]["Type"]
    assert driver == "none"


def bound(move: Move) -> None:
    assert move.target_sh("cat /bound/file") == "of the host"


BRIDGE = ("--network", "podman")
ECHO = "i=0; nc -l -p 80 -e cat"
MATRIX = (
    Row(name="none", suffix="tar", codec="none", check=magic_is(b"")),
    Row(name="gzip", suffix="tar.gz", codec="gzip", check=magic_is(b"\x1f\x8b\x08")),
    Row(name="zstd", suffix="tar.zst", codec="zstd", check=magic_is(b"\x28\xb5\x2f\xfd")),
    Row(name="files", prepare=make_files, check=same_files),
    Row(
        name="volumes and shm",
        create=("--network", "none", "--volume", "matrix:/data"),
        prepare=make_content,
        check=same_content,
    ),
    Row(
        name="files and volumes ignored",
        create=("--network", "none", "--volume", "matrix:/data"),
        prepare=make_content,
        checkpoint=("--ignore-rootfs", "--ignore-volumes"),
        restore=("--ignore-rootfs", "--ignore-volumes"),
        check=content_ignored,
    ),
    Row(
        name="address, MAC and ports kept",
        create=(*BRIDGE, "--publish", "8080:80"),
        command=("sh", "-c", WEB),
        prepare=note_network,
        check=same_network,
    ),
    Row(
        name="address and MAC ignored, other ports",
        create=(*BRIDGE, "--publish", "8080:80", "--ip", ADDRESS, "--mac-address", MAC),
        command=("sh", "-c", WEB),
        prepare=note_network,
        restore=("--ignore-static-ip", "--ignore-static-mac", "--publish", "8090:80"),
        check=other_network,
    ),
    Row(name="left running, another name", checkpoint=("--leave-running",), restore=("--name", "twin"),
        check=both_run, stays=True),
    Row(name="statistics, files kept", checkpoint=("--print-stats", "--keep"), restore=("--print-stats", "--keep"),
        check=statistics_and_files_kept),
    Row(
        name="file locks",
        create=("--network", "none", "--volume", "{programs}:/programs:ro"),
        command=("sh", "-c", f"/programs/locker > /dev/null & {SCRIPT}"),
        checkpoint=("--file-locks",),
        restore=("--file-locks",),
        check=still_locked,
    ),
    Row(
        name="established connection",
        create=BRIDGE,
        command=("sh", "-c", f"nc -l -p 80 -e cat & {SCRIPT}"),
        prepare=connect,
        checkpoint=("--tcp-established",),
        restore=("--tcp-established",),
        check=still_connected,
    ),
    Row(name="log k8s-file", create=("--network", "none", "--log-driver", "k8s-file"), check=whole_log),
    Row(name="log json-file", create=("--network", "none", "--log-driver", "json-file"), check=whole_log),
    Row(name="log none", create=("--network", "none", "--log-driver", "none"), check=no_log),
    Row(name="bind mount", create=("--network", "none", "--volume", "{directory}/host:/bound:ro"), check=bound),
)  # fmt: skip
WAYS = ("ours to podman 4", "podman 4 to ours", "ours to podman 5", "podman 5 to ours")


# ---- the sides -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def place() -> Iterator[Path]:
    """A short directory for everything."""
    directory = Path(tempfile.mkdtemp(prefix="lpi-"))
    (directory / "host").mkdir()
    (directory / "host/file").write_text("of the host\n")
    yield directory
    shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture(scope="module")
def sides(place: Path, shared_engine: Engine) -> Iterator[dict[str, Side]]:
    """Every engine, each with the same image and a network of the same name and subnet."""
    from tests.engines import remove_engine

    engine = Engine.make(place / "o")
    shared_engine.copy_image("bb:1", engine)
    with engine.runtime():
        definition = NetworkDefinition(
            name="podman",
            id="1" * 64,
            network_interface="libpod-i0",
            subnets=(Subnet(subnet="10.88.0.0/16", gateway="10.88.0.1"),),
            ipam_options={"driver": "host-local"},
        )
        import msgspec

        (engine.root / "libpod-py/networks/podman.json").write_bytes(msgspec.json.encode(definition))
    with contextlib.ExitStack() as undo:
        undo.callback(remove_engine, engine)
        four = undo.enter_context(podman_side(Path(shutil.which("podman") or ""), place / "4", engine))
        five = undo.enter_context(podman_side(PODMAN_5, place / "5", engine))
        yield {"ours": our_side(engine), "podman 4": four, "podman 5": five}


@pytest.fixture
def archives(place: Path) -> Iterator[Path]:
    directory = Path(tempfile.mkdtemp(prefix="a", dir=place))
    yield directory
    shutil.rmtree(directory)


OFTEN = frozenset(
    {"zstd", "files", "volumes and shm", "address, MAC and ports kept", "left running, another name",
     "statistics, files kept", "file locks", "established connection"}
)  # fmt: skip
"""What is tried with podman 5 in every run; its other rows are among the long tests."""


def cases() -> Iterator[Any]:
    for row in MATRIX:
        for way in WAYS:
            rare = "podman 5" in way and row.name not in OFTEN
            yield pytest.param(row, way, id=f"{row.name}: {way}", marks=[pytest.mark.soak] if rare else [])


@pytest.mark.parametrize(("row", "way"), cases())
def test_it_arrives(
    row: Row, way: str, sides: dict[str, Side], host: Machine, place: Path, archives: Path, programs: Path
) -> None:
    source, _, target = (sides.get(word) for word in way.partition(" to "))
    assert source is not None
    assert target is not None
    move = Move(source=source, target=target, host=host, directory=archives, row=row)
    try:
        there_and_on(move, {"{directory}": str(place), "{programs}": str(programs)})
    finally:
        for side in (source, target):
            host.do(lambda side=side: side("rm", "--force", "--all", "--time", "0"))
            if row.volume:
                side.attempt("volume", "rm", "--force", row.volume)
    assert host.links() == {"lo"}, "a bridge is left"


def there_and_on(move: Move, places: Mapping[str, str]) -> None:
    """Run, freeze, carry, wake, and look."""
    row, source, target = move.row, move.source, move.target
    create = list(row.create)
    for word, path in places.items():
        create = [item.replace(word, path) for item in create]
    move.on(
        source, "run", "-d", "--name", "mover", *source.create_flags, *create, "localhost/bb:1", *row.command
    )
    word, number = move.counted(source, "mover")
    row.prepare(move)
    archive = move.directory / f"c.{row.suffix}"
    codec = ("--compress", row.codec) if row.codec else ()
    move.said["checkpoint"] = move.on(
        source, "container", "checkpoint", "--export", archive, *codec, *row.checkpoint, "mover"
    )
    if not row.stays:
        move.on(source, "rm", "mover")
        if row.volume:
            move.on(source, "volume", "rm", row.volume)
    move.name = dict(zip(row.restore, row.restore[1:], strict=False)).get("--name", "mover")
    move.said["restore"] = move.on(target, "container", "restore", "--import", archive, *row.restore)
    deadline = time.monotonic() + 60
    pid = target.inspect(move.name)["State"]["Pid"]
    while (found := move.counted_by(pid))[1] <= number:
        assert time.monotonic() < deadline, f"the counter stands at {found}"
        time.sleep(0.05)
    assert found[0] == word, "the memory is another one"
    row.check(move)
