"""One more process in a running container."""

from __future__ import annotations

import pytest

import libpod
from libpod import ExecOptions
from tests.engines import until


@pytest.fixture
def container(runtime):
    return runtime.run("bb:1", "sleep", "1000", network="none", name="box", env={"FROM": "container"})


def test_streams_and_exit_code_come_back(container):
    result = container.run("sh", "-c", "echo out; echo err >&2; exit 3")
    assert (result.exit_code, result.stdout, result.stderr) == (3, b"out\n", b"err\n")


def test_input_reaches_the_process(container):
    payload = bytes(range(256)) * 4096
    assert container.run("cat", input=payload).stdout == payload


def test_environment_user_and_directory(container):
    script = "echo $FROM $EXTRA; id -u; id -G; pwd; echo $HOME"
    result = container.run("sh", "-c", script, env={"EXTRA": "exec"}, user="someone", workdir="/tmp")
    assert result.stdout.decode().split("\n")[:5] == [
        "container exec",
        "1000",
        "1000 2000",
        "/tmp",
        "/home/someone",
    ]


def test_a_missing_command_is_127(container):
    with pytest.raises(libpod.CommandNotFoundError) as caught:
        container.run("no-such-program")
    assert caught.value.exit_code == 127
    assert "box" in str(caught.value)


def test_a_missing_user_is_said_so(container):
    with pytest.raises(libpod.InvalidArgumentError, match="nobody-knows"):
        container.run("true", user="nobody-knows")


def test_it_needs_a_running_container(runtime):
    stopped = runtime.create("bb:1", "true", network="none", name="still")
    with pytest.raises(libpod.ContainerStateError, match=r"exec in container still.*must be running"):
        stopped.run("true")


def test_a_detached_process_goes_on_and_its_session_is_forgotten(container, runtime):
    with container.exec(
        ExecOptions(command=("sh", "-c", "sleep 0.2; echo done > /tmp/done"), detach=True)
    ) as handle:
        assert handle.id in container.inspect()["ExecIDs"]
    assert until(lambda: container.run("cat", "/tmp/done").stdout) == b"done\n"
    assert until(lambda: runtime._services.state.exec_sessions(container.id), lambda left: not left) == []


def test_a_terminal_has_a_size(container):
    options = ExecOptions(command=("stty", "size"), tty=True, size=(24, 100))
    with container.exec(options) as handle:
        output = b"".join(data for _, data in handle.process.stream)
        assert handle.wait(30) == 0
    assert output.strip() == b"24 100"


def test_sessions_end_with_their_container(container, runtime):
    handle = container.exec(ExecOptions(command=("sleep", "1000")))
    container.stop(timeout=0)
    assert handle.wait(30) == 137
    handle.close()
    until(container.status, lambda status: status is libpod.ContainerStatus.EXITED)
    assert runtime._services.state.exec_sessions(container.id) == []


def test_many_at_once(container):
    import concurrent.futures

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        results = list(pool.map(lambda number: container.run("echo", str(number)), range(16)))
    assert [result.stdout for result in results] == [f"{number}\n".encode() for number in range(16)]
