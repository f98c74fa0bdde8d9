"""The rules of a request for a container."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from libpod.define.errors import InvalidArgumentError
from libpod.model.container_config import HealthCheck, PortMapping
from libpod.model.create_options import CreateOptions
from libpod.model.mounts import BindMount, TmpfsMount, VolumeMount
from libpod.model.namespace_mode import NamespaceKind


def test_words_and_values_make_the_same_request() -> None:
    by_words = CreateOptions(
        image="i",
        volumes=["/a:/b", "v:/c"],
        tmpfs=["/d"],
        publish=["80:8080"],
        memory="1m",
        stop_signal="TERM",
        env=["A=1", "B"],
        labels=["x=y=z"],
        pid="host",
    )
    by_values = CreateOptions(
        image="i",
        volumes=[BindMount(source="/a", destination="/b"), VolumeMount(name="v", destination="/c")],
        tmpfs=[TmpfsMount(destination="/d")],
        publish=[PortMapping(container_port=8080, host_port=80)],
        memory=1 << 20,
        stop_signal=15,
        env={"A": "1", "B": ""},
        labels={"x": "y=z"},
        pid=by_words.pid,
    )
    assert by_words == by_values
    assert by_words.pid.kind is NamespaceKind.HOST


def test_a_request_can_be_made_again_from_its_own_values() -> None:
    request = CreateOptions(
        image="i", volumes=["/a:/b"], network=["one:ip=10.0.0.1"], publish=["80"], devices=["/dev/fuse"],
        ulimits=["nofile=1"], security_opt=["seccomp=unconfined"], expose=["80"], restart_policy="on-failure:3",
    )  # fmt: skip
    assert msgspec.structs.replace(request) == request


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"image": ""}, "an image or of a root"),
        ({"rootfs": "/r"}, "an image or of a root"),
        ({"image": "", "rootfs": "r"}, "not an absolute path"),
        ({"name": "-x"}, "cannot name a container"),
        ({"pull": "perhaps"}, "not a pull policy"),
        ({"cgroups": "many"}, "not a cgroups mode"),
        ({"image_volume": "x"}, "not a mode of image volumes"),
        ({"log_driver": "paper"}, "not a log driver"),
        ({"log_opts": ["speed=1"]}, "not a log option"),
        ({"log_opts": ["max-size=x"]}, "not a size"),
        ({"volumes": ["/a:/b"], "tmpfs": ["/b/"]}, "two mounts have the destination /b"),
        ({"volumes_from": ["c:exec"]}, 'has the option "exec"'),
        ({"workdir": "here"}, "working directory"),
        ({"env": {"A=B": "1"}}, "cannot name an environment variable"),
        ({"env": ["=1"]}, "has no name"),
        ({"hostname": "-x"}, "not a host name"),
        ({"hostname": "x" * 65}, "not a host name"),
        ({"hostname": "x", "uts": "host"}, "host's UTS"),
        ({"umask": "9"}, "not a umask"),
        ({"stop_signal": "BANG"}, "not a signal"),
        ({"stop_signal": 0}, "cannot be a stop signal"),
        ({"stop_timeout": -1}, "less than nothing"),
        ({"init": True, "pid": "host"}, "PID namespace of its own"),
        ({"shm_size": "1m", "ipc": "host"}, "/dev/shm"),
        ({"ip": "10.0.0.1", "network": "host"}, "need a bridge"),
        ({"ip": "10.0.0.1", "network": ["a", "b"]}, "several networks"),
        ({"ip": "fd00::1"}, "not an IPv4"),
        ({"ip6": "10.0.0.1"}, "not an IPv6"),
        ({"mac_address": "x"}, "not a MAC"),
        ({"dns": ["x"]}, "not an IP address"),
        ({"dns": ["1.1.1.1"], "network": "container:x"}, "name servers belong"),
        ({"no_hosts": True, "add_host": ["a:1.1.1.1"]}, "left alone"),
        ({"add_host": ["a"]}, "not a host"),
        ({"add_host": ["a:b"]}, "not an IP address"),
        ({"cpus": 1, "cpu_quota": 5}, "stands for a quota"),
        ({"cpus": -1}, "less than nothing"),
        ({"memory_swap": "1g"}, "needs one of memory"),
        ({"memory": "2g", "memory_swap": "1g"}, "below that of memory"),
        ({"memory": "1m", "memory_reservation": "2m"}, "reservation is above"),
        ({"memory_swappiness": 101}, "between 0 and 100"),
        ({"blkio_weight": 5}, "between 10 and 1000"),
        ({"oom_score_adj": 1001}, "between -1000 and 1000"),
        ({"oom_kill_disable": True}, "take the machine down"),
        ({"cpuset_cpus": "a"}, "not a list of CPU"),
        ({"ulimits": ["core=1", "core=2"]}, "given twice"),
        ({"cgroups": "disabled", "memory": "1g"}, "need a cgroup"),
        ({"restart_policy": "maybe"}, "not a restart policy"),
        ({"restart_policy": "on-failure:x"}, "not a restart policy"),
        ({"restart_policy": "always:3"}, "needs the restart policy on-failure"),
        ({"restart_retries": 3}, "needs the restart policy on-failure"),
        ({"restart_policy": "always", "auto_remove": True}, "cannot be restarted"),
        ({"no_health_check": True, "health_check": HealthCheck(test=("CMD", "x"))}, "switched off"),
        ({"health_on_failure": "restart", "restart_policy": "always"}, "exclude each other"),
        ({"publish": "80"}, "where a list is wanted"),
        ({"cgroup_parent": "../x"}, "leaves the cgroup"),
    ],
)
def test_a_request_that_makes_no_sense_is_refused(fields: dict[str, Any], reason: str) -> None:
    with pytest.raises(InvalidArgumentError, match=reason):
        CreateOptions(**{"image": "i", **fields})


def test_swap_without_limit_and_hosts_by_gateway_are_fine() -> None:
    request = CreateOptions(image="i", memory="1g", memory_swap="-1", add_host=["a:host-gateway", "b:[::1]"])
    assert request.memory_swap == -1
