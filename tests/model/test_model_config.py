"""Configuration files and overrides."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from libpod.config import ContainerDefaults, EnginePaths, RuntimeConfig
from libpod.config_files import container_files, storage_file
from libpod.define.errors import ConfigError


def load(directory: Path, text: str, storage: str = "", **overrides: Any) -> RuntimeConfig:
    (directory / "containers.conf").write_text(text)
    environ = {"CONTAINERS_CONF": str(directory / "containers.conf")}
    (directory / "storage.conf").write_text(storage)
    environ["CONTAINERS_STORAGE_CONF"] = str(directory / "storage.conf")
    return RuntimeConfig.load(environ=environ, **overrides)


def test_without_files_the_defaults_hold() -> None:
    config = RuntimeConfig.load(read_files=False)
    assert config == RuntimeConfig()
    assert config.cgroup_manager == "cgroupfs"
    assert config.stop_timeout == 10
    assert config.containers.pids_limit == 2048


def test_known_keys_are_taken_and_others_left_alone(tmp_path: Path) -> None:
    config = load(
        tmp_path,
        """
        unknown = 1
        [containers]
        default_capabilities = ["CHOWN"]
        pids_limit = 7
        shm_size = "1m"
        umask = "0027"
        tz = "UTC"
        netns = "none"
        brand_new = true
        [engine]
        runtime = "crun"
        stop_timeout = 3
        hooks_dir = ["/h"]
        events_logger = "none"
        static_dir = "/podmans"
        [engine.runtimes]
        crun = ["/opt/crun"]
        kata = ["/opt/kata"]
        [network]
        default_subnet = "10.88.0.0/16"
        network_backend = "netavark"
        """,
    )
    assert config.containers.capabilities == ("CHOWN",)
    assert (config.containers.pids_limit, config.containers.shm_size) == (7, 1 << 20)
    assert (config.containers.umask, config.containers.timezone) == ("0027", "UTC")
    assert (config.runtime, config.stop_timeout, config.hooks_dirs) == ("crun", 3, ("/h",))
    assert (config.events_backend, config.network_mode) == ("none", "none")
    assert config.runtimes["crun"] == ("/opt/crun",)
    assert config.runtimes["kata"] == ("/opt/kata",)
    assert config.runtimes["runc"], "the runtimes that the file does not name keep their places"
    assert config.default_subnet == "", "podman's networks are not ours"
    assert config.network_backend == "netavark"


def test_a_list_can_add_to_what_is_there(tmp_path: Path) -> None:
    config = load(
        tmp_path, '[containers]\nenv = ["A=1", {append=true}]\nvolumes = ["/a:/b", {append=false}]\n'
    )
    assert config.containers.env == (*ContainerDefaults().env, "A=1")
    assert config.containers.volumes == ("/a:/b",)


def test_an_empty_string_is_as_if_the_key_were_absent(tmp_path: Path) -> None:
    assert load(tmp_path, '[engine]\ncgroup_manager = ""\n').cgroup_manager == "cgroupfs"


def test_systemd_is_used_only_where_it_runs(tmp_path: Path) -> None:
    expected = "systemd" if Path("/run/systemd/system").is_dir() else "cgroupfs"
    assert load(tmp_path, '[engine]\ncgroup_manager = "systemd"\n').cgroup_manager == expected
    if expected == "cgroupfs":
        with pytest.raises(ConfigError, match="systemd does not run here"):
            RuntimeConfig.load(read_files=False, cgroup_manager="systemd")


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("[containers]\npids_limit = 'many'\n", ["containers.pids_limit", "'many'", "int"]),
        ("[containers]\ninit = 1\n", ["containers.init", "bool"]),
        ("[containers]\nenv = 'A=1'\n", ["containers.env", "not a list"]),
        ("[containers]\nenv = [1]\n", ["containers.env", "not a string"]),
        ("[containers]\nshm_size = 'huge'\n", ["containers.shm_size", "not a size"]),
        ("containers = 1\n", ["containers is not a table"]),
        ("[engine]\nruntimes = 1\n", ["engine.runtimes is not a table"]),
        ("[containers\n", ["is not TOML"]),
    ],
)
def test_a_wrong_key_is_named_with_its_file(tmp_path: Path, text: str, parts: list[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, text)
    for part in [str(tmp_path / "containers.conf"), *parts]:
        assert part in str(caught.value)


def test_a_named_file_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        RuntimeConfig.load(environ={"CONTAINERS_CONF": str(tmp_path / "missing")})


@pytest.mark.parametrize(
    ("overrides", "reason"),
    [
        ({"speed": 1}, 'no setting "speed"'),
        ({"graph_root": "relative"}, "not an absolute path"),
        ({"events_backend": "paper"}, "use one of file, journald, none"),
        ({"log_driver": "paper"}, "log_driver"),
        ({"stop_timeout": -1}, "less than nothing"),
    ],
)
def test_a_wrong_override_is_refused(overrides: dict[str, Any], reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        RuntimeConfig.load(read_files=False, **overrides)


def test_overrides_win_over_files(tmp_path: Path) -> None:
    config = load(
        tmp_path, "[containers]\npids_limit = 7\n[engine]\nstop_timeout = 3\n", pids_limit=8, stop_timeout=4
    )
    assert (config.containers.pids_limit, config.stop_timeout) == (8, 4)


def test_storage_comes_from_its_own_file(tmp_path: Path) -> None:
    storage = """
    [storage]
    driver = "overlay"
    graphroot = "/g"
    runroot = "/r"
    [storage.options]
    additionalimagestores = ["/more"]
    mountopt = "nodev"
    [storage.options.overlay]
    mountopt = "nodev,metacopy=on"
    """
    config = load(tmp_path, "", storage)
    assert (config.graph_root, config.run_root) == (Path("/g"), Path("/r"))
    assert config.image_stores == ("/more",)
    assert config.storage_options == ("overlay.mountopt=nodev,metacopy=on",)


def test_drop_ins_and_the_last_file_are_found_in_order(tmp_path: Path) -> None:
    override = tmp_path / "last.conf"
    override.write_text("")
    found = container_files({"CONTAINERS_CONF_OVERRIDE": str(override)})
    assert found[-1] == override
    assert container_files({"CONTAINERS_CONF": "/x"}) == [Path("/x")]
    assert storage_file({"CONTAINERS_STORAGE_CONF": "/s"}) == Path("/s")


def test_no_path_of_the_engine_is_podmans() -> None:
    paths = EnginePaths(graph_root=Path("/g"), run_root=Path("/r"))
    for name in dir(EnginePaths):
        value = getattr(paths, name)
        if isinstance(value, Path) and name not in ("graph_root", "run_root"):
            assert str(value).startswith(("/g/libpod-py", "/r/libpod-py")), name
    for value in (paths.exit_file("x"), paths.persist("x"), paths.netns("x"), paths.oci_root("runc")):
        assert str(value).startswith("/r/libpod-py/")
    assert paths.durable in paths.private_directories


def test_explicit_places_are_used_as_they_are() -> None:
    config = RuntimeConfig(volume_path="/v", network_config_dir="/n", events_log_path="/e/log")
    assert (config.paths.volumes, config.paths.networks) == (Path("/v"), Path("/n"))
    assert config.paths.events_log == Path("/e/log")
    assert config.paths.volume("data") == Path("/v/data")


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (
            "[storage]\ntransient_store = true",
            "storage.transient_store asks for containers that a reboot forgets",
        ),
        ('[storage]\nimagestore = "/images"', "storage.imagestore asks for images in another place"),
        (
            '[storage.options]\nadditionallayerstores = ["/l:ref"]',
            "additionallayerstores asks for layers of a plugin",
        ),
    ],
)
def test_split_stores_are_refused_in_a_sentence(tmp_path: Path, line: str, words: str) -> None:
    (tmp_path / "storage.conf").write_text(line)
    with pytest.raises(ConfigError, match=words):
        RuntimeConfig.load(environ={"CONTAINERS_STORAGE_CONF": str(tmp_path / "storage.conf")})
