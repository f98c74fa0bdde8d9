"""Keeping an engine in order from the command line."""

from __future__ import annotations

import json

import msgspec
import pytest

from libpod.define.ids import new_id
from libpod.lock.base import LockKind
from tests.cli.command import Command
from tests.engines import Engine

pytestmark = pytest.mark.root


def test_system_check_finds_says_and_repairs(cli: Command, engine: Engine) -> None:
    assert cli("system", "check") == ""
    stale = engine.runroot / "libpod-py/exits" / new_id()
    stale.write_text("0")
    found = cli("system", "check", code=1)
    assert f"exit file {stale} belongs to container {stale.name[:12]}, which does not exist" in found
    document = json.loads(cli("system", "check", "--format", "json", code=1))
    assert [(item["Kind"], item["Repaired"]) for item in document] == [("exit file", False)]
    assert "(repaired)" in cli("system", "check", "--repair")
    assert not stale.exists()
    assert cli("system", "check") == ""


def test_system_locks_names_holders_and_conflicts(cli: Command, engine: Engine) -> None:
    assert cli("system", "locks") == "No lock conflicts have been detected"
    with engine.runtime() as runtime:
        first = runtime.create("bb:1", "true", name="first", network="none")
        second = runtime.create("bb:1", "true", name="second", network="none")
        number = first.config.lock_id
        runtime._services.state.rewrite_container_config(
            msgspec.structs.replace(second.config, lock_id=number)
        )
        with runtime._services.locks.lock(number, LockKind.CONTAINER):
            said = cli("system", "locks")
    assert f"Lock {number} is in use by several objects" in said
    assert f"Lock {number} of" in said
    assert "is held by process" in said
    cli("system", "renumber")
    assert cli("system", "locks") == "No lock conflicts have been detected"


def test_start_all_by_restart_policy(cli: Command) -> None:
    for name, policy in (("a", "always"), ("u", "unless-stopped"), ("n", "no")):
        cli("create", "--name", name, "--network", "none", "--restart", policy, "bb:1", "sleep", "1000")
    cli("start", "--all", "--filter", "restart-policy=always")
    assert cli("ps", "--format", "{{.Names}}") == "a"
    cli("start", "--all", "--filter", "should-start-on-boot=true")
    assert sorted(cli("ps", "--format", "{{.Names}}").split()) == ["a", "u"]


def test_a_reset_is_asked_for(other_cli: Command, other_engine: Engine) -> None:
    other_cli("create", "--name", "c", "--network", "none", "bb:1", "true")
    other_cli("system", "reset", stdin="n\n")
    assert other_cli("ps", "-a", "--format", "{{.Names}}") == "c"
    other_cli("system", "reset", "--force")
    assert not (other_engine.root / "libpod-py").exists()
    assert other_cli("ps", "-a", "--format", "{{.Names}}") == ""
