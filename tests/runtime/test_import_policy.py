"""Archives that want too much, or are hostile, through the whole engine."""

from __future__ import annotations

import io
import json
import os
import struct
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import libpod
from libpod.container_internal import lifecycle
from libpod.model.import_policy import ImportPolicy
from tests.engines import COUNT, Engine, busybox_root, counts_on, remove_engine
from tests.runtime.moves import belongings

Documents = tuple[dict[str, Any], dict[str, Any]]
Change = Callable[[dict[str, Any], dict[str, Any]], object]


class Scene:
    """A good archive of an ordinary container, and a host that knows its image."""

    def __init__(self, directory: Path, rootfs: Path) -> None:
        self.directory = directory
        self.engine = Engine.make(directory)
        self.runtime = self.engine.runtime()
        self.runtime.import_image(rootfs, "bb:1")
        options = {"name": "victim", "network": "none", "volumes": ["bag:/bag"]}
        container = self.runtime.run("bb:1", "sh", "-c", COUNT, **options)
        container.run("sh", "-c", "echo x > /bag/x; echo y > /new; rm /etc/image-file")
        counts_on(container, 1)
        self.good = directory / "good.tar"
        self.runtime.checkpoint(container, export=self.good)
        container.remove()
        self.runtime.volume("bag").remove()
        with tarfile.open(self.good) as archive:
            self.members = [
                (member, archive.extractfile(member).read() if member.isfile() else None)  # type: ignore[union-attr]
                for member in archive.getmembers()
            ]
        self.empty = belongings(self.runtime)

    def rewritten(self, change: Callable[[list[tuple[tarfile.TarInfo, bytes | None]]], object]) -> Path:
        """The archive with other members."""
        entries = [(_copy(member), data) for member, data in self.members]
        changed = change(entries)
        path = self.directory / "changed.tar"
        with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as archive:
            for member, data in changed if isinstance(changed, list) else entries:
                if data is not None:
                    member.size = len(data)
                archive.addfile(member, io.BytesIO(data) if data is not None else None)
        return path

    def documented(self, change: Change) -> Path:
        """The archive with other documents."""

        def rewrite(entries: list[tuple[tarfile.TarInfo, bytes | None]]) -> list[Any]:
            config, spec = (json.loads(entries[place][1] or b"") for place in (0, 1))
            change(config, spec)
            return [
                (entries[0][0], json.dumps(config).encode()),
                (entries[1][0], json.dumps(spec).encode()),
                *entries[2:],
            ]

        return self.rewritten(rewrite)

    def refused(self, path: Path, match: str = "", **options: Any) -> str:
        """The archive is refused in one line, and nothing is left or was touched."""
        try:
            with pytest.raises(libpod.LibpodError, match=match) as caught:
                self.runtime.restore(import_=path, **options)
        except BaseException:
            self.engine.clear()  # it was woken: the next test is not to suffer for it
            raise
        text = str(caught.value)
        assert "\n" not in text
        assert belongings(self.runtime) == self.empty
        assert self.engine.leftovers() == []
        return text


def _copy(member: tarfile.TarInfo) -> tarfile.TarInfo:
    copy = tarfile.TarInfo(member.name)
    copy.type, copy.mode, copy.linkname, copy.mtime = member.type, member.mode, member.linkname, member.mtime
    return copy


@pytest.fixture(scope="module")
def scene(short_tmp: Path):
    made = Scene(short_tmp / "policy", busybox_root(short_tmp / "policy-rootfs"))
    yield made
    made.runtime.close()
    made.engine.clear()
    remove_engine(made.engine)


def woken(scene: Scene, path: Path, **options: Any) -> None:
    container = scene.runtime.restore(import_=path, **options)
    try:
        counts_on(container, 1)
    finally:
        container.remove(force=True, timeout=0, volumes=True)
        for volume in scene.runtime.volumes():
            volume.remove(force=True)


def test_the_archive_of_an_ordinary_container_is_granted(scene):
    woken(scene, scene.good)
    woken(scene, scene.documented(lambda config, spec: None))


# ---- what somebody may rightly want ---------------------------------------------------------------------------------


def bind(source: str, destination: str = "/wanted") -> Change:
    entry = {"type": "bind", "source": source, "destination": destination, "options": ["rbind"]}
    return lambda config, spec: spec["mounts"].append(entry)


def namespace_gone(kind: str) -> Change:
    def change(config: dict[str, Any], spec: dict[str, Any]) -> None:
        entries = spec["linux"]["namespaces"]
        spec["linux"]["namespaces"] = [entry for entry in entries if entry["type"] != kind]

    return change


def namespace_of(kind: str, path: str) -> Change:
    def change(config: dict[str, Any], spec: dict[str, Any]) -> None:
        config["networkMode"] = f"ns:{path}"
        for entry in spec["linux"]["namespaces"]:
            if entry["type"] == kind:
                entry["path"] = path

    return change


def capability(name: str) -> Change:
    return lambda config, spec: [found.append(name) for found in spec["process"]["capabilities"].values()]


def annotation(key: str, value: str) -> Change:
    return lambda config, spec: spec["annotations"].update({key: value})


WANTED: dict[str, tuple[Change, str, str]] = {
    "the root of the host": (bind("/"), "/ of this host", "bind_sources"),
    "/etc of the host": (bind("/etc"), "/etc of this host", "bind_sources"),
    "a file in /etc": (bind("/etc/shadow"), "/etc/shadow", "bind_sources"),
    "/etc by a detour": (bind("/tmp/../etc"), "etc", "bind_sources"),
    "/etc by a name that looks like a volume's": (bind("/etc/../etc/x/../_data/../"), "etc", "bind_sources"),
    "the engines' own files": (bind("/var/lib/containers"), "/var/lib", "bind_sources"),
    "a socket of the host": (bind("/run/docker.sock"), "/run", "bind_sources"),
    "hidden files of a user": (bind("/home/somebody/.ssh"), ".ssh", "bind_sources"),
    "an engine's file that is another": (bind("/etc/shadow", "/etc/hosts2"), "/etc/shadow", "bind_sources"),
    "a disk": (
        lambda c, s: s["mounts"].append({"type": "ext4", "source": "/dev/vda", "destination": "/d"}),
        "ext4", "other_mounts",
    ),
    "an overlay of host directories": (
        lambda c, s: s["mounts"].append(
            {"type": "overlay", "source": "overlay", "destination": "/d", "options": ["lowerdir=/etc:/root"]}
        ), "overlay", "other_mounts",
    ),
    "to be privileged": (lambda c, s: c.update(privileged=True), "privileged", "privileged"),
    "a device": (
        lambda c, s: s["linux"].update(devices=[{"path": "/dev/kvm", "type": "c", "major": 10, "minor": 232}]),
        "/dev/kvm", "devices",
    ),
    "all devices by a rule": (
        lambda c, s: s["linux"]["resources"].update(devices=[{"allow": True, "access": "rwm"}]),
        "cgroup rule", "devices",
    ),
    "CAP_SYS_ADMIN": (capability("CAP_SYS_ADMIN"), "CAP_SYS_ADMIN", "capabilities"),
    "CAP_SYS_MODULE": (capability("CAP_SYS_MODULE"), "CAP_SYS_MODULE", "capabilities"),
    "the host's processes": (namespace_gone("pid"), "pid namespace", "host_namespaces"),
    "the host's network": (namespace_gone("network"), "network namespace", "host_namespaces"),
    "the host's IPC": (namespace_gone("ipc"), "ipc namespace", "host_namespaces"),
    "the host's mounts": (namespace_gone("mount"), "mounts of this host", "host_namespaces"),
    "a namespace by its path": (namespace_of("network", "/proc/1/ns/net"), "/proc/1/ns/net", "host_namespaces"),
    "no seccomp filter": (
        annotation("io.podman.annotations.seccomp", "unconfined"), "seccomp", "unconfined"
    ),
    "a filter that allows all": (
        lambda c, s: s["linux"].update(seccomp={"defaultAction": "SCMP_ACT_ALLOW"}), "seccomp", "unconfined"
    ),
    "nothing masked": (lambda c, s: s["linux"].pop("maskedPaths"), "masked", "unconfined"),
    "a file of the host as CRIU's configuration": (
        annotation("org.criu.config", "/tmp/evil.conf"), "org.criu.config", "runtime_settings"
    ),
    "a file of the host written by crun": (
        annotation("run.oci.hooks.stdout", "/etc/cron.d/x"), "run.oci.hooks.stdout", "runtime_settings"
    ),
    "a setting of systemd": (
        annotation("org.systemd.property.DevicePolicy", "'auto'"), "DevicePolicy", "runtime_settings"
    ),
    "a file of the host as its hosts file": (
        lambda c, s: c.update(baseHostsFile="/etc/shadow"), "/etc/shadow", "host_files"
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", WANTED)
def test_what_is_dangerous_is_refused_and_the_sentence_says_how_to_grant_it(scene, name):
    change, said, field = WANTED[name]
    text = scene.refused(scene.documented(change), "victim asks for")
    assert said in text
    assert field in text
    assert "ImportPolicy" in text


def test_everything_at_once_is_one_sentence(scene):
    def change(config: dict[str, Any], spec: dict[str, Any]) -> None:
        for wanted, _, _ in WANTED.values():
            try:
                wanted(config, spec)
            except KeyError:
                continue

    assert "more" in scene.refused(scene.documented(change))


def test_a_policy_grants_exactly_what_it_names(scene, tmp_path):
    shared = tmp_path / "shared"
    shared.mkdir()
    wanting = scene.documented(bind(str(shared)))
    text = scene.refused(wanting, policy=ImportPolicy(bind_mounts=False))
    assert str(shared) in text
    scene.refused(wanting, policy=ImportPolicy(bind_sources=("/srv",)))
    path = scene.documented(annotation("org.criu.config", ""))
    woken(scene, path)
    woken(scene, scene.documented(annotation("org.systemd.property.KillSignal", "15")))
    woken(scene, scene.documented(capability("CAP_NET_RAW")))


def test_a_link_to_a_sensitive_place_is_one(scene, tmp_path):
    (tmp_path / "innocent").symlink_to("/etc")
    scene.refused(scene.documented(bind(str(tmp_path / "innocent"))), "innocent of this host")


def test_published_ports_can_be_refused(scene):
    def change(config: dict[str, Any], spec: dict[str, Any]) -> None:
        config["newPortMappings"] = [
            {"host_ip": "", "container_port": 80, "host_port": 80, "range": 1, "protocol": "tcp"}
        ]

    scene.refused(scene.documented(change), "ports", policy=ImportPolicy(ports=False))


def test_trusted_grants_everything_that_podman_takes():
    policy = ImportPolicy.trusted()
    assert policy.may_bind("/")
    assert policy.may_bind("/etc/shadow")
    assert policy.may_have("CAP_SYS_ADMIN")
    assert policy.privileged
    assert policy.devices
    default = ImportPolicy()
    assert not default.may_bind("/usr/local")
    assert default.may_bind("/usrlocal")
    assert default.may_bind("/srv/data")
    assert not ImportPolicy(bind_sources=("/srv/data",)).may_bind("/srv/database")


def test_rights_that_only_the_process_images_claim_are_seen(scene):
    """The documents are good; a thread's credentials are not."""

    def change(entries: list[tuple[tarfile.TarInfo, bytes | None]]) -> list[Any]:
        def field(number: int, payload: bytes | int) -> bytes:
            if isinstance(payload, int):
                return varint(number << 3) + varint(payload)
            return varint(number << 3 | 2) + varint(len(payload)) + payload

        def varint(value: int) -> bytes:
            found = b""
            while value > 0x7F:
                found += bytes([value & 0x7F | 0x80])
                value >>= 7
            return found + bytes([value])

        credentials = field(11, 1 << 21)  # effective: CAP_SYS_ADMIN
        thread = field(5, field(9, credentials))
        forged = bytes(8) + struct.pack("<I", len(thread)) + thread
        extra = tarfile.TarInfo("checkpoint/core-77.img")
        return [*entries, (extra, forged)]

    scene.refused(scene.rewritten(change), "CAP_SYS_ADMIN")


# ---- what no engine writes ------------------------------------------------------------------------------------------


def setting(key: str, value: object) -> Change:
    return lambda config, spec: config.update({key: value})


def specified(*path: str, value: object) -> Change:
    def change(config: dict[str, Any], spec: dict[str, Any]) -> None:
        place: Any = spec
        for word in path[:-1]:
            place = place[word]
        place[path[-1]] = value

    return change


def volume(**fields: object) -> Change:
    return lambda config, spec: config.update(namedVolumes=[{"volumeName": "bag", "dest": "/bag", **fields}])


def port(**fields: object) -> Change:
    whole = {"host_ip": "", "container_port": 80, "host_port": 8080, "range": 1, "protocol": "tcp", **fields}
    return lambda config, spec: config.update(newPortMappings=[whole])


HOSTILE: dict[str, Change] = {
    "an id that is a path": setting("id", "../../../../etc/cron.d/x"),
    "an id of another length": setting("id", "a" * 63),
    "an empty id": setting("id", ""),
    "an id that is a number": setting("id", 7),
    "a name that is a path": setting("name", "../../victim"),
    "an empty name": setting("name", ""),
    "a name with a line break": setting("name", "a\nb"),
    "a name that is a list": setting("name", ["x"]),
    "a volume name that is a path": volume(volumeName="../../../etc"),
    "a volume name of one dot": volume(volumeName="."),
    "a volume outside of the root": volume(dest="/../../etc"),
    "a volume with a sub-path outside": volume(SubPath="../../.."),
    "volumes that are a number": setting("namedVolumes", 5),
    "a cgroup parent that leaves": setting("cgroupParent", "/../../../tmp/x"),
    "a cgroup parent with a line break": setting("cgroupParent", "/a\nb"),
    "a cgroup manager that is none": setting("cgroupManager", "/bin/sh"),
    "an OCI runtime by its path": setting("runtime", "/tmp/evil"),
    "an OCI runtime that is not configured": setting("runtime", "evil"),
    "a mount label that is more mount options": setting("MountLabel", 'x",size=100%,mode=7777,y="'),
    "a size of /dev/shm beyond all bounds": setting("shmSize", 1 << 80),
    "a negative size of /dev/shm": setting("shmSize", -5000),
    "a stop signal that is none": setting("stopSignal", 4711),
    "a port beyond all bounds": port(host_port=70000),
    "a port range that wraps": port(range=65535),
    "a negative port": port(container_port=-1),
    "a port protocol that is none": port(protocol="tcp; rm -rf /"),
    "ports that are a string": setting("newPortMappings", "80"),
    "a root directory of the host": setting("rootfs", "/"),
    "no image": setting("rootfsImageName", ""),
    "dependencies": setting("Dependencies", ["a" * 64]),
    "another container's network": setting("netNsCtr", "a" * 64),
    "networks with a path for a name": setting("newNetworks", {"../../x": {"interface_name": "eth0"}}),
    "labels that are a list": setting("labels", ["x"]),
    "mounts that are a string": specified("mounts", value="everything"),
    "mounts of numbers": specified("mounts", value=[1, 2]),
    "a mount without a destination": specified("mounts", value=[{"type": "tmpfs"}]),
    "a mount with a number for a source": specified(
        "mounts", value=[{"type": "bind", "source": 5, "destination": "/x"}]
    ),
    "namespaces that are an object": specified("linux", "namespaces", value={"type": "pid"}),
    "namespaces of strings": specified("linux", "namespaces", value=["pid"]),
    "a process that is a list": specified("process", value=[]),
    "a root that is a string": specified("root", value="/"),
    "linux that is null": specified("linux", value=None),
    "resource limits that are strings": specified("process", "rlimits", value=[{"type": "RLIMIT_NOFILE", "hard": "x"}]),
    "annotations that are a list": specified("annotations", value=["x"]),
    "capabilities that are numbers": specified("process", "capabilities", value={"bounding": [1, 2]}),
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_documents_that_no_engine_writes_are_refused(scene, name):
    scene.refused(scene.documented(HOSTILE[name]))


def test_hooks_of_the_archive_never_run(scene, tmp_path):
    proof = tmp_path / "proof"
    hook = {"path": "/bin/sh", "args": ["sh", "-c", f"touch {proof}"]}
    stages = ("prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop")
    path = scene.documented(lambda config, spec: spec.update(hooks={stage: [hook] for stage in stages}))
    woken(scene, path)
    assert not proof.exists()


def replaced(name: str, data: bytes) -> Callable[[list[Any]], list[Any]]:
    return lambda entries: [(member, data if member.name == name else content) for member, content in entries]


def with_member(name: str, kind: bytes = tarfile.REGTYPE, target: str = "", data: bytes | None = b"x") -> Any:
    extra = tarfile.TarInfo(name)
    extra.type, extra.linkname = kind, target
    return lambda entries: [*entries, (extra, data if kind == tarfile.REGTYPE else None)]


def inner(entry: tarfile.TarInfo, data: bytes | None = None) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        if data is not None:
            entry.size = len(data)
        archive.addfile(entry, io.BytesIO(data) if data is not None else None)
    return stream.getvalue()


def entry(name: str, kind: bytes = tarfile.REGTYPE, target: str = "") -> tarfile.TarInfo:
    made = tarfile.TarInfo(name)
    made.type, made.linkname = kind, target
    return made


MEMBERS: dict[str, Callable[[list[Any]], object]] = {
    "an absolute name": with_member("/tmp/libpod-hostile"),
    "a name that leaves": with_member("checkpoint/../../../../tmp/libpod-hostile"),
    "a link out": with_member("checkpoint/link", tarfile.SYMTYPE, "/etc"),
    "a file behind a link": lambda entries: [
        *entries,
        (entry("artifacts/link", tarfile.SYMTYPE, "/tmp"), None),
        (entry("artifacts/link/libpod-hostile"), b"x"),
    ],
    "a hard link": with_member("checkpoint/hard", tarfile.LNKTYPE, "config.dump"),
    "a device": with_member("checkpoint/device", tarfile.CHRTYPE),
    "a FIFO": with_member("checkpoint/fifo", tarfile.FIFOTYPE),
    "a member twice": lambda entries: [*entries, entries[0]],
    "no configuration": lambda entries: entries[1:],
    "no images": lambda entries: [e for e in entries if not e[0].name.startswith("checkpoint")],
    "nothing at all": lambda entries: [],
    "a configuration that is no JSON": replaced("config.dump", b"{"),
    "a configuration that is a list": replaced("config.dump", b"[]"),
    "a configuration of nested brackets": replaced("config.dump", b"[" * 200_000),
    "a configuration of nested objects": replaced("config.dump", b'{"a":' * 100_000),
    "a specification of zeros": replaced("spec.dump", bytes(100)),
    "a number of a million digits": replaced("config.dump", b'{"id": ' + b"9" * 1_000_000 + b"}"),
    "deleted files that are no list": replaced("deleted.files", b'{"a": 1}'),
    "deleted files that leave": replaced("deleted.files", b'["/../../../../tmp/libpod-hostile"]'),
    "deleted files that are no names": replaced("deleted.files", b'["/\\ud800", "/\\u0000"]'),
    "the deletion of the root": replaced("deleted.files", b'["/"]'),
    "a file system with a name that leaves": replaced("rootfs-diff.tar", inner(entry("../../x"), b"x")),
    "a file system with an absolute name": replaced("rootfs-diff.tar", inner(entry("/x"), b"x")),
    "a file system that is no tar": replaced("rootfs-diff.tar", b"x" * 2048),
    "a file system with a mark of deletion": replaced("rootfs-diff.tar", inner(entry("x", tarfile.CHRTYPE))),
    "a hard link to the host": replaced("rootfs-diff.tar", inner(entry("x", tarfile.LNKTYPE, "/etc/shadow"))),
    "a volume with a name that leaves": replaced("volumes/bag.tar", inner(entry("../x"), b"x")),
    "a volume that is cut": replaced("volumes/bag.tar", inner(entry("x"), b"x" * 4096)[:1500]),
    "a volume that is its own link": replaced("volumes/bag.tar", inner(entry("./", tarfile.SYMTYPE, "/etc"))),
    "process images that are none": replaced("checkpoint/core-1.img", b"\xff" * 500),
    "descriptors that are no JSON": replaced("checkpoint/descriptors.json", b"pipe:"),
}


@pytest.mark.parametrize("name", MEMBERS)
def test_members_that_no_engine_writes_are_refused(scene, name):
    scene.refused(scene.rewritten(MEMBERS[name]))
    assert not os.path.lexists("/tmp/libpod-hostile")


def test_members_in_another_order_are_no_reason_to_refuse(scene):
    woken(scene, scene.rewritten(lambda entries: list(reversed(entries))))


def test_an_unknown_member_is_ignored(scene):
    woken(scene, scene.rewritten(with_member("something.new")))


def test_names_of_a_link_in_the_image_are_never_followed_out_of_the_root(scene, tmp_path):
    """A process of the image made a link; the archive writes below it."""
    target = tmp_path / "outside"
    target.mkdir()
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        archive.addfile(entry("link", tarfile.SYMTYPE, str(target)))
        below = entry("link/file")
        below.size = 1
        archive.addfile(below, io.BytesIO(b"x"))
    scene.refused(scene.rewritten(replaced("rootfs-diff.tar", stream.getvalue())), "below the link")
    assert list(target.iterdir()) == []


def test_nothing_of_a_refused_archive_reaches_the_runtime(scene, monkeypatch):
    """The policy is asked before anything is made."""

    def never(*_: object) -> None:
        raise AssertionError("something was made")

    monkeypatch.setattr(lifecycle, "start_infra", never)
    scene.refused(scene.documented(bind("/")))
