"""More processes in a running container: with a real conmon and runtime."""

from __future__ import annotations

import io
import os
import secrets
import signal
import threading
import time
from collections.abc import Sequence
from typing import Any

import pytest

from libpod.define.errors import CommandNotExecutableError, CommandNotFoundError, InvalidStateError
from libpod.linux import pidfd
from libpod.oci import execution
from libpod.oci.base import Bundle, ExecRequest, Launched
from libpod.oci.copying import copy_exec
from tests.oci.bundles import PATIENCE, Workshop, process_document

pytestmark = pytest.mark.root


@pytest.fixture
def running(shop: Workshop) -> tuple[Bundle, Launched]:
    return shop.shell("sleep 1000")


@pytest.fixture
def bundle(running: tuple[Bundle, Launched]) -> Bundle:
    return running[0]


def request(bundle: Bundle, args: Sequence[str], **options: Any) -> ExecRequest:
    session = secrets.token_hex(32)
    process = process_document(args, terminal=options.get("terminal", False), **options.pop("process", {}))
    return ExecRequest(session_id=session, directory=bundle.run_dir / session, process=process, **options)


def shell(bundle: Bundle, script: str, **options: Any) -> ExecRequest:
    return request(bundle, ["sh", "-c", script], **options)


def test_output_and_exit_code_come_back(shop: Workshop, bundle: Bundle) -> None:
    asked = shell(bundle, "echo out; echo err >&2; exit 7")
    with shop.runtime.exec(bundle, asked) as process:
        assert process.communicate() == (7, b"out\n", b"err\n")
    assert not asked.directory.exists()


def test_the_documents_user_and_environment_hold(shop: Workshop, bundle: Bundle) -> None:
    changes = {"user": {"uid": 1000, "gid": 1000}, "env": ["PATH=/bin", "COLOUR=blue"], "cwd": "/tmp"}
    with shop.runtime.exec(bundle, shell(bundle, "id -u; echo $COLOUR; pwd", process=changes)) as process:
        assert process.communicate() == (0, b"1000\nblue\n/tmp\n", b"")


def test_a_megabyte_goes_in_and_out(shop: Workshop, bundle: Bundle) -> None:
    with shop.runtime.exec(bundle, request(bundle, ["cat"], stdin=True)) as process:
        code, out, _ = process.communicate(b"y" * (1 << 20))
    assert (code, len(out)) == (0, 1 << 20)


def test_without_input_the_process_reads_the_end_at_once(shop: Workshop, bundle: Bundle) -> None:
    with shop.runtime.exec(bundle, request(bundle, ["cat"])) as process:
        assert process.communicate() == (0, b"", b"")


def test_a_missing_command_is_127_and_leaves_nothing(shop: Workshop, bundle: Bundle) -> None:
    for options in ({}, {"detach": True}, {"terminal": True}):
        asked = request(bundle, ["no-such-command"], **options)
        with pytest.raises(CommandNotFoundError) as caught:
            shop.runtime.exec(bundle, asked)
        assert caught.value.exit_code == 127
        assert not asked.directory.exists()


def test_a_file_that_is_no_program_is_126(shop: Workshop, bundle: Bundle) -> None:
    with pytest.raises(CommandNotExecutableError):
        shop.runtime.exec(bundle, request(bundle, ["/etc/plain"]))


def test_a_detached_process_leaves_its_code_in_its_directory(shop: Workshop, bundle: Bundle) -> None:
    asked = shell(bundle, "exit 9", detach=True)
    with shop.runtime.exec(bundle, asked) as process:
        assert process.wait(PATIENCE) == 9
    assert not asked.directory.exists()


def test_a_detached_process_runs_on_when_its_starter_lets_go(shop: Workshop, bundle: Bundle) -> None:
    asked = shell(
        bundle, "trap 'exit 4' TERM; : > /tmp/trap-is-set; while :; do sleep 0.05; done", detach=True
    )
    with shop.runtime.exec(bundle, asked) as process:
        identity = process.process
    assert identity.alive()
    deadline = time.monotonic() + PATIENCE
    while not (shop.rootfs / "tmp/trap-is-set").exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert execution.exec_pid(asked.directory) == identity.pid
    execution.stop(identity, PATIENCE)
    while (code := execution.exit_code(asked.directory, bundle.id)) is None and time.monotonic() < deadline:
        time.sleep(0.01)
    assert code == 4
    execution.remove_session(asked.directory)


def test_a_terminal_has_its_size_from_the_first_moment(shop: Workshop, bundle: Bundle) -> None:
    asked = shell(bundle, "stty size; exit 5", terminal=True, stdin=True, size=(41, 99))
    out = io.BytesIO()
    with shop.runtime.exec(bundle, asked) as process:
        assert copy_exec(process, stdout=out) == 5
    assert out.getvalue() == b"41 99\r\n"
    assert not asked.directory.exists()


def test_a_terminal_takes_input(shop: Workshop, bundle: Bundle) -> None:
    asked = shell(bundle, "read line; echo got $line", terminal=True, stdin=True)
    with shop.runtime.exec(bundle, asked) as process:
        assert process.stream is not None
        process.stream.send(b"this\n")
        text = b"".join(data for _, data in process.stream)
        assert process.wait(PATIENCE) == 0
    assert text.endswith(b"got this\r\n")


def test_descriptors_can_be_handed_over(shop: Workshop, bundle: Bundle) -> None:
    reading, writing = os.pipe()
    with open(reading, "rb") as source:
        asked = shell(bundle, "echo direct", streams=(0, writing, writing))
        with shop.runtime.exec(bundle, asked) as process:
            os.close(writing)
            assert process.stdout is None
            assert process.wait(PATIENCE) == 0
        assert source.read() == b"direct\n"


@pytest.mark.parametrize("detach", [False, True])
def test_preserved_descriptors_are_3_and_4(shop: Workshop, bundle: Bundle, detach: bool) -> None:
    pipes = [os.pipe() for _ in range(2)]
    asked = shell(
        bundle,
        "echo three >&3; echo four >&4; exit 8",
        preserve_fds=tuple(writing for _, writing in pipes),
        detach=detach,
    )
    with shop.runtime.exec(bundle, asked) as process:
        assert process.wait(PATIENCE) == 8
    for reading, writing in pipes:
        os.close(writing)
        with open(reading, "rb") as source:
            assert source.read() in (b"three\n", b"four\n")


def test_children_in_the_background_do_not_keep_a_session(shop: Workshop, bundle: Bundle) -> None:
    with shop.runtime.exec(bundle, shell(bundle, "sleep 300 & echo started")) as process:
        assert process.communicate() == (0, b"started\n", b"")


def test_twenty_at_once(shop: Workshop, bundle: Bundle) -> None:
    results: dict[int, tuple[int | None, bytes, bytes]] = {}

    def one(number: int) -> None:
        with shop.runtime.exec(bundle, shell(bundle, f"echo {number}; exit {number}")) as process:
            results[number] = process.communicate()

    threads = [threading.Thread(target=one, args=(number,)) for number in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert results == {number: (number, b"%d\n" % number, b"") for number in range(20)}


class Full(io.RawIOBase):
    """An output that takes nothing."""

    def write(self, data: object, /) -> int:
        raise BrokenPipeError("nobody reads")


def test_an_output_that_is_gone_ends_the_process(shop: Workshop, bundle: Bundle) -> None:
    with pytest.raises(BrokenPipeError), open("/dev/zero", "rb") as endless:
        with shop.runtime.exec(bundle, shell(bundle, "echo x; sleep 1000", stdin=True)) as process:
            identity = process.process
            copy_exec(process, stdin=endless, stdout=Full())
    assert pidfd.wait_end(identity, PATIENCE)


def test_a_session_ends_with_its_container(shop: Workshop, running: tuple[Bundle, Launched]) -> None:
    bundle, launched = running
    with shop.runtime.exec(bundle, request(bundle, ["sleep", "1000"])) as process:
        shop.runtime.signal(bundle, launched.init, signal.SIGKILL)
        assert process.wait(PATIENCE) == 137


def test_leaving_a_followed_process_ends_it(shop: Workshop, bundle: Bundle) -> None:
    with shop.runtime.exec(bundle, request(bundle, ["sleep", "1000"])) as process:
        identity = process.process
    assert not identity.alive()


def test_a_session_whose_conmon_is_killed_has_no_code(shop: Workshop, bundle: Bundle) -> None:
    asked = request(bundle, ["sleep", "1000"], detach=True)
    with shop.runtime.exec(bundle, asked) as process:
        with open(f"/proc/{process.pid}/stat", "rb") as stat:
            conmon = int(stat.read().rpartition(b")")[2].split()[1])
        pidfd.send_signal(pidfd.ProcessIdentity.of(conmon), signal.SIGKILL)
        assert process.wait(0.2) is None
        assert process.process.alive()
        process.send_signal(signal.SIGKILL)
        assert process.wait(PATIENCE) == -1


def test_exec_is_refused_in_a_container_that_has_ended(
    shop: Workshop, running: tuple[Bundle, Launched]
) -> None:
    bundle, launched = running
    shop.runtime.signal(bundle, launched.init, signal.SIGKILL)
    shop.code(bundle, launched)
    with pytest.raises(InvalidStateError):
        shop.runtime.exec(bundle, request(bundle, ["true"]))


def test_exec_is_refused_in_a_paused_container(shop: Workshop, bundle: Bundle) -> None:
    shop.runtime.pause(bundle)
    with pytest.raises(InvalidStateError):
        shop.runtime.exec(bundle, request(bundle, ["true"]))
    shop.runtime.resume(bundle)
