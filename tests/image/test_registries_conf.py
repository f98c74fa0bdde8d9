"""registries.conf and its drop-ins."""

from __future__ import annotations

from pathlib import Path

import pytest

from libpod.define.errors import ConfigError
from libpod.image.registries import RegistriesConfig, merged, read_registries


def environ(home: Path, **more: str) -> dict[str, str]:
    return {
        "HOME": str(home),
        "XDG_CONFIG_HOME": str(home / "config"),
        "XDG_CACHE_HOME": str(home / "cache"),
        **more,
    }


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_the_users_file_is_used_and_its_drop_ins_override_it_in_order(tmp_path: Path) -> None:
    base = tmp_path / "config/containers"
    write(
        base / "registries.conf", 'unqualified-search-registries = ["a.io"]\nshort-name-mode = "enforcing"\n'
    )
    write(base / "registries.conf.d/10.conf", '[aliases]\n"x" = "a.io/x"\n"y" = "a.io/y"\n')
    write(base / "registries.conf.d/20.conf", 'unqualified-search-registries = []\n[aliases]\n"x" = ""\n')
    write(base / "registries.conf.d/30.txt", "not read")
    config = read_registries(environ=environ(tmp_path))
    assert config.search == ()
    assert config.short_name_mode == "enforcing"
    assert config.aliases["y"] == "a.io/y"
    assert "x" not in config.aliases, "an alias set to nothing is removed"
    assert config.path == str(base / "registries.conf")
    assert config.environment() == {}


def test_an_explicit_file_is_the_only_one_and_skopeo_is_told(tmp_path: Path) -> None:
    write(tmp_path / "config/containers/registries.conf.d/10.conf", '[aliases]\n"x" = "a.io/x"\n')
    file = write(tmp_path / "own.conf", 'unqualified-search-registries = ["b.io"]\n')
    for config in (
        read_registries(file, environ=environ(tmp_path)),
        read_registries(environ=environ(tmp_path, CONTAINERS_REGISTRIES_CONF=str(file))),
    ):
        assert config.search == ("b.io",)
        assert "x" not in config.aliases
        assert config.environment() == {"CONTAINERS_REGISTRIES_CONF": str(file)}


def test_the_first_version_of_the_format_is_understood() -> None:
    config = merged(RegistriesConfig(), {"registries": {"search": {"registries": ["a.io"]}}}, file="f")
    assert config.search == ("a.io",)


def test_insecure_registries_are_remembered_and_can_be_taken_back() -> None:
    first = merged(
        RegistriesConfig(),
        {"registry": [{"location": "a:5000/x", "insecure": True}, {"prefix": "b"}]},
        file="f",
    )
    assert first.insecure == {"a:5000"}
    assert merged(first, {"registry": [{"location": "a:5000"}]}, file="g").insecure == frozenset()


@pytest.mark.parametrize(
    "text",
    ['unqualified-search-registries = "a"', "aliases = 1", 'short-name-mode = "maybe"', "= broken", "\xff"],
)
def test_a_malformed_file_is_named(tmp_path: Path, text: str) -> None:
    file = tmp_path / "own.conf"
    file.write_bytes(text.encode("latin-1"))
    with pytest.raises(ConfigError, match=r"own\.conf"):
        read_registries(file, environ=environ(tmp_path))


def test_a_missing_explicit_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="does not exist"):
        read_registries(tmp_path / "none", environ=environ(tmp_path))
