"""Letting a created container go: what runc and crun wait for, played by small programs."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from libpod.define.errors import InvalidStateError, OciRuntimeError
from libpod.linux.pidfd import ProcessIdentity
from libpod.oci.base import Bundle, Launched
from libpod.oci.programs import Programs
from libpod.oci.starting import start
from libpod.oci.state_files import read_state

pytestmark = pytest.mark.processes


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    (tmp_path / "rt" / "ctr").mkdir(parents=True)
    made = Bundle(
        id="ctr",
        name="web",
        directory=tmp_path,
        run_dir=tmp_path,
        exit_dir=tmp_path,
        persist_dir=tmp_path,
        cgroups_enabled=False,
        runtime_flags=(f"root={tmp_path}/rt",),
    )
    os.mkfifo(tmp_path / "rt/ctr/exec.fifo")
    made.config_file.write_text("{}")
    return made


def programs(tmp_path: Path, name: str) -> Programs:
    """A runtime whose `start` says that it was called."""
    path = tmp_path / name
    path.write_text(
        f'#!/bin/sh\n: > {tmp_path}/called\necho \'{{"level":"error","msg":"odd"}}\' >&2\nexit 1\n'
    )
    path.chmod(0o755)
    return Programs(
        conmon=Path("/bin/true"), runtime=path, runtime_name=name, environment={"PATH": "/usr/bin:/bin"}
    )


def launched(child: subprocess.Popen[bytes]) -> Launched:
    return Launched(init=ProcessIdentity.of(child.pid), conmon=ProcessIdentity(0, 0))


def write_state(bundle: Bundle, name: str, init: ProcessIdentity) -> Path:
    directory = bundle.directory / "rt/ctr"
    if name == "runc":
        document = {
            "init_process_pid": init.pid,
            "init_process_start": init.start_time,
            "config": {"labels": ["bundle=/b"]},
        }
        (directory / "state.json").write_text(json.dumps(document))
    else:
        (directory / "status").write_text(
            json.dumps({"pid": init.pid, "process-start-time": init.start_time, "bundle": "/b"})
        )
    return directory / "exec.fifo"


@pytest.fixture
def init(bundle: Bundle, request: pytest.FixtureRequest) -> Iterator[subprocess.Popen[bytes]]:
    """A process that waits as the runtime's init does, and then prints `go`."""
    fifo = bundle.directory / "rt/ctr/exec.fifo"
    script = {"runc": f"printf 0 > {fifo}; echo go", "crun": f"head -c 1 < {fifo} >/dev/null; echo go"}
    with subprocess.Popen(["sh", "-c", script[request.param]], stdout=subprocess.PIPE) as child:
        yield child
        child.kill()


@pytest.mark.parametrize("init", ["runc"], indirect=True)
def test_runc_is_let_go_through_its_fifo(
    bundle: Bundle, tmp_path: Path, init: subprocess.Popen[bytes]
) -> None:
    fifo = write_state(bundle, "runc", launched(init).init)
    start(programs(tmp_path, "runc"), bundle, launched(init))
    assert init.stdout is not None
    assert init.stdout.readline() == b"go\n"
    assert not fifo.exists()
    assert not (tmp_path / "called").exists()


@pytest.mark.parametrize("init", ["crun"], indirect=True)
def test_crun_is_let_go_through_its_fifo(
    bundle: Bundle, tmp_path: Path, init: subprocess.Popen[bytes]
) -> None:
    fifo = write_state(bundle, "crun", launched(init).init)
    # It opens the FIFO in its own time; before that nobody reads, and the command is asked (and fails here).
    deadline = time.monotonic() + 60
    while fifo.exists() and time.monotonic() < deadline:
        with contextlib.suppress(OciRuntimeError):
            start(programs(tmp_path, "crun"), bundle, launched(init))
    assert init.stdout is not None
    assert init.stdout.readline() == b"go\n"
    assert not fifo.exists()


@pytest.mark.parametrize("init", ["runc"], indirect=True)
@pytest.mark.parametrize("surprise", ["no state", "another pid", "another start time", "no fifo", "damaged"])
def test_any_surprise_goes_through_the_command(
    bundle: Bundle, tmp_path: Path, init: subprocess.Popen[bytes], surprise: str
) -> None:
    identity = launched(init).init
    if surprise == "another pid":
        write_state(bundle, "runc", msgspec.structs.replace(identity, pid=identity.pid + 1))
    elif surprise == "another start time":
        write_state(bundle, "runc", msgspec.structs.replace(identity, start_time=1))
    elif surprise == "damaged":
        (bundle.directory / "rt/ctr/state.json").write_text("{")
    elif surprise == "no fifo":
        write_state(bundle, "runc", identity).unlink()
    with pytest.raises(OciRuntimeError, match="odd"):
        start(programs(tmp_path, "runc"), bundle, launched(init))
    assert (tmp_path / "called").exists()


@pytest.mark.parametrize("init", ["runc"], indirect=True)
def test_a_process_that_is_gone_cannot_be_started(
    bundle: Bundle, tmp_path: Path, init: subprocess.Popen[bytes]
) -> None:
    these = launched(init)
    write_state(bundle, "runc", these.init)
    init.kill()
    init.wait()
    with pytest.raises(InvalidStateError):
        start(programs(tmp_path, "runc"), bundle, these)


@pytest.mark.parametrize("init", ["crun"], indirect=True)
def test_crun_with_hooks_after_the_start_is_asked_itself(
    bundle: Bundle, tmp_path: Path, init: subprocess.Popen[bytes]
) -> None:
    fifo = write_state(bundle, "crun", launched(init).init)
    bundle.config_file.write_text('{"hooks": {"poststart": []}}')
    with pytest.raises(OciRuntimeError):
        start(programs(tmp_path, "crun"), bundle, launched(init))
    assert fifo.exists()


@pytest.mark.parametrize("name", ["runc", "crun"])
def test_both_notes_are_understood(bundle: Bundle, name: str) -> None:
    identity = ProcessIdentity(12, 345)
    write_state(bundle, name, identity)
    state = read_state(bundle.directory / "rt/ctr")
    assert state is not None
    assert (state.kind, state.init, state.bundle, state.started) == (name, identity, "/b", False)
