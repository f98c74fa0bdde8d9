"""What the installed podman prints, we print: headings, keys, flags."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from libpod_cli.parser import Parser
from libpod_cli.verbs import find
from tests.cli.command import Command
from tests.engines import Engine

pytestmark = [pytest.mark.root, pytest.mark.podman]

DELIBERATELY_ABSENT = {
    "run": {
        "arch", "authfile", "chrootdirs", "disable-content-trust", "env-merge", "gidmap", "hostuser", "http-proxy",
        "os", "passwd-entry", "personality", "pod-id-file", "rmi", "sdnotify", "seccomp-policy", "secret", "subgidname",
        "subuidname", "systemd", "tls-verify", "uidmap", "variant",
    },
    "ps": {"external"},
    "rm": {"depend"},
    "import": {"arch", "os", "variant"},
    "pull": {"all-tags", "arch", "disable-content-trust", "os", "variant"},
    "push": {"compress", "disable-content-trust", "sign-by-sigstore-private-key", "sign-passphrase-file"},
    "image prune": {"external"},
}  # fmt: skip
"""Flags of podman that we do not have (yet). A flag that is there does something."""
DELIBERATELY_ABSENT["create"] = (DELIBERATELY_ABSENT["run"] - {"rmi"}) | {"init-ctr", "attach"}


@pytest.fixture(scope="module")
def podman(short_tmp: Path, shared_engine: Engine) -> Iterator[Command]:
    """podman on a copy of nothing: a store of its own with one created container."""
    place = short_tmp / "podman"
    (place / "networks").mkdir(parents=True)

    class Podman(Command):
        def argv(self, *words: str) -> list[str]:
            return ["podman", *self.options, *words]

    made = Podman(
        [
            "--root", f"{place}/g", "--runroot", f"{place}/r", "--tmpdir", f"{place}/t", "--runtime", "runc",
            "--events-backend", "file", "--network-config-dir", f"{place}/networks",
        ]
    )  # fmt: skip
    made("import", "-q", str(rootfs_tar(short_tmp)), "localhost/bb:1")
    made(
        "create",
        "--network",
        "none",
        "--name",
        "c",
        "-l",
        "a=b",
        "-v",
        "v:/v",
        "localhost/bb:1",
        "echo",
        "hi",
    )
    yield made
    made("rm", "-fa")
    subprocess.run(["umount", f"{place}/g/overlay"], check=False, capture_output=True)


def rootfs_tar(short_tmp: Path) -> Path:
    tar = short_tmp / "rootfs.tar"
    if not tar.exists():
        subprocess.run(["tar", "-C", short_tmp / "rootfs", "-cf", tar, "."], check=True)
    return tar


@pytest.fixture
def ours(cli: Command) -> Command:
    """The same container, made by us."""
    cli(
        "create",
        "--network",
        "none",
        "--name",
        "c",
        "-l",
        "a=b",
        "-v",
        "v:/v",
        "localhost/bb:1",
        "echo",
        "hi",
    )
    return cli


@pytest.mark.parametrize(
    "words",
    [
        ("ps", "-a"),
        ("ps", "-a", "-s"),
        ("ps", "-a", "--ns"),
        ("ps", "-a", "-p"),
        ("images",),
        ("images", "--digests"),
        ("volume", "ls"),
        ("history", "localhost/bb:1"),
        ("stats", "--no-stream", "-a"),
        (
            "ps",
            "-a",
            "--format",
            "table {{.ID}} {{.Image}} {{.Names}} {{.Command}} {{.Labels}} {{.Mounts}} {{.Ports}}",
        ),
    ],
)
def test_the_headings_are_podmans(ours: Command, podman: Command, words: tuple[str, ...]) -> None:
    expected, found = podman(*words).splitlines()[0], ours(*words).splitlines()[0]
    # The width of a column depends on what is in it; its heading does not.
    assert re.split(r"\s{2,}", found.strip()) == re.split(r"\s{2,}", expected.strip())


@pytest.mark.parametrize(
    "words",
    [
        ("ps", "-a", "--format", "json"),
        ("images", "--format", "json"),
        ("volume", "ls", "--format", "json"),
        ("volume", "inspect", "v"),
        ("image", "inspect", "localhost/bb:1"),
        ("stats", "-a", "--no-stream", "--format", "json"),
    ],
)
def test_the_keys_of_json_are_podmans(ours: Command, podman: Command, words: tuple[str, ...]) -> None:
    expected, found = json.loads(podman(*words))[0], json.loads(ours(*words))[0]
    assert set(expected) <= set(found), f"missing: {set(expected) - set(found)}"


@pytest.mark.parametrize(
    "template",
    [
        "{{.ImageName}} {{.Name}} {{.State.Status}}",
        '{{index .Config.Labels "a"}} {{len .Mounts}} {{.HostConfig.NetworkMode}}',
        "{{.HostConfig.CapAdd}} {{len .BoundingCaps}} {{.HostConfig.ShmSize}}",
        "{{range .Mounts}}{{.Type}} {{.Name}} {{.Destination}}{{end}}",
        "{{json .Config.Cmd}} {{.Path}} {{.Args}} {{.State.Running}} {{.State.Pid}} {{.RestartCount}}",
        "{{if .State.Running}}up{{else}}down{{end}} {{.Config.Labels}} {{upper .Name}}",
    ],
)
def test_templates_give_what_podman_gives(ours: Command, podman: Command, template: str) -> None:
    assert ours("inspect", "c", "--format", template) == podman("inspect", "c", "--format", template)


def test_templates_of_ps_give_what_podman_gives(ours: Command, podman: Command) -> None:
    template = (
        "{{.Names}} {{.Image}} {{.Command}} {{.Labels}} {{.Mounts}} {{.ExitCode}} {{.Exited}} {{.Status}}"
    )
    assert ours("ps", "-a", "--format", template) == podman("ps", "-a", "--format", template)


@pytest.mark.parametrize(
    "verb",
    [
        "attach", "commit", "container checkpoint", "container prune", "container restore", "create", "diff", "events",
        "exec", "export", "history", "image prune", "images", "import", "info", "inspect", "kill", "load", "logs",
        "mount", "pause", "port", "ps", "pull", "push", "restart", "rm", "rmi", "run", "save", "search", "start",
        "stats", "stop", "top", "unmount", "unpause", "version", "volume create", "volume inspect", "volume ls",
        "volume prune", "volume rm", "wait",
    ],
)  # fmt: skip
def test_every_flag_of_podman_is_known_or_absent_on_purpose(verb: str) -> None:
    shown = subprocess.run(
        ["podman", *verb.split(), "--help"], capture_output=True, text=True, check=True, timeout=60
    ).stdout
    theirs = set(re.findall(r"^ +(?:-\w, )?--([\w-]+)", shown.partition("Options:")[2], re.MULTILINE)) - {
        "help"
    }
    found = find(verb.split())
    assert found is not None
    name, ours, _ = found
    parser = Parser("libpod")
    if ours.declare is not None:
        ours.declare(parser)
    known = set(re.findall(r"--([\w-]+)", parser.format_help()))
    missing = theirs - known - DELIBERATELY_ABSENT.get(name, set())
    assert not missing, f"libpod {verb} lacks {', '.join(sorted(missing))}"
