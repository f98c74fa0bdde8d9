"""The runtime takes our documents, and the process is what they say."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from libpod.config import RuntimeConfig
from libpod.define.ids import new_id
from libpod.linux.devices import host_devices
from libpod.linux.host import read_host_facts
from libpod.model.create_options import CreateOptions
from libpod.spec.finalize import FinalFacts, finalize_spec
from libpod.spec.plan import plan_container
from libpod.spec.seccomp import default_profile
from libpod.spec.surroundings import read_surroundings
from libpod.spec.users import resolve_user

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(os.geteuid() != 0 or shutil.which("runc") is None, reason="needs root and runc"),
]

PASSWD = "root:x:0:0:root:/root:/bin/sh\ndave:x:1000:1000:Dave:/home/dave:/bin/sh\n"
GROUP = "root:x:0:\ndave:x:1000:\nwheel:x:10:dave\n"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A root file system of busybox."""
    root = tmp_path / "tree"
    (root / "bin").mkdir(parents=True)
    shutil.copy("/bin/busybox", root / "bin/busybox")
    (root / "bin/sh").symlink_to("busybox")
    return root


def run(tree: Path, script: str, **fields: Any) -> str:
    """What *script* prints in a container made with these fields."""
    host, config = read_host_facts(), RuntimeConfig(graph_root=tree.parent, run_root=tree.parent)
    options = CreateOptions(rootfs=str(tree), network="none", command=["/bin/sh", "-c", script], **fields)
    record = plan_container(
        options,
        image=None,
        host=host,
        config=config,
        container_id=new_id(),
        name="real",
        created="",
        around=read_surroundings(options, config, container=lambda name: pytest.fail(name)),
    )
    facts = FinalFacts(
        root_path=str(tree),
        host=host,
        user=resolve_user(record.user, passwd=PASSWD, group=GROUP),
        seccomp=default_profile(""),
        devices=host_devices() if record.privileged else (),
    )
    bundle = tree.parent / "bundle"
    bundle.mkdir(exist_ok=True)
    (bundle / "config.json").write_text(json.dumps(finalize_spec(record, facts)))
    command = ["runc", "--root", str(tree.parent / "runc"), "run", "--bundle", str(bundle), record.short_id]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=100, check=False
        )
    finally:
        subprocess.run([*command[:3], "delete", "--force", record.short_id], check=False, capture_output=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


STATUS = "busybox grep -E '^(CapEff|CapBnd|CapAmb|Seccomp:|NoNewPrivs)' /proc/self/status"


def status(text: str) -> dict[str, str]:
    return {key: value.strip() for key, _, value in (line.partition(":") for line in text.splitlines())}


def test_a_plain_process_is_confined(tree: Path) -> None:
    found = status(run(tree, STATUS.replace("busybox", "/bin/busybox")))
    assert int(found["CapEff"], 16) == int(found["CapBnd"], 16) == 0x800405FB
    assert int(found["CapAmb"], 16) == 0
    assert (found["Seccomp"], found["NoNewPrivs"]) == ("2", "0")


def test_a_user_keeps_what_was_added_on_purpose(tree: Path) -> None:
    script = f"{STATUS.replace('busybox', '/bin/busybox')}; echo Who: $(/bin/busybox id -u):$(/bin/busybox id -G) $HOME"
    found = status(run(tree, script, user="dave", cap_add=["net_raw"], security_opt=["no-new-privileges"]))
    assert int(found["CapEff"], 16) == int(found["CapAmb"], 16) == 1 << 13
    assert found["NoNewPrivs"] == "1"
    assert found["Who"] == "1000:1000 10 /home/dave"


def test_a_privileged_process_has_the_hosts_devices_and_no_filter(tree: Path) -> None:
    script = f"{STATUS.replace('busybox', '/bin/busybox')}; echo Kmsg: $(/bin/busybox ls /dev/kmsg)"
    found = status(run(tree, script, privileged=True))
    assert found["Seccomp"] == "0"
    assert found["Kmsg"] == "/dev/kmsg"
    assert int(found["CapEff"], 16) == int(found["CapBnd"], 16)


def test_mounts_are_where_they_were_asked_for(tree: Path) -> None:
    (tree.parent / "outside").mkdir()
    (tree.parent / "outside/file").write_text("from outside")
    found = run(
        tree,
        "/bin/busybox cat /in/file; /bin/busybox touch /in/x /new 2>/dev/null; echo; "
        "/bin/busybox touch /tmp/y && echo written; /bin/busybox stat -c '%u %a' /mine; echo $HOSTNAME",
        volumes=[f"{tree.parent}/outside:/in:ro"],
        tmpfs=["/mine:mode=700,size=1m"],
        read_only=True,
        hostname="box",
    )
    assert found.splitlines() == ["from outside", "written", "0 700", "box"]
    assert not (tree / "new").exists()
