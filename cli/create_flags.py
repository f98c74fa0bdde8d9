"""The flags of run and create, and the request that they make.

Most flags are one field of `CreateOptions` each: a table. The library reads and checks their words.

Covers: cmd/podman/common/create.go, cmd/podman/common/create_opts.go
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from typing import Any

import libpod
from libpod_cli.environment import environment, labels
from libpod_cli.parser import Parser, UsageError

# The flag, how it is read, the field it fills, and its help.
FLAGS: tuple[tuple[str, str, str, str], ...] = (
    ("--add-host", "words", "add_host", "NAME:ADDRESS for /etc/hosts"),
    ("--annotation", "words", "annotations", "KEY=VALUE for the OCI specification"),
    ("--blkio-weight", "number", "blkio_weight", "weight of block I/O, 10 to 1000"),
    ("--blkio-weight-device", "words", "blkio_weight_device", "DEVICE:WEIGHT"),
    ("--cap-add", "words", "cap_add", "add a capability"),
    ("--cap-drop", "words", "cap_drop", "drop a capability"),
    ("--cgroup-conf", "words", "cgroup_conf", "FILE=VALUE of cgroup v2"),
    ("--cgroup-parent", "text", "cgroup_parent", "cgroup above the container's"),
    ("--cgroupns", "text", "cgroupns", "cgroup namespace: host, private, container:ID, ns:PATH"),
    ("--cgroups", "text", "cgroups", "enabled, disabled, no-conmon or split"),
    ("--conmon-pidfile", "text", "conmon_pid_file", "write conmon's process id there"),
    ("--cpu-period", "number", "cpu_period", "period of the CPU quota in microseconds"),
    ("--cpu-quota", "number", "cpu_quota", "CPU time in a period in microseconds"),
    ("--cpu-rt-period", "number", "cpu_rt_period", "the same for real-time processes"),
    ("--cpu-rt-runtime", "number", "cpu_rt_runtime", "the same for real-time processes"),
    ("-c --cpu-shares", "number", "cpu_shares", "weight among others"),
    ("--cpus", "decimal", "cpus", "number of CPUs"),
    ("--cpuset-cpus", "text", "cpuset_cpus", "CPUs to run on"),
    ("--cpuset-mems", "text", "cpuset_mems", "memory nodes to use"),
    ("--device", "words", "devices", "HOST[:CONTAINER[:rwm]]"),
    ("--device-cgroup-rule", "words", "device_cgroup_rules", "rule for devices, such as c 1:3 rwm"),
    ("--device-read-bps", "words", "device_read_bps", "DEVICE:BYTES a second"),
    ("--device-read-iops", "words", "device_read_iops", "DEVICE:OPERATIONS a second"),
    ("--device-write-bps", "words", "device_write_bps", "DEVICE:BYTES a second"),
    ("--device-write-iops", "words", "device_write_iops", "DEVICE:OPERATIONS a second"),
    ("--dns", "words", "dns", "address of a name server"),
    ("--dns-option", "words", "dns_option", "option for /etc/resolv.conf"),
    ("--dns-search", "words", "dns_search", "domain to search"),
    ("--env-host", "switch", "env_host", "all variables of this process"),
    ("--expose", "words", "expose", "PORT[-PORT][/PROTOCOL]"),
    ("--group-add", "words", "groups", "another group of the process"),
    ("-h --hostname", "text", "hostname", "host name"),
    ("--image-volume", "text", "image_volume", "what becomes of the image's volumes: bind, tmpfs, ignore"),
    ("--init", "switch", "init", "run a small init that reaps processes"),
    ("--init-path", "text", "init_path", "that init"),
    ("-i --interactive", "switch", "interactive", "keep its input open"),
    ("--ip", "text", "ip", "IPv4 address"),
    ("--ip6", "text", "ip6", "IPv6 address"),
    ("--ipc", "text", "ipc", "IPC namespace: host, private, shareable, none, container:ID, ns:PATH"),
    ("--log-driver", "text", "log_driver", "k8s-file, json-file, none or passthrough"),
    ("--log-opt", "words", "log_opts", "path=…, max-size=…, tag=…"),
    ("--mac-address", "text", "mac_address", "MAC address"),
    ("-m --memory", "text", "memory", "memory limit, such as 512m"),
    ("--memory-reservation", "text", "memory_reservation", "soft limit of memory"),
    ("--memory-swap", "text", "memory_swap", "limit of memory and swap together; -1: none"),
    ("--memory-swappiness", "number", "memory_swappiness", "0 to 100"),
    ("--mount", "array", "mounts", "type=bind|volume|tmpfs|image|devpts,src=…,dst=…,…"),
    ("--name", "text", "name", "name"),
    (
        "--network --net",
        "array",
        "network",
        "none, host, bridge, container:ID, ns:PATH, or NAME[:key=value,…]",
    ),
    ("--network-alias", "words", "network_alias", "another name in its networks"),
    ("--no-healthcheck", "switch", "no_health_check", "without the image's health check"),
    ("--no-hosts", "switch", "no_hosts", "leave the image's /etc/hosts alone"),
    ("--oom-kill-disable", "switch", "oom_kill_disable", "never kill it for want of memory"),
    ("--oom-score-adj", "number", "oom_score_adj", "-1000 to 1000"),
    ("--pid", "text", "pid", "PID namespace: host, private, container:ID, ns:PATH"),
    ("--pidfile", "text", "pid_file", "write its process id there"),
    ("--pids-limit", "number", "pids_limit", "number of processes; -1: any"),
    ("--platform", "text", "platform", "OS/ARCH[/VARIANT] of the image"),
    ("--pod", "text", "pod", "put it into this pod"),
    ("--preserve-fds", "number", "preserve_fds", "give it so many descriptors more, from 3 on"),
    ("--privileged", "switch", "privileged", "with all capabilities and devices"),
    ("-p --publish", "words", "publish", "[[ADDRESS:][HOST]:]CONTAINER[/PROTOCOL]"),
    ("-P --publish-all", "switch", "publish_all", "publish what the image exposes"),
    ("--pull", "text", "pull", "always, missing, newer or never"),
    ("--read-only", "switch", "read_only", "with a root file system that cannot be written"),
    ("--requires", "words", "requires", "containers that have to run first"),
    ("--restart", "text", "restart_policy", "no, always, unless-stopped, on-failure[:N]"),
    ("--rm", "switch", "auto_remove", "remove it when it ends"),
    (
        "--security-opt",
        "array",
        "security_opt",
        "seccomp=…, apparmor=…, label=…, no-new-privileges, mask=…, unmask=…",
    ),
    ("--shm-size", "text", "shm_size", "size of /dev/shm"),
    ("--stop-signal", "text", "stop_signal", "what stop sends"),
    ("--stop-timeout", "number", "stop_timeout", "seconds until stop kills"),
    ("--storage-opt", "words", "storage_opts", "KEY=VALUE for its layer"),
    ("--sysctl", "words", "sysctl", "NAME=VALUE"),
    ("--timeout", "number", "timeout", "kill it after so many seconds"),
    ("--tmpfs", "array", "tmpfs", "DIRECTORY[:OPTION,…]"),
    ("-t --tty", "switch", "tty", "with a terminal"),
    ("--tz", "text", "timezone", "time zone, or local"),
    ("--ulimit", "words", "ulimits", "NAME=SOFT[:HARD], or host"),
    ("--umask", "text", "umask", "umask, octal"),
    ("--unsetenv", "array", "unset_env", "a variable to leave out"),
    ("--unsetenv-all", "switch", "unset_env_all", "leave out all default variables"),
    ("-u --user", "text", "user", "NAME|UID[:GROUP|GID]"),
    ("--uidmap", "array", "uid_map", "CONTAINER_ID:HOST_ID[:HOW_MANY]"),
    ("--gidmap", "array", "gid_map", "CONTAINER_ID:HOST_ID[:HOW_MANY]"),
    ("--userns", "text", "userns", "user namespace: host, private, container:ID, ns:PATH"),
    ("--uts", "text", "uts", "UTS namespace: host, private, container:ID, ns:PATH"),
    ("-v --volume", "array", "volumes", "[SOURCE:]DIRECTORY[:OPTION,…]"),
    ("--volumes-from", "array", "volumes_from", "CONTAINER[:OPTION,…]"),
    ("-w --workdir", "text", "workdir", "working directory"),
)

_HEALTH = (
    ("cmd", "command"),
    ("interval", "interval"),
    ("timeout", "timeout"),
    ("start-period", "start_period"),
)


def declare_create(parser: Parser) -> None:
    """Everything that run and create share."""
    for names, kind, _, text in FLAGS:
        getattr(parser, kind)(*names.split(), help=text)
    parser.array("-e", "--env", help="NAME=VALUE, or NAME for this process's value")
    parser.words("--env-file", help="a file of such lines")
    parser.array("-l", "--label", help="KEY=VALUE")
    parser.words("--label-file", help="a file of such lines")
    parser.text(
        "--entrypoint", default="\0", help="a program, or a JSON list, instead of the image's; empty for none"
    )
    for name, _ in _HEALTH:
        parser.text(f"--health-{name}", help=f"{name} of the health check")
    parser.number("--health-retries", help="failures until it counts as unhealthy")
    parser.text("--health-on-failure", help="none, kill, restart or stop")
    parser.switch("--passwd", default=True, help="add the user to /etc/passwd")
    parser.switch(
        "--read-only-tmpfs", default=True, help="with --read-only: /run, /tmp and /var/tmp can be written"
    )
    parser.text("--cidfile", help="write the container's id into this new file")
    parser.switch("--replace", help="remove the container that has the name")
    parser.switch("--rootfs", help="the first argument is a directory to be the root, not an image")
    parser.switch("-q", "--quiet", help="no progress while an image is pulled")


def create_options(args: argparse.Namespace, command_line: Sequence[str]) -> libpod.CreateOptions:
    """The request that the flags and arguments make; raises InvalidArgumentError, UsageError."""
    given: dict[str, Any] = {}
    for names, _, field, _ in FLAGS:
        long = next(name for name in names.split() if name.startswith("--"))
        value = getattr(args, long[2:].replace("-", "_"))
        if value not in (None, "", [], False):
            given[field] = value
    source, *command = args.arguments
    given["rootfs" if args.rootfs else "image"] = source
    if args.entrypoint != "\0":
        given["entrypoint"] = _entrypoint(args.entrypoint)
    if any(getattr(args, f"health_{name.replace('-', '_')}") for name, _ in _HEALTH):
        given["health_check"] = _health_check(args)
    if args.health_on_failure:
        given["health_on_failure"] = args.health_on_failure
    return libpod.CreateOptions(
        command=tuple(command),
        env=environment(args.env, args.env_file),
        labels=labels(args.label, args.label_file),
        passwd=args.passwd,
        read_only_tmpfs=args.read_only_tmpfs,
        create_command=tuple(command_line),
        **given,
    )


def _entrypoint(text: str) -> tuple[str, ...]:
    if text.startswith("["):
        try:
            decoded = json.loads(text)
        except ValueError:
            decoded = None
        if isinstance(decoded, list) and all(isinstance(word, str) for word in decoded):
            return tuple(decoded)
    return (text,) if text else ()


def _health_check(args: argparse.Namespace) -> Any:
    if not args.health_cmd:
        raise UsageError("a health check needs a command: give --health-cmd")
    words = {
        field: value
        for name, field in _HEALTH
        if (value := getattr(args, f"health_{name.replace('-', '_')}"))
    }
    retries = {} if args.health_retries is None else {"retries": args.health_retries}
    return libpod.health_check(**words, **retries)
