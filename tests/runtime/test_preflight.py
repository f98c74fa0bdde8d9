"""What is said before anything stops, and that nothing is touched to say it."""

from __future__ import annotations

import base64
import json
import os
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import libpod
from libpod.checkpoint.criu import find_criu
from libpod.checkpoint.criu_images import require_decoder
from libpod.checkpoint.fitness import Severity
from libpod.checkpoint.origin import origin_of
from libpod.linux import cpu, mounts
from libpod.linux.host import read_host_facts
from libpod.network.listeners import reserved  # noqa: F401 - what is asked for must exist
from tests.engines import COUNT, Engine, counts_on, last_count
from tests.runtime.moves import belongings, small_disk


@pytest.fixture
def holding(runtime, programs):
    """A function: a container that counts and holds something."""

    def start(what: str, **options: Any) -> Any:
        options = {"network": "none", "volumes": [f"{programs}:/mnt:ro"], **options}
        if isinstance(options["volumes"], list) and f"{programs}:/mnt:ro" not in options["volumes"]:
            options["volumes"].append(f"{programs}:/mnt:ro")
        container = runtime.run("bb:1", "/mnt/holder", what, **options)
        counts_on(container, 1)
        return container

    return start


def test_an_ordinary_container_is_fit_and_runs_on(runtime, holding, tmp_path):
    container = holding("nothing", volumes=["bag:/bag"])
    container.run("sh", "-c", "head -c 100000 /dev/zero > /bag/x; echo y > /new")
    pid = container.state().pid
    before = belongings(runtime)
    report = runtime.can_checkpoint(container, export=tmp_path / "c.tar")
    assert report.fit, [str(item) for item in report.findings]
    assert report.contents["volumes/bag.tar"] > 100_000
    assert report.contents["checkpoint"] > 0
    assert report.contents["rootfs-diff.tar"] > 0
    assert 0 < report.needed < report.free
    assert json.loads(json.dumps(report.to_document()))["fit"] is True
    assert os.listdir(tmp_path) == []
    assert belongings(runtime) == before
    assert container.state().pid == pid
    counts_on(container, last_count(container))
    # What was said comes true.
    runtime.checkpoint(container, export=tmp_path / "c.tar", leave_running=True)
    with tarfile.open(tmp_path / "c.tar") as archive:
        assert set(report.contents) <= {*archive.getnames(), "checkpoint"}


def test_one_that_does_not_run_is_not_fit(runtime):
    container = runtime.create("bb:1", "true", network="none")
    report = runtime.can_checkpoint(container)
    assert not report.fit
    assert "must be running" in report.obstacles[0].cause


def test_what_options_contradict_is_said(runtime, tmp_path):
    container = runtime.run("bb:1", "sh", "-c", COUNT, network="none", auto_remove=True)
    assert "removes itself" in runtime.can_checkpoint(container).obstacles[0].cause
    report = runtime.can_checkpoint(container, export=tmp_path / "nowhere" / "c.tar")
    assert "does not exist" in report.obstacles[0].cause
    container.remove(force=True, timeout=0)


OBSTACLES = {
    "tcp": ("established TCP connection", {"tcp_established": True}),
    "io_uring": ("io_uring", None),
    "ghost": ("deleted file /tmp/ghost", None),
    "traced": ("being traced", None),
    "perf": ("perf_event", None),
}


@pytest.mark.parametrize("what", OBSTACLES)
def test_what_criu_cannot_carry_is_seen_and_criu_says_the_same(runtime, holding, what):
    said, cure = OBSTACLES[what]
    options: dict[str, Any] = {"security_opt": ["seccomp=unconfined"]}
    if what == "perf":
        options["privileged"] = True
    try:
        container = holding(what, **options)
    except AssertionError:
        pytest.skip(f"kernel: it has no {what} here")
    report = runtime.can_checkpoint(container)
    assert [item for item in report.obstacles if said in item.cause], [str(item) for item in report.findings]
    with pytest.raises(libpod.CheckpointError):
        runtime.checkpoint(container)
    counts_on(container, last_count(container))
    if cure is not None:
        assert runtime.can_checkpoint(container, **cure).fit
        runtime.checkpoint(container, **cure)


def test_file_locks_are_seen(runtime, programs):
    options = {"network": "none", "volumes": [f"{programs}:/mnt:ro"]}
    container = runtime.run("bb:1", "/mnt/locker", **options)
    counts_on(container, 1)
    report = runtime.can_checkpoint(container)
    assert any("file locks" in item.cause and "/tmp/lock" in item.cause for item in report.obstacles)
    assert runtime.can_checkpoint(container, file_locks=True).fit


def test_a_process_of_another_user_is_seen_where_the_right_is_missing(runtime):
    container = runtime.run("bb:1", "sh", "-c", COUNT, network="none", user="someone")
    counts_on(container, 1)
    said = [item for item in runtime.can_checkpoint(container).obstacles if "CAP_SYS_RESOURCE" in item.cause]
    assert bool(said) is not read_host_facts().may_raise_limits


def test_exec_sessions_and_later_mounts_are_seen(runtime, tmp_path):
    container = runtime.run("bb:1", "sh", "-c", COUNT, network="none")
    counts_on(container, 1)
    handle = container.exec(libpod.ExecOptions(command=("sleep", "1000"), detach=True))
    report = runtime.can_checkpoint(container)
    losses = [item for item in report.findings if item.severity is Severity.LOSS]
    assert any("exec sessions end" in item.cause for item in losses)
    assert handle is not None


def test_too_little_space_is_seen(runtime, programs, short_tmp):
    options = {"network": "none", "volumes": [f"{programs}:/mnt:ro"]}
    container = runtime.run("bb:1", "/mnt/memory", "64", **options)
    counts_on(container, 1)
    with small_disk(short_tmp / "tiny", 2) as disk:
        report = runtime.can_checkpoint(container, export=disk / "c.tar")
        assert any("MiB are free" in item.cause for item in report.obstacles)
    assert report.contents["checkpoint"] > 60 << 20


# ---- archives -------------------------------------------------------------------------------------------------------


@pytest.fixture
def archive(runtime, tmp_path) -> Path:
    options = {"name": "traveller", "network": "none", "volumes": ["bag:/bag", f"{tmp_path}:/host"]}
    container = runtime.run("bb:1", "sh", "-c", COUNT, **options)
    counts_on(container, 1)
    runtime.checkpoint(container, export=tmp_path / "t.tar", leave_running=True)
    return tmp_path / "t.tar"


def test_a_host_that_can_wake_it_says_so_and_makes_nothing(archive, other_engine: Engine):
    with other_engine.runtime() as other:
        before = belongings(other)
        report = other.can_restore(archive)
        assert report.fit, [str(item) for item in report.findings]
        assert belongings(other) == before
        counts_on(other.restore(import_=archive), 1)


def test_everything_that_is_in_the_way_is_said_at_once(archive, runtime):
    said = "\n".join(item.cause for item in runtime.can_restore(archive).obstacles)
    assert "exists here already, under the name traveller" in said
    assert "volume bag exists already" in said
    report = runtime.can_restore(archive, name="another", ignore_volumes=True)
    assert report.fit, [str(item) for item in report.findings]
    said = "\n".join(item.cause for item in runtime.can_restore(archive, name="traveller").obstacles)
    assert "the name traveller is in use" in said


def test_a_missing_image_is_said(archive, empty_engine: Engine):
    with empty_engine.runtime() as other:
        report = other.can_restore(archive)
        assert any("localhost/bb:1" in item.cause for item in report.obstacles)


def test_a_file_that_is_no_archive_is_said(runtime, tmp_path):
    (tmp_path / "no.tar").write_bytes(b"no")
    assert not runtime.can_restore(tmp_path / "no.tar").fit
    assert not runtime.can_restore(tmp_path / "absent.tar").fit


def rewritten(archive: Path, target: Path, change: Any) -> Path:
    import io

    with tarfile.open(archive) as source, tarfile.open(target, "w", format=tarfile.PAX_FORMAT) as made:
        for member in source.getmembers():
            stream = source.extractfile(member)
            data = stream.read() if stream is not None else None
            if member.name in {"spec.dump", "config.dump"}:
                document = json.loads(data or b"")
                change(member.name, document)
                data = json.dumps(document).encode()
                member.size = len(data)
            made.addfile(member, io.BytesIO(data) if data is not None else None)
    return target


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("host.arch", "s390x", "made on s390x"),
        ("host.cpu", "avx9000 sse2", "lacks what the other had: avx9000"),
        ("cgroups.version", "v7", "cgroups v7"),
    ],
)
def test_another_kind_of_host_is_seen(archive, other_engine: Engine, tmp_path, key, value, said):
    def change(name: str, document: dict[str, Any]) -> None:
        if name == "spec.dump":
            document["annotations"][f"io.podman.annotations.checkpoint.{key}"] = value

    with other_engine.runtime() as other:
        report = other.can_restore(rewritten(archive, tmp_path / "other.tar", change))
        assert any(said in item.cause for item in report.obstacles), [str(item) for item in report.findings]


def test_criu_is_asked_about_the_processor(archive, other_engine: Engine, tmp_path):
    """Its own description travels with the archive; here it is changed into that of a processor that has more."""
    images = require_decoder(find_criu())

    def with_more(word: str) -> str:
        document = images.loads(base64.b64decode(word))
        document["entries"][0]["x86_entry"][0]["xfeatures_mask"] |= 1 << 20
        return base64.b64encode(images.dumps(document)).decode()

    def report_on(change_word: Callable[[str], str]) -> libpod.FitnessReport:
        def change(name: str, document: dict[str, Any]) -> None:
            if name == "spec.dump":
                key = "io.podman.annotations.checkpoint.host.cpuinfo"
                document["annotations"][key] = change_word(document["annotations"][key])

        with other_engine.runtime() as other:
            return other.can_restore(rewritten(archive, tmp_path / "other.tar", change))

    assert report_on(lambda word: word).fit
    causes = [item.cause for item in report_on(with_more).obstacles]
    assert causes == [
        "CRIU will not restore it on this processor (cpu: CPU xfeatures has unsupported bits (0x100000))"
    ]
    unreadable = report_on(lambda _: "no base64")
    assert unreadable.fit
    assert any("cannot be read" in item.cause for item in unreadable.findings)


def test_bind_sources_policy_networks_and_labels_are_looked_at(archive, other_engine: Engine, tmp_path):
    def change(name: str, document: dict[str, Any]) -> None:
        if name == "config.dump":
            document["newNetworks"] = {"elsewhere": {"interface_name": "eth0"}}
            document["ProcessLabel"] = "system_u:system_r:container_t:s0"
        else:
            document["mounts"].append({"type": "bind", "source": "/etc", "destination": "/x"})

    with other_engine.runtime() as other:
        report = other.can_restore(rewritten(archive, tmp_path / "other.tar", change))
    said = "\n".join(item.cause for item in report.obstacles)
    assert "/etc of this host" in said
    assert "no network elsewhere" in said
    if not read_host_facts().selinux:
        assert "SELinux" in said


def test_an_archive_says_where_it_was_made_and_the_container_forgets_it(archive, other_engine: Engine):
    with tarfile.open(archive) as source:
        stream = source.extractfile("spec.dump")
        assert stream is not None
        origin = origin_of(json.load(stream))
    host = read_host_facts()
    assert (origin.architecture, origin.kernel) == (host.architecture, host.kernel)
    assert origin.cpu == cpu.features()
    with other_engine.runtime() as other:
        twin = other.restore(import_=archive)
        assert origin_of(twin.config.spec).architecture == ""


def test_mount_information_of_another_process_is_what_the_report_reads():
    assert any(str(mount.target) == "/" for mount in mounts.read_mountinfo(os.getpid()))
