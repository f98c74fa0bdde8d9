"""Mounts as the command line writes them."""

from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libpod.define.errors import InvalidArgumentError
from libpod.model.mount_text import parse_mount, parse_tmpfs, parse_volume
from libpod.model.mounts import (
    BindMount,
    DevptsMount,
    ImageMount,
    OverlayMount,
    TmpfsMount,
    VolumeMount,
    clean_destination,
)


@pytest.mark.parametrize(
    ("text", "mount"),
    [
        ("/host:/ctr", BindMount(source="/host", destination="/ctr")),
        ("/host/../x:/ctr/./y//z:ro,Z", BindMount(source="/x", destination="/ctr/y/z", options=("ro", "Z"))),
        ("name:/ctr:nocopy", VolumeMount(name="name", destination="/ctr", options=("nocopy",))),
        ("/ctr", VolumeMount(destination="/ctr")),
        ("/host:/ctr:O", OverlayMount(source="/host", destination="/ctr", options=("O",))),
        (
            "/host:/ctr:O,upperdir=/u,workdir=/w",
            OverlayMount(source="/host", destination="/ctr", options=("O", "upperdir=/u", "workdir=/w")),
        ),
    ],
)
def test_a_volume_is_a_path_a_name_or_nothing(text: str, mount: object) -> None:
    assert parse_volume(text) == mount


def test_a_relative_source_is_taken_from_the_working_directory() -> None:
    assert parse_volume("./here:/there") == BindMount(source=os.path.abspath("here"), destination="/there")
    assert parse_mount("type=bind,src=here,dst=/there") == BindMount(
        source=os.path.abspath("here"), destination="/there"
    )


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "is not a volume"),
        (":/ctr", "is not a volume"),
        ("/host:", "is not a volume"),
        ("/a:/b:ro:rw", "is not a volume"),
        ("/host:ctr", "not an absolute path in the container"),
        ("/host:/", "root directory"),
        ("/host:/x/..", "root directory"),
        ("/host:/ctr:fast", 'does not know the option "fast"'),
        ("/host:/ctr:ro,rw", "ro and rw"),
        ("/host:/ctr:shared,slave", "shared and slave"),
        ("/host:/ctr:z,Z", "z and Z"),
        ("/host:/ctr:size=1m", 'does not know the option "size=1m"'),
        ("/host:/ctr:idmap", 'does not know the option "idmap"'),
        ("-odd:/ctr", "cannot name a volume"),
        ("name:/ctr:O", "needs a path of the host"),
        ("/host:/ctr:O,upperdir=/u", "both upperdir and workdir"),
    ],
)
def test_a_volume_that_makes_no_sense_is_refused(text: str, reason: str) -> None:
    with pytest.raises(InvalidArgumentError, match=reason):
        parse_volume(text)


@pytest.mark.parametrize(
    ("text", "mount"),
    [
        ("type=bind,src=/a,dst=/b,ro", BindMount(source="/a", destination="/b", options=("ro",))),
        (
            "type=bind,source=/a,target=/b,readonly=false",
            BindMount(source="/a", destination="/b", options=("rw",)),
        ),
        ("type=bind,destination=/b", BindMount(source="/b", destination="/b")),
        (
            "type=bind,src=/a,dst=/b,bind-propagation=rslave,bind-nonrecursive=true,relabel=shared,U=true",
            BindMount(source="/a", destination="/b", options=("rslave", "bind", "z", "U")),
        ),
        ('type=bind,"src=/a,b",dst=/c', BindMount(source="/a,b", destination="/c")),
        ("src=v,dst=/b", VolumeMount(name="v", destination="/b")),
        ("type=volume,dst=/b,ro=true", VolumeMount(destination="/b", options=("ro",))),
        ("type=volume,src=v,dst=/b,subpath=sub", VolumeMount(name="v", destination="/b", sub_path="sub")),
        (
            "type=tmpfs,dst=/t,tmpfs-size=1m,tmpfs-mode=755,notmpcopyup",
            TmpfsMount(destination="/t", options=("size=1m", "mode=755", "notmpcopyup")),
        ),
        ("type=image,src=busybox,dst=/i", ImageMount(source="busybox", destination="/i")),
        (
            "type=image,src=busybox,dst=/i,rw=true",
            ImageMount(source="busybox", destination="/i", read_write=True),
        ),
        ("type=devpts,dst=/d,gid=5", DevptsMount(destination="/d", options=("gid=5",))),
        ("type=tmpfs,dst=/t,consistency=cached", TmpfsMount(destination="/t")),
    ],
)
def test_a_mount_has_a_kind_and_fields(text: str, mount: object) -> None:
    assert parse_mount(text) == mount


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("type=nfs,dst=/x", "is not a kind of mount"),
        ("type=bind,src=/a", "does not say where"),
        ("type=bind,src=,dst=/b", "src has no value"),
        ("type=tmpfs,src=/a,dst=/b", "cannot have"),
        ("type=image,dst=/b", "names no image"),
        ("type=image,src=x,dst=/b,ro", 'does not know the option "ro"'),
        ("type=bind,src=/a,dst=/b,relabel=mine", "use shared or private"),
        ("type=bind,src=/a,dst=/b,ro=perhaps", "use true or false"),
        ("type=volume,src=v,dst=/b,subpath=../x", "leaves its volume"),
        ("type=volume,src=v,dst=/b,volume-opt=o=x", "does not know the option"),
        ("", "does not say where"),
    ],
)
def test_a_mount_that_makes_no_sense_is_refused(text: str, reason: str) -> None:
    with pytest.raises(InvalidArgumentError, match=reason):
        parse_mount(text)


def test_a_tmpfs_is_a_destination_and_options() -> None:
    assert parse_tmpfs("/t:size=1m,mode=1777") == TmpfsMount(
        destination="/t", options=("size=1m", "mode=1777")
    )
    assert parse_tmpfs("/t") == TmpfsMount(destination="/t")
    with pytest.raises(InvalidArgumentError, match="tmpfs on /t does not know"):
        parse_tmpfs("/t:z")


@given(st.text())
def test_no_text_does_anything_but_parse_or_be_refused(text: str) -> None:
    for parse in (parse_volume, parse_mount, parse_tmpfs):
        try:
            found = parse(text)
        except InvalidArgumentError:
            continue
        assert found.destination == clean_destination(found.destination)


@given(st.lists(st.sampled_from(["a", ".", "..", "", "b c"]), min_size=1))
def test_a_clean_destination_is_absolute_and_stays_as_it_is(parts: list[str]) -> None:
    try:
        cleaned = clean_destination("/" + "/".join(parts))
    except InvalidArgumentError:
        return
    assert cleaned.startswith("/")
    assert not {"", ".", ".."} & set(cleaned.split("/")[1:])
    assert clean_destination(cleaned) == cleaned
