"""Pull and push against real registries."""

from __future__ import annotations

import io
import json
import logging
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import attrs
import pytest

from libpod.define.errors import (
    ImagePolicyError,
    InvalidArgumentError,
    NoSuchImageError,
    RegistryAccessError,
    RegistryUnreachableError,
)
from libpod.image import credentials
from libpod.image.importing import ImportOptions, import_rootfs
from libpod.image.progress import BlobProgress, BlobState
from libpod.image.pull import pull
from libpod.image.registries import RegistriesConfig
from libpod.image.saving import push
from libpod.image.scratch import sweep
from libpod.image.transport import CopyOptions, Skopeo
from tests.image.image_sandbox import CREATED, ImageSandbox, checked
from tests.image.registry_server import PASSWORD, USER, RegistryServer, cutting

pytestmark = [pytest.mark.root]
PLAIN = CopyOptions(tls_verify=False)


def secure(server: RegistryServer, password: str = PASSWORD) -> CopyOptions:
    return CopyOptions(cert_dir=server.certificates, creds=(USER, password))


def published(box: ImageSandbox, server: RegistryServer, name: str, options: CopyOptions) -> tuple[str, str]:
    """Make an image, push it, and return its id and the digest it has there."""
    image_id = box.make(name)
    return image_id, push(box.skopeo, box.images, name, f"{server.host}/{name}", options)


def test_an_image_pushed_by_name_is_pulled_by_tag_with_the_same_id(
    box: ImageSandbox, fresh: ImageSandbox, registry: RegistryServer
) -> None:
    image_id, digest = published(box, registry, "tagged:1", PLAIN)
    name = f"{registry.host}/tagged:1"
    assert pull(fresh.skopeo, fresh.images, name, options=PLAIN) == [image_id]
    found = fresh.images.resolve(name)
    assert found.name == name
    assert digest in found.image.digests
    assert fresh.leftovers() == []


def test_an_image_is_pulled_by_digest_and_found_by_it(
    box: ImageSandbox, fresh: ImageSandbox, registry: RegistryServer
) -> None:
    image_id, digest = published(box, registry, "digested", PLAIN)
    name = f"{registry.host}/digested@{digest}"
    assert pull(fresh.skopeo, fresh.images, name, options=PLAIN) == [image_id]
    assert fresh.images.find(name).id == image_id
    assert fresh.images.find(digest).id == image_id
    assert fresh.images.find(f"{registry.host}/digested:latest@{digest}").id == image_id


@pytest.mark.podman
def test_podman_pulls_what_we_pushed_and_we_what_podman_pushed(
    box: ImageSandbox, fresh: ImageSandbox, registry: RegistryServer
) -> None:
    image_id, digest = published(box, registry, "ours", PLAIN)
    fresh.podman("pull", "-q", "--tls-verify=false", f"{registry.host}/ours")
    document = fresh.podman_json("image", "inspect", f"{registry.host}/ours")[0]
    assert document["Id"] == image_id
    assert digest in document["RepoDigests"][0] or any(digest in item for item in document["RepoDigests"])
    fresh.podman("tag", f"{registry.host}/ours", f"{registry.host}/theirs:2")
    fresh.podman("push", "-q", "--tls-verify=false", f"{registry.host}/theirs:2")
    assert pull(box.skopeo, box.images, f"{registry.host}/theirs:2", options=PLAIN) == [image_id]


def test_a_registry_with_certificate_and_password_works_when_both_are_right(
    box: ImageSandbox, fresh: ImageSandbox, secured: RegistryServer
) -> None:
    image_id, _ = published(box, secured, "secret", secure(secured))
    assert pull(fresh.skopeo, fresh.images, f"{secured.host}/secret", options=secure(secured)) == [image_id]


def test_a_wrong_password_is_told_apart_from_a_missing_image(
    box: ImageSandbox, secured: RegistryServer
) -> None:
    with pytest.raises(RegistryAccessError) as caught:
        pull(box.skopeo, box.images, f"{secured.host}/secret2", options=secure(secured, "guessed"))
    assert "guessed" not in str(caught.value) + str(caught.value.details)
    with pytest.raises(RegistryAccessError):
        pull(
            box.skopeo,
            box.images,
            f"{secured.host}/secret2",
            options=CopyOptions(cert_dir=secured.certificates, authfile=box.top / "none.json"),
        )
    with pytest.raises(NoSuchImageError):
        pull(box.skopeo, box.images, f"{secured.host}/secret2", options=secure(secured))
    assert box.leftovers() == []


def test_the_authentication_file_of_the_environment_counts(
    box: ImageSandbox, secured: RegistryServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image_id, _ = published(box, secured, "byenvironment", secure(secured))
    credentials.store(secured.host, USER, PASSWORD, path=tmp_path / "auth.json")
    monkeypatch.setenv("REGISTRY_AUTH_FILE", str(tmp_path / "auth.json"))
    options = CopyOptions(cert_dir=secured.certificates)
    assert pull(box.skopeo, box.images, f"{secured.host}/byenvironment", options=options) == [image_id]


def test_an_unknown_certificate_is_refused(box: ImageSandbox, secured: RegistryServer) -> None:
    with pytest.raises(RegistryUnreachableError, match="x509"):
        pull(box.skopeo, box.images, f"{secured.host}/secret", options=CopyOptions(creds=(USER, PASSWORD)))


def test_a_missing_tag_and_a_missing_repository_are_missing_images(
    box: ImageSandbox, registry: RegistryServer
) -> None:
    published(box, registry, "present:1", PLAIN)
    for name in ("present:2", "absent/repository"):
        with pytest.raises(NoSuchImageError):
            pull(box.skopeo, box.images, f"{registry.host}/{name}", options=PLAIN)


def test_nobody_listening_is_an_unreachable_registry(box: ImageSandbox) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(RegistryUnreachableError) as caught:
        pull(box.skopeo, box.images, f"127.0.0.1:{port}/x", options=PLAIN)
    assert caught.value.resolution


def test_credentials_appear_in_no_argument_no_environment_and_no_log(
    top: Path, fresh: ImageSandbox, secured: RegistryServer, caplog: pytest.LogCaptureFixture
) -> None:
    seen = top / "seen"
    wrapper = top / "wrapper"
    wrapper.write_text(
        f'#!/bin/sh\n{{ printf "%s\\n" "$@"; env; cat /proc/$$/cmdline; }} >> {seen}\nexec skopeo "$@"\n'
    )
    wrapper.chmod(0o755)
    spied = attrs.evolve(fresh.skopeo, program=str(wrapper))
    image_id = fresh.make("spied")
    with caplog.at_level(logging.DEBUG):
        push(spied, fresh.images, "spied", f"{secured.host}/spied", secure(secured))
        pull(spied, fresh.images, f"{secured.host}/spied", options=secure(secured))
    assert fresh.images.exists(image_id)
    told = seen.read_text() + caplog.text
    assert "copy" in told
    assert USER not in told
    assert PASSWORD not in told
    assert repr(secure(secured)).find(PASSWORD) < 0


def big_image(box: ImageSandbox, name: str, megabytes: int) -> str:
    content = io.BytesIO()
    import tarfile

    with tarfile.open(fileobj=content, mode="w") as tar:
        info = tarfile.TarInfo("random")
        info.size = megabytes << 20
        tar.addfile(info, io.BytesIO(os.urandom(info.size)))
    content.seek(0)
    return import_rootfs(box.skopeo, content, name, ImportOptions(created=CREATED))


def test_a_registry_that_dies_in_the_middle_breaks_nothing_and_the_pull_can_be_repeated(
    box: ImageSandbox, fresh: ImageSandbox, registry: RegistryServer
) -> None:
    image_id = big_image(box, "cut", 8)
    push(box.skopeo, box.images, "cut", f"{registry.host}/cut", PLAIN)
    with cutting(registry.port) as proxy:
        proxy.limit = 3 << 20
        with pytest.raises(RegistryUnreachableError):
            pull(fresh.skopeo, fresh.images, f"{proxy.host}/cut", options=PLAIN)
        assert proxy.cuts
        assert fresh.images.all() == []
        assert fresh.leftovers() == []
        proxy.limit = None
        assert pull(fresh.skopeo, fresh.images, f"{proxy.host}/cut", options=PLAIN) == [image_id]


def test_a_push_that_is_cut_leaves_no_tag_and_can_be_repeated(
    box: ImageSandbox, fresh: ImageSandbox, registry: RegistryServer
) -> None:
    image_id = big_image(box, "cutpush", 4)
    with cutting(registry.port) as proxy:
        proxy.limit = 1 << 20
        with pytest.raises(RegistryUnreachableError):
            push(box.skopeo, box.images, "cutpush", f"{proxy.host}/cutpush", PLAIN)
        with pytest.raises(NoSuchImageError):
            pull(fresh.skopeo, fresh.images, f"{registry.host}/cutpush", options=PLAIN)
        proxy.limit = None
        push(box.skopeo, box.images, "cutpush", f"{proxy.host}/cutpush", PLAIN)
    assert pull(fresh.skopeo, fresh.images, f"{registry.host}/cutpush", options=PLAIN) == [image_id]


PULLER = """
import sys
from pathlib import Path
sys.path[:0] = [{tests!r}]
from tests.image.image_sandbox import ImageSandbox
from libpod.image.pull import pull
from libpod.image.transport import CopyOptions
box = ImageSandbox(Path({top!r}))
def told(event):
    if event.state == "copying" and event.done:
        print("going", flush=True)
pull(box.skopeo, box.images, {name!r}, options=CopyOptions(tls_verify=False), progress=told)
"""


def test_a_pull_killed_with_its_process_is_repeated_and_its_leftovers_are_swept(
    box: ImageSandbox, fresh: ImageSandbox, registry: RegistryServer
) -> None:
    image_id = big_image(box, "killed", 48)
    push(box.skopeo, box.images, "killed", f"{registry.host}/killed", PLAIN)
    name = f"{registry.host}/killed"
    script = PULLER.format(tests=str(Path(__file__).parents[2]), top=str(fresh.top), name=name)
    with subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, cwd=Path(__file__).parents[2], process_group=0
    ) as child:
        assert child.stdout is not None
        child.stdout.readline()  # a copy has begun, or is over on a very quick machine
        os.killpg(child.pid, 9)
    assert pull(fresh.skopeo, fresh.images, name, options=PLAIN) == [image_id]
    end = time.monotonic() + 60
    while fresh.leftovers() and time.monotonic() < end:
        sweep(fresh.tmp)  # the kernel may still be busy with the killed skopeo, which holds the lock
        time.sleep(0.01)
    assert fresh.leftovers() == []


def test_progress_tells_of_every_blob_and_ends_with_done(
    box: ImageSandbox, fresh: ImageSandbox, registry: RegistryServer
) -> None:
    published(box, registry, "shown", PLAIN)
    events: list[BlobProgress] = []
    pull(fresh.skopeo, fresh.images, f"{registry.host}/shown", options=PLAIN, progress=events.append)
    last = {(event.kind, event.digest): event for event in events}
    assert {kind for kind, _ in last} == {"blob", "config"}
    assert {event.state for event in last.values()} <= {BlobState.DONE, BlobState.SKIPPED}


def test_an_error_in_the_callback_ends_the_copy_and_reaches_the_caller(
    box: ImageSandbox, fresh: ImageSandbox, registry: RegistryServer
) -> None:
    published(box, registry, "cancelled", PLAIN)

    def cancel(_: BlobProgress) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pull(fresh.skopeo, fresh.images, f"{registry.host}/cancelled", options=PLAIN, progress=cancel)
    assert fresh.leftovers() == []


def test_the_policies_ask_the_registry_only_when_they_must(
    box: ImageSandbox, fresh: ImageSandbox, registry: RegistryServer
) -> None:
    first, _ = published(box, registry, "policy", PLAIN)
    name = f"{registry.host}/policy"
    with pytest.raises(NoSuchImageError, match="policy forbids"):
        pull(fresh.skopeo, fresh.images, name, policy="never", options=PLAIN)
    assert pull(fresh.skopeo, fresh.images, name, policy="missing", options=PLAIN) == [first]
    second = box.make("policy", {"etc/motd": "another\n"})
    push(box.skopeo, box.images, "policy", name, PLAIN)
    deaf = attrs.evolve(fresh.skopeo, program="/nonexistent/skopeo")
    assert pull(deaf, fresh.images, name, policy="missing") == [first]
    assert pull(deaf, fresh.images, name, policy="never") == [first]
    asked: list[str] = []
    assert pull(
        fresh.skopeo,
        fresh.images,
        name,
        policy="newer",
        options=PLAIN,
        announce=lambda each: asked.append(str(each)),
    ) == [second]
    assert asked == [f"{name}:latest"]
    asked.clear()
    assert pull(
        fresh.skopeo,
        fresh.images,
        name,
        policy="newer",
        options=PLAIN,
        announce=lambda each: asked.append(str(each)),
    ) == [second]
    assert asked == [], "what is the same is not copied again"
    assert fresh.store.image(first) is not None, "the older image stays, without the name"
    assert fresh.images.find(first).names == ()


def test_newer_is_content_with_what_is_here_when_the_registry_does_not_answer(fresh: ImageSandbox) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        name = f"127.0.0.1:{server.getsockname()[1]}/gone:1"
    image_id = fresh.make(name)
    assert pull(fresh.skopeo, fresh.images, name, policy="newer", options=PLAIN) == [image_id]
    with pytest.raises(RegistryUnreachableError):
        pull(fresh.skopeo, fresh.images, name, policy="always", options=PLAIN)


def test_an_id_cannot_be_pulled_but_is_found(box: ImageSandbox) -> None:
    image_id = box.make("byid")
    assert pull(box.skopeo, box.images, image_id, policy="missing") == [image_id]
    assert pull(box.skopeo, box.images, image_id[:20], policy="newer") == [image_id]
    with pytest.raises(InvalidArgumentError, match="image ID"):
        pull(box.skopeo, box.images, f"sha256:{image_id}")


def test_a_short_name_is_searched_in_the_configured_registries(
    box: ImageSandbox, top: Path, registry: RegistryServer
) -> None:
    image_id, _ = published(box, registry, "shortname:7", PLAIN)
    with socket.create_server(("127.0.0.1", 0)) as server:
        dead = f"127.0.0.1:{server.getsockname()[1]}"
    config = RegistriesConfig(search=(dead, registry.host))
    other = ImageSandbox(top / "short", registries=config)
    try:
        assert pull(other.skopeo, other.images, "shortname:7", options=PLAIN) == [image_id]
        assert other.images.resolve("shortname:7").name == f"{registry.host}/shortname:7"
        with pytest.raises(RegistryUnreachableError) as caught:
            pull(other.skopeo, other.images, "nowhere-to-be-found", options=PLAIN)
        assert any("also tried" in note for note in caught.value.__notes__)
    finally:
        other.close()


def test_all_tags_of_a_repository_are_pulled(
    box: ImageSandbox, fresh: ImageSandbox, registry: RegistryServer
) -> None:
    ids = {published(box, registry, f"several:{number}", PLAIN)[0] for number in range(3)}
    pulled = pull(fresh.skopeo, fresh.images, f"{registry.host}/several", options=PLAIN, all_tags=True)
    assert set(pulled) == ids
    assert fresh.images.exists(f"{registry.host}/several:2")


def test_the_instance_of_a_manifest_list_is_chosen_by_platform(
    box: ImageSandbox, fresh: ImageSandbox, registry: RegistryServer, top: Path
) -> None:
    ids = {}
    for arch in ("amd64", "s390x"):
        options = ImportOptions(created=CREATED, platform={"os": "linux", "architecture": arch})
        name = f"{registry.host}/list-{arch}:1"
        ids[arch] = import_rootfs(box.skopeo, io.BytesIO(_one_file(arch)), name, options)
        push(box.skopeo, box.images, name, options=PLAIN)
    box.buildah("manifest", "create", "thelist")
    for arch in ids:
        box.buildah(
            "manifest", "add", "--arch", arch, "thelist", box.reference(f"{registry.host}/list-{arch}:1")
        )
    box.buildah(
        "manifest", "push", "--all", "--tls-verify=false", "thelist", f"docker://{registry.host}/thelist:1"
    )
    name = f"{registry.host}/thelist:1"
    for arch, image_id in ids.items():
        wanted = attrs.evolve(PLAIN, platform={"os": "linux", "architecture": arch})
        assert pull(fresh.skopeo, fresh.images, name, policy="missing", options=wanted) == [image_id]
        assert pull(fresh.skopeo, fresh.images, name, policy="newer", options=wanted) == [image_id]
    assert "several" not in json.dumps(fresh.images.settings(fresh.images.find(ids["s390x"])).labels)


def _one_file(content: str) -> bytes:
    from tests.image.image_sandbox import rootfs_tar

    return rootfs_tar({"arch": content})


def test_a_policy_that_rejects_everything_is_obeyed(
    box: ImageSandbox, top: Path, registry: RegistryServer
) -> None:
    published(box, registry, "rejected", PLAIN)
    policy = top / "policy.json"
    policy.write_text('{"default": [{"type": "reject"}]}')
    strict: Skopeo = attrs.evolve(box.skopeo, policy=policy)
    with pytest.raises(ImagePolicyError):
        pull(strict, box.images, f"{registry.host}/rejected", options=PLAIN)


def test_localhost_is_no_place_to_push_to(box: ImageSandbox) -> None:
    image_id = box.make("stays")
    with pytest.raises(InvalidArgumentError, match="names no registry"):
        push(box.skopeo, box.images, "stays")
    with pytest.raises(InvalidArgumentError, match="destination"):
        push(box.skopeo, box.images, image_id)


def test_a_pushed_image_can_be_deleted_in_the_registry(box: ImageSandbox, registry: RegistryServer) -> None:
    from libpod.image.references import Reference

    published(box, registry, "deleted:1", PLAIN)
    box.skopeo.delete_remote(Reference.parse(f"{registry.host}/deleted:1"), PLAIN)
    end = time.monotonic() + 30
    while time.monotonic() < end:
        try:
            pull(box.skopeo, box.images, f"{registry.host}/deleted:1", options=PLAIN)
        except NoSuchImageError:
            return
    raise AssertionError("the registry still has it")


def test_skopeo_reads_the_store_we_pulled_into(
    box: ImageSandbox, fresh: ImageSandbox, registry: RegistryServer
) -> None:
    image_id, _ = published(box, registry, "inspected", PLAIN)
    pull(fresh.skopeo, fresh.images, f"{registry.host}/inspected", options=PLAIN)
    raw = checked(["skopeo", "inspect", "--raw", fresh.reference(f"{registry.host}/inspected:latest")]).stdout
    assert json.loads(raw)["config"]["digest"] == f"sha256:{image_id}"
