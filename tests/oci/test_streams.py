"""Attach, copy, detach, resize: with a real conmon and runtime."""

from __future__ import annotations

import io
import os
from pathlib import Path

import msgspec
import pytest

from libpod.define.errors import InvalidStateError, OciRuntimeError
from libpod.oci.attach import AttachStream, Stream
from libpod.oci.copying import Outcome, copy_attached
from tests.oci.bundles import Workshop

pytestmark = pytest.mark.root


def text_of(stream: AttachStream) -> dict[Stream, bytes]:
    out = {Stream.STDOUT: b"", Stream.STDERR: b""}
    for source, data in stream:
        out[source] += data
    return out


def test_a_client_between_create_and_start_sees_the_first_byte(shop: Workshop) -> None:
    bundle, launched = shop.create(["sh", "-c", "echo first; echo wrong >&2; exit 3"])
    with shop.runtime.attach(bundle) as stream:
        shop.runtime.start(bundle, launched)
        assert text_of(stream) == {Stream.STDOUT: b"first\n", Stream.STDERR: b"wrong\n"}
    assert shop.code(bundle, launched) == 3


def test_a_bundle_with_a_long_path_can_be_attached_to(shop: Workshop) -> None:
    directory = shop.base / ("long" * 20) / ("path" * 20) / "b"
    bundle, launched = shop.create(["echo", "hi"], bundle=shop.bundle(directory=directory))
    assert len(str(bundle.attach_socket)) > 107
    with shop.runtime.attach(bundle) as stream:
        shop.runtime.start(bundle, launched)
        assert text_of(stream)[Stream.STDOUT] == b"hi\n"


def test_a_megabyte_of_input_arrives_whole(shop: Workshop) -> None:
    bundle, launched = shop.create(["wc", "-c"], bundle=shop.bundle(stdin_open=True))
    out = io.BytesIO()
    with shop.runtime.attach(bundle) as stream:
        shop.runtime.start(bundle, launched)
        assert copy_attached(stream, stdin=io.BytesIO(b"x" * (1 << 20)), stdout=out) is Outcome.ENDED
    assert int(out.getvalue()) == 1 << 20


def test_input_from_a_pipe_ends_the_containers_input_when_it_ends(shop: Workshop) -> None:
    bundle, launched = shop.create(["cat"], bundle=shop.bundle(stdin_open=True))
    reading, writing = os.pipe()
    out = io.BytesIO()
    with shop.runtime.attach(bundle) as stream, open(reading, "rb") as source:
        shop.runtime.start(bundle, launched)
        os.write(writing, b"one\n")
        os.close(writing)
        copy_attached(stream, stdin=source, stdout=out)
    assert out.getvalue() == b"one\n"
    assert shop.code(bundle, launched) == 0


def test_copying_ends_with_the_container_although_input_is_still_open(shop: Workshop) -> None:
    bundle, launched = shop.create(["echo", "done"], bundle=shop.bundle(stdin_open=True))
    reading, writing = os.pipe()
    out = io.BytesIO()
    with shop.runtime.attach(bundle) as stream, open(reading, "rb") as source:
        shop.runtime.start(bundle, launched)
        assert copy_attached(stream, stdin=source, stdout=out) is Outcome.ENDED
    os.close(writing)
    assert out.getvalue() == b"done\n"


def test_a_client_that_does_not_read_is_let_go_and_stops_nothing(shop: Workshop) -> None:
    bundle, launched = shop.create(["sh", "-c", "yes | head -c 3000000"])
    stream = AttachStream.connect(bundle.attach_socket, "the container", buffer=100_000)
    with stream:
        shop.runtime.start(bundle, launched)
        assert shop.code(bundle, launched) == 0
        with pytest.raises(OciRuntimeError, match="not read"):
            text_of(stream)


def test_without_a_buffer_the_container_waits_for_the_client(shop: Workshop) -> None:
    bundle, launched = shop.create(["sh", "-c", "yes | head -c 3000000"])
    with shop.runtime.attach(bundle, buffer=None) as stream:
        shop.runtime.start(bundle, launched)
        assert shop.runtime.wait_exit(bundle, launched, 0.3) is None
        assert len(text_of(stream)[Stream.STDOUT]) == 3_000_000
    assert shop.code(bundle, launched) == 0


def test_nobody_serves_the_streams_of_an_ended_container(shop: Workshop) -> None:
    bundle, launched = shop.run(["true"])
    shop.code(bundle, launched)
    shop.runtime.remove_leftovers(bundle)
    with pytest.raises(InvalidStateError):
        shop.runtime.attach(bundle)


def test_a_size_set_before_start_is_the_first_that_the_program_sees(shop: Workshop) -> None:
    bundle, launched = shop.create(["stty", "size"], bundle=shop.bundle(terminal=True))
    with shop.runtime.attach(bundle) as stream:
        shop.runtime.resize(bundle, 33, 77)
        shop.runtime.start(bundle, launched)
        assert text_of(stream)[Stream.STDOUT] == b"33 77\r\n"


def test_of_many_sizes_the_last_one_counts(shop: Workshop) -> None:
    bundle, launched = shop.create(["sh", "-c", "read x; stty size"], bundle=shop.bundle(terminal=True))
    with shop.runtime.attach(bundle) as stream:
        shop.runtime.start(bundle, launched)
        for number in range(20, 26):
            shop.runtime.resize(bundle, number, 80)
        stream.send(b"\n")
        assert text_of(stream)[Stream.STDOUT].endswith(b"25 80\r\n")


def test_detach_keys_let_go_and_the_container_runs_on(shop: Workshop) -> None:
    bundle, launched = shop.create(["cat"], bundle=shop.bundle(terminal=True))
    ours, theirs = os.openpty()
    out = io.BytesIO()
    with (
        shop.runtime.attach(bundle) as stream,
        open(ours, "wb", buffering=0) as keyboard,
        open(theirs, "rb") as tty,
    ):
        import tty as terminals

        terminals.setraw(tty.fileno())
        shop.runtime.start(bundle, launched)
        keyboard.write(b"hello\r\x10\x11never")
        assert copy_attached(stream, stdin=tty, stdout=out) is Outcome.DETACHED
    assert launched.init.alive()
    with shop.runtime.attach(bundle) as second:
        second.send(b"again\n\x04")
        assert b"again" in text_of(second)[Stream.STDOUT]
    assert shop.code(bundle, launched) == 0


def test_two_clients_both_get_everything(shop: Workshop) -> None:
    bundle, launched = shop.create(["sh", "-c", "read x; seq 1 2000"], bundle=shop.bundle(stdin_open=True))
    with shop.runtime.attach(bundle) as one, shop.runtime.attach(bundle) as two:
        shop.runtime.start(bundle, launched)
        # conmon takes clients in their order, one at a time: once it has read from the second, both are its clients.
        two.send(b"\n")
        expected = b"".join(b"%d\n" % number for number in range(1, 2001))
        assert [text_of(one)[Stream.STDOUT], text_of(two)[Stream.STDOUT]] == [expected] * 2


def test_passthrough_gives_the_container_our_own_streams(
    shop: Workshop, capfd: pytest.CaptureFixture[str]
) -> None:
    bundle = msgspec.structs.replace(shop.bundle(), log_driver="passthrough", log_path=None)
    shop.made.append(bundle)
    bundle, launched = shop.run(["echo", "straight"], bundle=bundle)
    assert shop.code(bundle, launched) == 0
    assert capfd.readouterr().out == "straight\n"
    assert not Path(bundle.attach_socket).exists()


class Full(io.RawIOBase):
    """An output that takes nothing."""

    def write(self, data: object, /) -> int:
        raise BrokenPipeError("nobody reads")


def test_an_output_that_is_gone_ends_the_copying_although_nobody_takes_the_input(shop: Workshop) -> None:
    script = "sleep 0.2; echo x; sleep 1000"
    bundle, launched = shop.create(["sh", "-c", script], bundle=shop.bundle(stdin_open=True))
    with shop.runtime.attach(bundle) as stream, open("/dev/zero", "rb") as endless:
        shop.runtime.start(bundle, launched)
        with pytest.raises(BrokenPipeError):
            copy_attached(stream, stdin=endless, stdout=Full())
    assert launched.init.alive()
