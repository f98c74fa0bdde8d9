"""The command does what podman's does, with real containers."""

from __future__ import annotations

import json
import os
import re
import signal
from pathlib import Path

import pytest

from tests.cli.command import Command
from tests.engines import COUNT, until

pytestmark = [pytest.mark.root, pytest.mark.slow]

RUN = ("run", "--network", "none")
LINGER = "trap 'exit 0' TERM; while :; do sleep 0.1; done"


def linger(cli: Command, name: str, *options: str) -> str:
    """A container that runs until it is asked to end; returns its id."""
    return cli(*RUN, "-d", "--name", name, *options, "bb:1", "sh", "-c", LINGER)


def attached_to(cli: Command, ctr_id: str, times: int = 1) -> None:
    """Wait until somebody has connected to the container's streams so many times."""
    words = ("events", "--stream=false", "--filter", f"container={ctr_id}", "--filter", "event=attach")
    assert until(lambda: len(cli(*words).splitlines()) >= times)


# ---- exit codes -------------------------------------------------------------------------------------------------


def test_run_ends_with_the_commands_own_code_and_shows_its_streams(cli: Command) -> None:
    done = cli.run(*RUN, "--rm", "bb:1", "sh", "-c", "echo out; echo err >&2; exit 7")
    assert (done.returncode, done.stdout, done.stderr) == (7, "out\n", "err\n")
    assert cli("ps", "-aq") == ""


def test_a_killed_command_gives_128_and_the_signal(cli: Command) -> None:
    assert cli.run(*RUN, "--rm", "bb:1", "sh", "-c", "kill -9 $$").returncode in (0, 137)
    assert cli.run(*RUN, "--rm", "bb:1", "sh", "-c", "sh -c 'kill -9 $$'; exit $?").returncode == 137


def test_a_command_that_is_not_there_gives_127_and_one_that_cannot_run_126(cli: Command) -> None:
    assert "nosuch" in cli.fails(*RUN, "--rm", "bb:1", "nosuch", code=127)
    assert "/etc" in cli.fails(*RUN, "--rm", "bb:1", "/etc", code=126)
    assert cli("ps", "-aq") == ""


def test_errors_of_the_engine_give_125_and_one_line(cli: Command) -> None:
    assert "unknown flag: --nosuch" in cli.fails("run", "--nosuch", "bb:1")
    assert "at least 1 argument" in cli.fails("run")
    assert "nosuchimage" in cli.fails("run", "--pull", "never", "nosuchimage:1", "true")
    assert "nosuch" in cli.fails("start", "nosuch")
    assert 'there is no command "libpod nosuch"' in cli.fails("nosuch")
    assert "log level" in cli.fails("--log-level", "loud", "ps")


def test_exec_start_attach_and_wait_give_the_containers_code(cli: Command) -> None:
    ctr_id = linger(cli, "c")
    assert cli.run("exec", "c", "sh", "-c", "exit 9").returncode == 9
    cli.fails("exec", "c", "nosuch", code=127)
    cli("create", "--network", "none", "--name", "once", "bb:1", "sh", "-c", "echo once; exit 4")
    done = cli.run("start", "-a", "once")
    assert (done.returncode, done.stdout) == (4, "once\n")
    cli.fails("exec", "once", "true", code=255)
    assert cli("wait", "once") == "4"
    with cli.started("attach", "--no-stdin", "c") as attached:
        attached_to(cli, ctr_id)
        cli("stop", "-t", "10", "c")
        assert attached.wait(timeout=60) == 0


def test_rm_and_its_like_tell_scripts_what_is_wrong(cli: Command) -> None:
    cli.fails("rm", "nosuch", code=1)
    cli("rm", "-f", "nosuch")
    cli("rm", "-i", "nosuch")
    linger(cli, "c", "-v", "v:/v")
    cli.fails("rm", "c", code=2)
    cli.fails("volume", "rm", "v", code=2)
    cli.fails("volume", "rm", "nosuch", code=1)
    cli.fails("rmi", "bb:1", code=2)
    cli.fails("rmi", "nosuch:1", code=1)
    assert cli.run("container", "exists", "c").returncode == 0
    assert cli.run("container", "exists", "nosuch").returncode == 1
    assert cli.run("image", "exists", "bb:1").returncode == 0
    assert cli.run("image", "exists", "nosuch:1").returncode == 1
    assert cli.run("volume", "exists", "v").returncode == 0
    assert cli.run("volume", "exists", "nosuch").returncode == 1


def test_an_error_does_not_stop_the_others(cli: Command) -> None:
    linger(cli, "a")
    done = cli.run("stop", "-t", "10", "nosuch", "a")
    assert (done.returncode, done.stdout) == (125, "a\n")
    assert done.stderr.count("Error: ") == 1


# ---- run and its flags -----------------------------------------------------------------------------------------


def test_flags_reach_the_container(cli: Command, tmp_path: Path) -> None:
    (tmp_path / "env").write_text("FROM_FILE=f\n")
    (tmp_path / "data").mkdir()
    (tmp_path / "data/file").write_text("shared\n")
    script = (
        'echo $A $FROM_FILE; pwd; id -u; hostname; cat /data/file; cat /proc/self/limits | grep "open files"'
    )
    shown = cli(
        *RUN, "--rm", "-e", "A=1", "--env-file", str(tmp_path / "env"), "-w", "/tmp", "-u", "1000:1000",
        "--hostname", "inside", "-v", f"{tmp_path}/data:/data:ro", "--ulimit", "nofile=64:64", "--cap-drop", "all",
        "--read-only", "--tmpfs", "/scratch", "--shm-size", "1m", "--stop-signal", "INT", "--entrypoint", "sh",
        "bb:1", "-c", script,
    ).splitlines()  # fmt: skip
    assert shown[:5] == ["1 f", "/tmp", "1000", "inside", "shared"]
    assert re.search(r"64 +64", shown[5])


def test_an_empty_entrypoint_and_a_json_one(cli: Command) -> None:
    assert cli(*RUN, "--rm", "--entrypoint", '["echo", "one"]', "bb:1", "two") == "one two"
    assert cli(*RUN, "--rm", "--entrypoint", "", "bb:1", "echo", "plain") == "plain"


def test_input_is_passed_on_only_when_it_is_wanted(cli: Command) -> None:
    assert cli(*RUN, "-i", "--rm", "bb:1", "cat", stdin="a\nb\n") == "a\nb"
    assert cli(*RUN, "--rm", "bb:1", "cat", stdin="a\nb\n") == ""
    linger(cli, "c")
    assert cli("exec", "-i", "c", "wc", "-l", stdin="1\n2\n3\n").strip() == "3"
    assert cli("exec", "c", "cat", stdin="x") == ""


def test_much_output_arrives_whole(cli: Command) -> None:
    command = "head -c 3000000 /dev/zero | tr '\\0' x; echo; echo end"
    shown = cli(*RUN, "--rm", "bb:1", "sh", "-c", command)
    assert shown == "x" * 3000000 + "\nend"
    linger(cli, "c")
    assert cli("exec", "c", "sh", "-c", command) == shown


def test_a_slow_reader_slows_the_container_and_loses_nothing(cli: Command) -> None:
    amount = 40_000_000  # more than anybody buffers
    with cli.started(
        *RUN, "--rm", "--log-driver", "none", "bb:1", "head", "-c", str(amount), "/dev/zero"
    ) as process:
        assert process.stdout is not None
        assert until(lambda: cli("ps", "-q"))
        total = 0
        while data := os.read(process.stdout.fileno(), 1 << 16):
            total += len(data)
        assert process.wait(timeout=60) == 0
    assert total == amount


def test_cidfile_and_replace(cli: Command, tmp_path: Path) -> None:
    file = tmp_path / "cid"
    first = linger(cli, "c", "--cidfile", str(file))
    assert file.read_text() == first
    assert "exists already" in cli.fails(*RUN, "--cidfile", str(file), "bb:1", "true")
    second = linger(cli, "c", "--replace")
    assert second != first
    assert cli("ps", "-aq", "--no-trunc") == second
    file.write_text(second)
    cli("rm", "-f", "-t", "0", "--cidfile", str(file))
    assert cli("ps", "-aq") == ""


def test_signals_are_handed_on(cli: Command) -> None:
    script = "trap 'echo got it; exit 3' USR1; echo ready; while :; do sleep 0.1; done"
    with cli.started(*RUN, "--name", "c", "bb:1", "sh", "-c", script) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGUSR1)
        assert process.stdout.readline() == "got it\n"
        assert process.wait(timeout=60) == 3


# ---- terminals ---------------------------------------------------------------------------------------------------


def test_run_it_gives_the_container_a_terminal(cli: Command) -> None:
    with cli.on_terminal(*RUN, "-it", "--rm", "bb:1", "sh") as terminal:
        terminal.wait_for("#")
        terminal.type("tty; echo $((6 * 7))\n")
        assert "/dev/pts/" in terminal.wait_for("42")
        terminal.type("exit 5\n")
        assert terminal.exit_code() == 5
    assert cli("ps", "-aq") == ""


def test_the_terminal_has_the_callers_size(cli: Command) -> None:
    import fcntl
    import struct
    import termios

    with cli.on_terminal(*RUN, "-it", "--rm", "bb:1", "sh") as terminal:
        terminal.wait_for("#")
        fcntl.ioctl(terminal.master, termios.TIOCSWINSZ, struct.pack("HHHH", 33, 77, 0, 0))
        os.kill(terminal.pid, signal.SIGWINCH)
        terminal.type("until stty size | grep '33 77'; do sleep 0.1; done; echo d''one\n")
        terminal.wait_for("done")
        terminal.type("exit\n")
        assert terminal.exit_code() == 0


def test_the_detach_keys_leave_it_running_and_attach_comes_back(cli: Command) -> None:
    with cli.on_terminal(*RUN, "-it", "--name", "c", "bb:1", "sh") as terminal:
        terminal.wait_for("#")
        terminal.type("\x10\x11")  # ctrl-p ctrl-q
        assert terminal.exit_code() == 0
    assert cli("ps", "--format", "{{.Names}} {{.State}}") == "c running"
    ctr_id = cli("ps", "-q", "--no-trunc")
    with cli.on_terminal("attach", "c") as terminal:
        attached_to(cli, ctr_id, times=2)
        terminal.type("echo $((6 * 7))\n")
        terminal.wait_for("42")
        terminal.type("exit 6\n")
        assert terminal.exit_code() == 6


def test_exec_it_has_a_terminal_of_its_own(cli: Command) -> None:
    linger(cli, "c")
    with cli.on_terminal("exec", "-it", "c", "sh") as terminal:
        terminal.wait_for("#")
        terminal.type("tty && exit 8\n")
        terminal.wait_for("/dev/pts/")
        assert terminal.exit_code() == 8


# ---- looking -----------------------------------------------------------------------------------------------------


def test_ps_shows_chooses_and_formats(cli: Command) -> None:
    first = linger(cli, "one", "-l", "color=red")
    cli(*RUN, "--name", "two", "-l", "color=blue", "bb:1", "sh", "-c", "exit 3", code=3)
    table = cli("ps", "-a").splitlines()
    assert table[0].split("  ")[0] == "CONTAINER ID"
    assert re.match(rf"{first[:12]}  localhost/bb:1 +sh -c trap 'exit 0'\.\.\.|{first[:12]}", table[1])
    assert "Up " in table[1]
    assert "Exited (3)" in table[2]
    assert cli("ps", "-q") == first[:12]
    assert cli("ps", "-q", "--no-trunc") == first
    assert cli("ps", "-a", "--format", "{{.Names}}", "--filter", "label=color=blue") == "two"
    assert cli("ps", "-a", "--format", "{{.Names}}", "--filter", "label!=color=blue") == "one"
    assert cli("ps", "--format", "{{.Names}}", "--filter", "status=exited") == "two"
    assert cli("ps", "-a", "--format", "{{.Names}}", "--filter", "exited=3", "--filter", "name=t") == "two"
    assert cli("ps", "-a", "--format", "{{.Names}}", "--filter", f"id={first[:6]}") == "one"
    assert cli("ps", "-a", "--format", "{{.Names}}", "--filter", "ancestor=bb:1").split() == ["one", "two"]
    assert cli("ps", "-a", "--format", "{{.Names}}", "--filter", "before=two") == "one"
    assert cli("ps", "-l", "--format", "{{.Names}}") == "two"
    assert cli("ps", "-n", "2", "--format", "{{.Names}}").split() == ["two", "one"]
    assert cli("ps", "-a", "--sort", "names", "--noheading").splitlines()[0].endswith("one")
    assert cli("ps", "--format", '{{.Label "color"}} {{.Labels}}') == "red map[color:red]"
    assert cli("ps", "--format", "table {{.Names}} {{.State}}") == "NAMES       STATE\none         running"
    assert [item["Names"] for item in json.loads(cli("ps", "-a", "--format", "json"))] == [["one"], ["two"]]
    assert "(virtual " in cli("ps", "-s")
    assert "filter" in cli.fails("ps", "--filter", "nosuch=x")
    assert "no field Nosuch" in cli.fails("ps", "--format", "{{.Nosuch}}")


def test_inspect_shows_any_object(cli: Command) -> None:
    ctr_id = linger(cli, "c", "-l", "a=b", "-v", "v:/v")
    assert (
        cli("inspect", "c", "-f", '{{.State.Status}} {{.Id}} {{index .Config.Labels "a"}}')
        == f"running {ctr_id} b"
    )
    assert cli("inspect", "--format", "{{json .State.Running}}", "c", "c") == "true\ntrue"
    assert json.loads(cli("inspect", "bb:1"))[0]["RepoTags"] == ["localhost/bb:1"]
    assert json.loads(cli("volume", "inspect", "v"))[0]["Name"] == "v"
    assert json.loads(cli("inspect", "v"))[0]["Mountpoint"].endswith("/_data")
    assert json.loads(cli("container", "inspect", "-l"))[0]["Name"] == "c"
    done = cli.run("inspect", "nosuch", "c")
    assert done.returncode == 125
    assert [item["Name"] for item in json.loads(done.stdout)] == ["c"]


def test_logs_are_shown_tailed_stamped_and_followed(cli: Command) -> None:
    cli(
        *RUN, "--name", "c", "bb:1", "sh", "-c", "for i in 1 2 3; do echo $i; done; echo bad >&2; printf open"
    )
    done = cli.run("logs", "c")
    assert (done.stdout, done.stderr) == ("1\n2\n3\nopen", "bad\n")
    assert cli("logs", "--tail", "0", "c") == ""
    assert re.match(r"2\d{3}-\d\d-\d\dT\S+ 1\n", cli("logs", "-t", "c"))
    assert cli("logs", "--names", "c").startswith("c 1\n")
    assert cli("logs", "--since", "10m", "c").startswith("1\n")
    assert cli("logs", "--until", "10m", "c") == ""
    cli("rm", "c")
    cli(
        *RUN,
        "-d",
        "--name",
        "c",
        "bb:1",
        "sh",
        "-c",
        "echo begin; while [ ! -e /go ]; do sleep 0.1; done; echo end",
    )
    with cli.started("logs", "-f", "c") as following:
        assert following.stdout is not None
        assert following.stdout.readline() == "begin\n"
        cli("exec", "c", "touch", "/go")
        assert following.stdout.readline() == "end\n"
        assert following.wait(timeout=60) == 0
    assert cli("logs", "--tail", "1", "c") == "end"


def test_top_stats_diff_port_and_events(cli: Command) -> None:
    ctr_id = linger(cli, "c")
    table = cli("top", "c").splitlines()
    assert table[0].split() == ["USER", "PID", "PPID", "%CPU", "ELAPSED", "TTY", "TIME", "COMMAND"]
    assert table[1].split()[:3] == ["root", "1", "0"]
    assert "trap 'exit 0'" in table[1]
    assert cli("top", "c", "pid", "comm").splitlines()[1].split() == ["1", "sh"]
    assert cli("stats", "--no-stream", "--format", "{{.Name}} {{.PIDs}}", "c").split()[0] == "c"
    assert json.loads(cli("stats", "--no-stream", "--format", "json"))[0]["name"] == "c"
    cli("exec", "c", "sh", "-c", "echo x > /new; rm /etc/image-file")
    assert {"A /new", "D /etc/image-file", "C /etc"} <= set(cli("diff", "c").splitlines())
    assert "/new" in json.loads(cli("diff", "--format", "json", "c"))["added"]
    assert cli("port", "c") == ""
    shown = cli(
        "events", "--stream=false", "--filter", f"container={ctr_id}", "--format", "{{.Status}}"
    ).split()
    assert shown[:3] == ["create", "init", "start"]
    assert json.loads(cli("events", "--stream=false", "--format", "json").splitlines()[-1])["Type"]
    assert " container start " in cli("events", "--stream=false", "--filter", "event=start")


def test_events_are_followed(cli: Command) -> None:
    with cli.started("events", "--filter", "type=volume", "--format", "{{.Name}} {{.Status}}") as following:
        assert following.stdout is not None
        # From now on means from its start: make volumes until it has seen one.
        number = 0
        while not _readable(following.stdout.fileno()):
            number += 1
            assert number < 300
            cli("volume", "create", f"seen-{number}")
        assert re.fullmatch(r"seen-\d+ create\n", following.stdout.readline())
    cli("volume", "prune", "-f")


def _readable(descriptor: int) -> bool:
    import select

    return bool(select.select([descriptor], [], [], 0.2)[0])


def test_version_and_info(cli: Command) -> None:
    import libpod

    assert cli("--version") == f"libpod version {libpod.__version__}"
    assert cli("version", "--format", "{{.Client.Version}}") == libpod.__version__
    assert json.loads(cli("version", "--format", "json"))["Client"]["Os"] == "linux"
    assert cli("info", "--format", "{{.store.graphDriverName}}") == "overlay"
    assert "graphDriverName: overlay" in cli("info")


# ---- changing -----------------------------------------------------------------------------------------------------


def test_the_life_of_a_container_by_hand(cli: Command) -> None:
    name = "c"
    cli("create", "--network", "none", "--name", name, "bb:1", "sh", "-c", LINGER)
    assert status(cli, name) == "created"
    for verb, state in (
        ("init", "initialized"),
        ("start", "running"),
        ("pause", "paused"),
        ("unpause", "running"),
    ):
        assert cli(verb, name) == name
        assert status(cli, name) == state
    assert cli("start", name) == name  # podman: starting what runs is no error
    assert cli("restart", "-t", "10", name) == name
    assert cli("kill", name) == name
    assert cli("wait", name) == "137"
    assert status(cli, name) in ("stopped", "exited")  # until conmon's clean-up is over
    cli("rename", name, "d")
    assert cli("start", "d") == "d"
    assert cli("stop", "--time", "10", "-a") == cli("ps", "-aq", "--no-trunc")
    cli("container", "cleanup", "-a")
    assert cli("container", "prune", "-f") != ""
    assert cli("ps", "-aq") == ""


def status(cli: Command, name: str) -> str:
    return cli("inspect", name, "--format", "{{.State.Status}}")


def test_limits_are_changed(cli: Command) -> None:
    linger(cli, "c", "--memory", "128m")
    cli("update", "--memory", "64m", "--memory-swap", "128m", "--pids-limit", "50", "c")
    assert cli("stats", "--no-stream", "--format", "{{.MemUsage}}", "c").endswith("/ 67.11MB")
    assert "at least one limit" in cli.fails("update", "c")


def test_volumes_by_hand(cli: Command) -> None:
    assert cli("volume", "create", "-l", "a=b", "v") == "v"
    assert "already" in cli.fails("volume", "create", "v")
    assert cli("volume", "create", "--ignore", "v") == "v"
    assert cli("volume", "ls") == "DRIVER      VOLUME NAME\nlocal       v"
    assert cli("volume", "ls", "-q", "--filter", "label=a") == "v"
    assert cli("volume", "ls", "-q", "--filter", "dangling=false") == ""
    assert cli("volume", "ls", "--format", "{{.Name}}:{{.Driver}}") == "v:local"
    cli(*RUN, "--rm", "-v", "v:/v", "bb:1", "sh", "-c", "echo kept > /v/file")
    assert cli(*RUN, "--rm", "-v", "v:/v", "bb:1", "cat", "/v/file") == "kept"
    assert cli("volume", "rm", "v") == "v"
    assert cli("volume", "ls", "-q") == ""


def test_files_are_mounted_and_exported(cli: Command, tmp_path: Path) -> None:
    linger(cli, "c")
    place = Path(cli("mount", "c"))
    assert (place / "etc/image-file").read_text() == "from the image\n"
    assert str(place) in cli("mount")
    assert cli("unmount", "c") == "c"
    tar = tmp_path / "c.tar"
    cli("export", "-o", str(tar), "c")
    assert cli("import", str(tar), "again:1").startswith("sha256:")
    assert cli(*RUN, "--rm", "again:1", "/bin/busybox", "cat", "/etc/image-file") == "from the image"
    assert cli("rmi", "again:1").startswith("Untagged: localhost/again:1\nDeleted: ")


def test_images_by_hand(cli: Command, tmp_path: Path) -> None:
    image_id = cli("inspect", "bb:1", "-f", "{{.Id}}")
    table = cli("images").splitlines()
    assert re.fullmatch(r"REPOSITORY +TAG +IMAGE ID +CREATED +SIZE", table[0])
    assert re.match(rf"localhost/bb +1 +{image_id[:12]} +.* ago +[\d.]+ MB", table[1])
    assert cli("images", "-q") == image_id[:12]
    assert cli("images", "--format", "{{.Repository}}:{{.Tag}}") == "localhost/bb:1"
    assert json.loads(cli("images", "--format", "json"))[0]["Id"] == image_id
    cli("tag", "bb:1", "other:2")
    assert cli("images", "--noheading", "--sort", "repository").splitlines()[1].startswith("localhost/other")
    archive = tmp_path / "image.tar"
    cli("save", "-o", str(archive), "other:2")
    assert cli("rmi", "other:2") == "Untagged: localhost/other:2"
    assert cli("load", "-i", str(archive)) == "Loaded image: localhost/other:2"
    cli("untag", "other:2", "other:2")
    assert "ADD file:" in cli("history", "--no-trunc", "bb:1")
    assert json.loads(cli("history", "--format", "json", "bb:1"))[0]["id"] == image_id


def test_a_container_becomes_an_image(cli: Command) -> None:
    linger(cli, "c", "-e", "A=1", "-w", "/tmp")
    cli("exec", "c", "sh", "-c", "echo changed > /made")
    image_id = cli("commit", "-m", "a remark", "-c", "CMD cat /made", "-c", "ENV B=2", "c", "made:1")
    assert status(cli, "c") == "running"
    assert cli(*RUN, "--rm", "made:1") == "changed"
    assert cli(*RUN, "--rm", "made:1", "sh", "-c", "echo $A$B; pwd") == "12\n/tmp"
    assert json.loads(cli("inspect", image_id))[0]["Config"].get("Env")
    whole = cli("commit", "--squash", "c", "whole:1")
    assert len(json.loads(cli("inspect", whole))[0]["RootFS"]["Layers"]) == 1
    assert cli("image", "prune", "-f") == ""
    cli("rmi", "made:1", "whole:1")


# ---- moving -------------------------------------------------------------------------------------------------------


@pytest.mark.criu
def test_a_container_moves_to_another_host_by_four_commands(
    cli: Command, other_cli: Command, tmp_path: Path
) -> None:
    archive = str(tmp_path / "c.tar.gz")
    cli(*RUN, "-d", "--name", "c", "bb:1", "sh", "-c", COUNT)
    until(lambda: count(cli, "c") > 3)
    assert cli("container", "checkpoint", "-e", archive, "c") == "c"
    stopped = count(cli, "c")
    assert cli("rm", "c") == "c"
    restored = other_cli("container", "restore", "-i", archive)
    assert re.fullmatch("[0-9a-f]{64}", restored)
    assert until(lambda: count(other_cli, "c"), lambda found: found > stopped) > stopped
    numbers = [int(line) for line in other_cli("logs", "c").split()]
    assert numbers == list(range(1, len(numbers) + 1))
    twin = other_cli("restore", "-i", archive, "-n", "twin")
    assert twin != restored
    assert other_cli("ps", "--format", "{{.Names}}").split() == ["c", "twin"]
    assert "already" in other_cli.fails("restore", "-i", archive)


def count(cli: Command, name: str) -> int:
    """The last number that a counting container has logged."""
    return int((cli("logs", "--tail", "1", name).split() or ["0"])[-1])


@pytest.mark.criu
def test_a_container_is_frozen_and_woken_in_place_with_statistics(cli: Command, tmp_path: Path) -> None:
    cli(*RUN, "-d", "--name", "c", "bb:1", "sh", "-c", COUNT)
    until(lambda: count(cli, "c") > 3)
    report = json.loads(cli("checkpoint", "--print-stats", "-a"))
    assert report["podman_checkpoint_duration"] > 0
    assert report["container_statistics"][0]["criu_statistics"]["pages_written"] > 0
    assert status(cli, "c") == "exited"
    stopped = count(cli, "c")
    report = json.loads(cli("restore", "--print-stats", "-l"))
    assert report["container_statistics"][0]["runtime_restore_duration"] > 0
    assert until(lambda: count(cli, "c"), lambda found: found > stopped) > stopped
    archive = tmp_path / "c.tar.zst"
    assert cli("checkpoint", "-R", "-e", str(archive), "c") == "c"
    assert status(cli, "c") == "running"
    assert archive.read_bytes()[:4] == b"\x28\xb5\x2f\xfd"


@pytest.mark.criu
def test_bad_input_gives_one_sentence_and_changes_nothing(
    cli: Command, other_cli: Command, tmp_path: Path
) -> None:
    archive, none, cut = tmp_path / "c.tar.gz", tmp_path / "none.tar.gz", tmp_path / "cut.tar.gz"
    cli(*RUN, "-d", "--name", "c", "bb:1", "sh", "-c", COUNT)
    cli("create", "--network", "none", "--name", "idle", "bb:1", "true")
    cli("checkpoint", "-R", "-e", str(archive), "c")
    none.write_text("this is no archive\n" * 100)
    cut.write_bytes(archive.read_bytes()[: archive.stat().st_size // 2])
    before = cli("ps", "-a", "--no-trunc", "--format", "{{.ID}} {{.State}}")
    missing = tmp_path / "missing.tar.gz"
    for words, said in (
        (("checkpoint", "nosuch"), "nosuch"),
        (("checkpoint", "idle"), "idle"),
        (("restore", "idle"), "no checkpoint"),
        (("restore", "c"), "running"),
        (("restore", "-i", str(missing)), str(missing)),
        (("restore", "-i", str(none)), str(none)),
        (("restore", "-i", str(cut), "-n", "x"), str(cut)),
        (("restore", "-i", str(archive)), "already"),
        (("restore", "-i", str(archive), "-n", "idle"), "already"),
        (("restore", "-i", str(archive), "c"), "--import"),
        (("checkpoint", "-e", str(tmp_path / "no/dir.tar.gz"), "c"), "no"),
        (("checkpoint", "--compress", "lzma", "-e", "x.tar", "c"), "lzma"),
        (("checkpoint",), "at least one"),
    ):
        error = cli.fails(*words)
        assert said in error, f"libpod {' '.join(words)} says {error!r}"
    assert cli("ps", "-a", "--no-trunc", "--format", "{{.ID}} {{.State}}") == before
    other_cli("rmi", "bb:1")
    assert "localhost/bb:1" in other_cli.fails("restore", "-i", str(archive))
    assert other_cli("ps", "-aq") == ""


def test_without_root_rights_there_is_one_sentence(cli: Command) -> None:
    import subprocess

    argv = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", *cli.argv("ps")]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 125
    assert re.fullmatch(r"Error: .*root.*\n", done.stderr)


def test_a_reader_that_goes_away_is_no_error(cli: Command) -> None:
    import subprocess

    command = f"{' '.join(cli.argv('images', '--help'))} | true"
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, timeout=60, check=False)
    assert "Traceback" not in done.stderr
