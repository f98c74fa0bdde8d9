"""Ulimits, devices, security options and health checks as the command line writes them."""

from __future__ import annotations

import os

import pytest

from libpod.define.errors import InvalidArgumentError
from libpod.linux.rlimits import INFINITY
from libpod.model.container_config import HealthCheck
from libpod.model.health import OnFailure, health_check, parse_health_command, parse_on_failure
from libpod.model.limits import (
    DeviceLimit,
    DeviceRequest,
    DeviceRule,
    Ulimit,
    parse_device,
    parse_device_bytes,
    parse_device_operations,
    parse_device_rule,
    parse_device_weight,
    parse_ulimit,
)
from libpod.model.security_options import SecurityOptions, parse_security_options


def test_a_ulimit_has_a_name_and_one_or_two_numbers() -> None:
    assert parse_ulimit("nofile=10") == Ulimit(name="RLIMIT_NOFILE", soft=10, hard=10)
    assert parse_ulimit("RLIMIT_CORE=0:-1") == Ulimit(name="RLIMIT_CORE", soft=0, hard=INFINITY)
    assert parse_ulimit("memlock=unlimited").hard == INFINITY


@pytest.mark.parametrize(
    "text", ["", "nofile", "nofile=", "nofile=1:", "nofile=2:1", "speed=1", "nofile=x", "core=-2"]
)
def test_what_is_not_a_ulimit_is_refused(text: str) -> None:
    with pytest.raises(InvalidArgumentError):
        parse_ulimit(text)


def test_a_device_may_have_another_name_and_less_access() -> None:
    assert parse_device("/dev/a") == DeviceRequest(source="/dev/a", destination="/dev/a")
    assert parse_device("/dev/a:/dev/b") == DeviceRequest(source="/dev/a", destination="/dev/b")
    assert parse_device("/dev/a:rw") == DeviceRequest(source="/dev/a", destination="/dev/a", access="rw")
    assert parse_device("/dev/a:/dev/b:r") == DeviceRequest(source="/dev/a", destination="/dev/b", access="r")


@pytest.mark.parametrize("text", ["", "dev", "/dev/a:b", "/dev/a:/dev/b:x", "/dev/a:/dev/b:rr", "/a:/b:r:w"])
def test_what_is_not_a_device_is_refused(text: str) -> None:
    with pytest.raises(InvalidArgumentError, match="is not a device"):
        parse_device(text)


def test_a_device_rule_may_leave_numbers_open() -> None:
    assert parse_device_rule("c 1:3 rwm") == DeviceRule(type="c", major=1, minor=3, access="rwm")
    assert parse_device_rule("b *:* r") == DeviceRule(type="b", major=None, minor=None, access="r")
    with pytest.raises(InvalidArgumentError, match="is not a device rule"):
        parse_device_rule("c 1 r")


def test_limits_of_devices_have_their_units() -> None:
    assert parse_device_bytes("/dev/a:1m") == DeviceLimit(path="/dev/a", value=1 << 20)
    assert parse_device_operations("/dev/a:100") == DeviceLimit(path="/dev/a", value=100)
    assert parse_device_weight("/dev/a:10") == DeviceLimit(path="/dev/a", value=10)
    for parse, text in (
        (parse_device_weight, "/dev/a:5"),
        (parse_device_operations, "/dev/a:1m"),
        (parse_device_bytes, "a:1"),
    ):
        with pytest.raises(InvalidArgumentError):
            parse(text)


def test_security_options_are_gathered() -> None:
    found = parse_security_options(
        ["no-new-privileges", "seccomp=rules.json", "apparmor=mine", "label=type:spc_t", "label=level:s0",
         "mask=/a:/b", "unmask=all", "proc-opts=nosuid,hidepid=2"]
    )  # fmt: skip
    assert found == SecurityOptions(
        no_new_privileges=True,
        seccomp=os.path.abspath("rules.json"),
        apparmor="mine",
        labels=("type:spc_t", "level:s0"),
        mask=("/a", "/b"),
        unmask=("ALL",),
        proc_options=("nosuid", "hidepid=2"),
    )
    assert found.unmasks_all
    assert parse_security_options(["seccomp:unconfined"]).seccomp == "unconfined"
    assert not parse_security_options(["no-new-privileges=false"]).no_new_privileges


@pytest.mark.parametrize(
    "text", ["", "odd", "seccomp=", "label=x", "mask=rel", "no-new-privileges=maybe", "label=type:"]
)
def test_what_is_not_a_security_option_is_refused(text: str) -> None:
    with pytest.raises(InvalidArgumentError):
        parse_security_options([text])


def test_the_command_of_a_health_check_is_text_or_a_list() -> None:
    assert parse_health_command("curl x") == ("CMD-SHELL", "curl x")
    assert parse_health_command('["CMD", "a", "b"]') == ("CMD", "a", "b")
    assert parse_health_command('["a", "b"]') == ("CMD", "a", "b")
    assert parse_health_command("[ -f /x ]") == ("CMD-SHELL", "[ -f /x ]")
    assert parse_health_command(["CMD-SHELL", "x"]) == ("CMD-SHELL", "x")
    assert parse_health_command("none") == ("NONE",)
    with pytest.raises(InvalidArgumentError, match="empty"):
        parse_health_command(" ")


def test_a_health_check_has_sensible_times() -> None:
    assert health_check(
        command="x", interval="5s", timeout="1s", start_period="2s", retries=4
    ) == HealthCheck(
        test=("CMD-SHELL", "x"), interval=5 * 10**9, timeout=10**9, start_period=2 * 10**9, retries=4
    )
    assert health_check(command="x", interval="disable").interval == 0
    assert health_check(command="none") == HealthCheck(test=("NONE",))
    for wrong in ({"timeout": "1ms"}, {"retries": 0}, {"start_period": "-1s"}, {"interval": "x"}):
        with pytest.raises(InvalidArgumentError):
            health_check(command="x", **wrong)


def test_actions_on_failure_have_podmans_numbers() -> None:
    assert [parse_on_failure(word).number for word in ("none", "kill", "restart", "stop")] == [0, 2, 3, 4]
    assert parse_on_failure("") is OnFailure.NONE
    with pytest.raises(InvalidArgumentError, match="use one of none, kill, restart, stop"):
        parse_on_failure("explode")
