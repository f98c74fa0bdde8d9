"""The same container made by podman and planned by us, to compare the two specifications.

`Podman` works on a private root; it only creates and initialises containers, whose `config.json` is then read.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tarfile
from pathlib import Path
from typing import Any

from libpod.config import RuntimeConfig
from libpod.linux.devices import host_devices
from libpod.linux.host import read_host_facts
from libpod.model.container_config import ContainerConfig
from libpod.model.create_options import CreateOptions
from libpod.spec.finalize import FinalFacts, finalize_spec
from libpod.spec.image import ImageSettings
from libpod.spec.plan import ImageFacts, plan_container
from libpod.spec.seccomp import default_profile
from libpod.spec.surroundings import read_surroundings
from libpod.spec.users import resolve_user

PASSWD = "root:x:0:0:root:/root:/bin/sh\ndave:x:1000:1000:Dave:/home/dave:/bin/sh\n"
GROUP = "root:x:0:\ndave:x:1000:\nwheel:x:10:dave\nstaff:x:50:dave,eve\n"
TIMEOUT = 120.0


class Podman:
    """podman on a root of its own."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.command = [
            "podman", "--root", f"{directory}/g", "--runroot", f"{directory}/r", "--tmpdir", f"{directory}/t",
            "--runtime", "runc", "--cgroup-manager", "cgroupfs", "--events-backend", "none",
        ]  # fmt: skip

    def run(self, *words: str) -> str:
        done = subprocess.run(
            [*self.command, *words],
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
            check=False,
            stdin=subprocess.DEVNULL,
        )
        assert done.returncode == 0, f"podman {' '.join(words)}: {done.stderr}"
        return done.stdout.strip()

    def import_image(self, name: str, *changes: str) -> None:
        """A root file system of busybox, with two users."""
        tree = self.directory / "tree"
        if not tree.exists():
            (tree / "bin").mkdir(parents=True)
            (tree / "etc").mkdir()
            shutil.copy("/bin/busybox", tree / "bin/busybox")
            for applet in ("sh", "sleep", "cat"):
                (tree / "bin" / applet).symlink_to("busybox")
            (tree / "etc/passwd").write_text(PASSWD)
            (tree / "etc/group").write_text(GROUP)
        archive = self.directory / "tree.tar"
        with tarfile.open(archive, "w") as tar:
            tar.add(tree, arcname=".")
        options = [word for change in changes for word in ("--change", change)]
        self.run("import", "--quiet", *options, str(archive), name)

    def document(self, *words: str) -> tuple[str, dict[str, Any]]:
        """Id and `config.json` of a container made with these words."""
        ctr_id = self.run("create", *words)
        try:
            self.run("init", ctr_id)
            found = json.loads(
                (self.directory / "g/overlay-containers" / ctr_id / "userdata/config.json").read_text()
            )
            return ctr_id, found
        finally:
            self.run("rm", "--force", "--time", "0", ctr_id)

    def close(self) -> None:
        subprocess.run(
            [*self.command, "rm", "--all", "--force", "--time", "0"],
            capture_output=True,
            timeout=TIMEOUT,
            check=False,
        )
        for mount in reversed(Path("/proc/self/mounts").read_text().splitlines()):
            target = mount.split()[1]
            if target.startswith(f"{self.directory}/"):
                subprocess.run(["umount", target], check=False, capture_output=True)


def ours(
    options: CreateOptions, ctr_id: str, created: str, settings: ImageSettings
) -> tuple[ContainerConfig, dict[str, Any]]:
    """Record and document of the same container, as this library makes them."""
    config = RuntimeConfig.load(read_files=False)
    host = read_host_facts()
    record = plan_container(
        options,
        image=ImageFacts(id="0" * 64, name="localhost/bb:latest", settings=settings),
        host=host,
        config=config,
        container_id=ctr_id,
        name="same",
        created=created,
        around=read_surroundings(options, config, container=_no_container),
    )
    binds = {"/etc/hostname": "hostname", "/run/.containerenv": ".containerenv"}
    if record.network_mode != "none":
        binds["/etc/resolv.conf"] = "resolv.conf"
    binds |= {"/etc/hosts": "hosts"}
    if not record.no_shm:
        binds["/dev/shm"] = record.shm_dir or "shm"
    facts = FinalFacts(
        root_path="root",
        host=host,
        user=resolve_user(record.user, passwd=PASSWD, group=GROUP, extra_groups=record.groups),
        bind_mounts=binds,
        volumes={name: f"volume {name}" for name in record.volume_names},
        mounted={},
        seccomp=default_profile(""),
        devices=host_devices() if record.privileged else (),
    )
    return record, finalize_spec(_with_shm(record), facts)


def _with_shm(record: ContainerConfig) -> ContainerConfig:
    import msgspec

    return record if record.shm_dir else msgspec.structs.replace(record, shm_dir="shm")


def _no_container(name: str) -> ContainerConfig:
    raise AssertionError(f"no container {name} is there")


ENGINE_SOURCES = ("/etc/hostname", "/run/.containerenv", "/etc/resolv.conf", "/etc/hosts", "/dev/shm")


def comparable(document: dict[str, Any]) -> dict[str, Any]:
    """*document* without what must differ – paths on the host – and without orders that mean nothing."""
    found: dict[str, Any] = json.loads(json.dumps(document))
    found["root"]["path"] = ""
    depths = []
    mounts = {}
    for entry in found["mounts"]:
        depths.append(len(entry["destination"].strip("/").split("/")))
        source = entry["source"]
        if entry["destination"] in ENGINE_SOURCES and entry["type"] == "bind":
            entry["source"] = os.path.basename(source)
        elif source.endswith("/_data") or source.startswith("volume "):
            entry["source"] = "volume"
        entry["options"] = sorted(entry["options"])
        mounts[entry["destination"]] = entry
    assert depths == sorted(depths), "a mount would hide one that was made before it"
    found["mounts"] = mounts
    for generated in ("/etc/passwd", "/etc/group"):
        # podman makes these for an unknown number; whether they are needed is not the specification's to decide.
        mounts.pop(generated, None)
    found["process"]["env"] = sorted(found["process"]["env"])
    groups = found["process"]["user"].get("additionalGids")
    if groups:
        found["process"]["user"]["additionalGids"] = sorted(groups)
    found["linux"]["namespaces"] = sorted(found["linux"]["namespaces"], key=lambda item: str(item["type"]))
    for item in found["linux"]["namespaces"]:
        if item.get("path"):
            item["path"] = "joined"
    return found


def differences(ours_: Any, theirs: Any, path: str = "") -> list[str]:
    """Where two documents differ, one line each."""
    if isinstance(ours_, dict) and isinstance(theirs, dict):
        lines = []
        for key in sorted(set(ours_) | set(theirs)):
            lines += differences(ours_.get(key, "(absent)"), theirs.get(key, "(absent)"), f"{path}/{key}")
        return lines
    return [] if ours_ == theirs else [f"{path}: ours {ours_!r}, podman's {theirs!r}"]
