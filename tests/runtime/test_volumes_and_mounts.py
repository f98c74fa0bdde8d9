"""Volumes, bind mounts, tmpfs, read-only roots."""

from __future__ import annotations

import json

import pytest

import libpod


def output(runtime, script: str, **options) -> str:
    container = runtime.run("bb:1", "sh", "-c", script, network="none", **options)
    container.wait()
    text = "\n".join(line.data.decode() for line in container.logs())
    container.remove(volumes=True)
    return text


def test_a_named_volume_keeps_its_content(runtime):
    assert output(runtime, "echo kept > /data/file", volumes=["kept:/data"]) == ""
    assert output(runtime, "cat /data/file", volumes=["kept:/data"]) == "kept"
    assert [volume.name for volume in runtime.volumes()] == ["kept"]


def test_a_fresh_volume_is_filled_from_the_image(runtime):
    assert output(runtime, "ls -la /home/someone; cat /etc/image-file", volumes=["etc:/etc"]).endswith(
        "from the image"
    )
    assert (runtime.volume("etc").mount_point / "image-file").read_text() == "from the image\n"
    assert output(runtime, "ls /etc", volumes=["bare:/etc:nocopy"]).split() == ["hostname", "hosts"]


def test_a_volume_takes_the_owner_of_the_place_in_the_image(runtime):
    output(runtime, "true", volumes=["home:/home/someone"])
    assert runtime.volume("home").mount_point.stat().st_uid == 1000


def test_anonymous_volumes_go_with_their_container(runtime, busybox_rootfs):
    runtime.import_image(busybox_rootfs, "anon:1", changes=["VOLUME /cache"])
    container = runtime.run("anon:1", "true", network="none")
    container.wait()
    assert len(runtime.volumes()) == 1
    container.remove(volumes=True)
    assert runtime.volumes() == []


def test_a_volume_in_use_stays(runtime):
    container = runtime.create("bb:1", "true", network="none", volumes=["used:/data"])
    with pytest.raises(libpod.VolumeInUseError, match="used"):
        runtime.volume("used").remove()
    assert runtime.prune_volumes() == []
    container.remove()
    assert runtime.prune_volumes() == ["used"]


def test_a_volume_name_is_used_once(runtime):
    runtime.create_volume("once", labels={"a": "b"})
    with pytest.raises(libpod.VolumeExistsError):
        runtime.create_volume("once")
    assert runtime.create_volume("once", ignore_existing=True).labels == {"a": "b"}
    assert runtime.volume("once").inspect()["Labels"] == {"a": "b"}


def test_a_volume_may_be_a_file_system_of_its_own(runtime):
    runtime.create_volume("ram", options={"type": "tmpfs", "device": "tmpfs", "o": "size=2m,nodev"})
    assert "tmpfs" in output(runtime, "df /data", volumes=["ram:/data"])
    assert runtime.volume("ram").inspect()["MountCount"] == 0


def test_bind_mounts_read_and_write(runtime, tmp_path):
    (tmp_path / "in").write_text("host\n")
    assert output(runtime, "cat /host/in; echo back > /host/out", volumes=[f"{tmp_path}:/host"]) == "host"
    assert (tmp_path / "out").read_text() == "back\n"
    assert "Read-only" in output(runtime, "echo no > /host/no 2>&1", volumes=[f"{tmp_path}:/host:ro"])


def test_a_missing_bind_source_is_said_so(runtime, tmp_path):
    with pytest.raises(libpod.LibpodError, match="nowhere"):
        runtime.run("bb:1", "true", network="none", volumes=[f"{tmp_path}/nowhere:/host"])


def test_tmpfs_and_read_only_root(runtime):
    seen = output(
        runtime,
        "echo a > /scratch/a && cat /scratch/a; echo b > /b 2>&1",
        read_only=True,
        tmpfs=["/scratch:size=1m"],
    )
    assert seen.startswith("a\n")
    assert "Read-only" in seen


def test_shared_memory_has_the_size_that_was_asked_for(runtime):
    assert (
        output(runtime, "df -k /dev/shm | tail -1 | tr -s ' ' | sed 's/ /:/g'", shm_size="8m").split(":")[1]
        == "8192"
    )


def test_an_overlay_volume_shows_the_host_and_keeps_it_as_it_is(runtime, tmp_path):
    (tmp_path / "in").write_text("host\n")
    script = "cat /host/in; echo changed > /host/in; cat /host/in"
    assert output(runtime, script, volumes=[f"{tmp_path}:/host:O"]) == "host\nchanged"
    assert (tmp_path / "in").read_text() == "host\n"


def test_an_image_can_be_mounted_into_a_container(runtime):
    mount = "type=image,source=bb:1,destination=/image"
    assert output(runtime, "cat /image/etc/image-file; touch /image/x 2>&1", mounts=[mount]).startswith(
        "from the image"
    )
    assert output(runtime, "echo w > /image/w; cat /image/w", mounts=[f"{mount},rw=true"]) == "w"


def test_the_option_u_gives_a_directory_to_the_user(runtime, tmp_path):
    (tmp_path / "file").write_text("mine\n")
    assert (
        output(
            runtime,
            "echo more >> /host/file; cat /host/file",
            user="someone",
            volumes=[f"{tmp_path}:/host:U"],
        )
        == "mine\nmore"
    )
    assert (tmp_path / "file").stat().st_uid == 1000


def test_a_precreate_hook_changes_the_specification(engine, runtime, tmp_path):
    hook = tmp_path / "filter"
    hook.write_text("#!/bin/sh\nexec sed 's/TERM=xterm/TERM=hooked/'\n")
    hook.chmod(0o755)
    hooks = tmp_path / "hooks"
    hooks.mkdir()
    document = {
        "version": "1.0.0",
        "hook": {"path": str(hook)},
        "when": {"always": True},
        "stages": ["precreate"],
    }
    (hooks / "filter.json").write_text(json.dumps(document))
    with engine.runtime(hooks_dirs=(str(hooks),)) as hooked:
        assert output(hooked, "echo $TERM") == "hooked"
