"""Listing containers, and small questions about them.

Covers: cmd/podman/containers (ps, exists, port, rename, update)
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from typing import Any

import libpod
from libpod_cli.choose import chosen, declare_choice, is_live
from libpod_cli.filters import listed_filters
from libpod_cli.formatting import (
    NEVER,
    ago,
    go_time,
    human_duration,
    human_size,
    short,
    shortened,
    show,
    unix_seconds,
)
from libpod_cli.parser import Parser, UsageError
from libpod_cli.session import Session
from libpod_cli.verbs import verb

# ---- ps -----------------------------------------------------------------------------------------------------------

COLUMNS = ("ID", "Image", "Command", "RunningFor", "Status", "Ports", "Names")
HEADINGS = {
    "ID": "CONTAINER ID",
    "RunningFor": "CREATED",
    "CreatedHuman": "CREATED",
    "Pod": "POD ID",
    "PodName": "PODNAME",
    "CGROUPNS": "CGROUPNS",
    "PIDNS": "PIDNS",
    "USERNS": "USERNS",
}
NAMESPACES = {
    "CGROUPNS": "cgroup",
    "IPC": "ipc",
    "MNT": "mnt",
    "NET": "net",
    "PIDNS": "pid",
    "USERNS": "user",
    "UTS": "uts",
}
SORTS = {
    "command": lambda item: " ".join(item.summary.command),
    "created": lambda item: item.summary.created,
    "id": lambda item: item.id,
    "image": lambda item: item.summary.image,
    "names": lambda item: item.name,
    "runningfor": lambda item: item.state.started_time,
    "size": lambda item: item.summary.created,
    "status": lambda item: item.status.word,
}


def _ps_flags(parser: Parser) -> None:
    parser.switch("-a", "--all", help="all of them, not only those that run")
    parser.words(
        "-f", "--filter", help=f"only those for which this holds ({', '.join(sorted(_filter_names()))})"
    )
    parser.text("--format", help='"json" or a template such as {{.ID}}')
    parser.number("-n", "--last", default=-1, help="only the last ones created, whatever their state")
    parser.switch("-l", "--latest", help="only the last one created, whatever its state")
    parser.switch("--no-trunc", help="whole ids and commands")
    parser.switch("--noheading", help="no heading")
    parser.switch("--ns", help="show the namespaces")
    parser.switch("-p", "--pod", help="show the pods")
    parser.switch("-q", "--quiet", help="only ids")
    parser.switch("-s", "--size", help="show the sizes")
    parser.text("--sort", default="created", help=f"by {', '.join(SORTS)}")
    parser.switch("--sync", help="accepted and not needed: ends are always recorded first")
    parser.number("-w", "--watch", default=0, help="again and again, after so many seconds")


def _filter_names() -> Sequence[str]:
    from libpod_cli.filters import MAKERS

    return tuple(MAKERS)


@verb("[options]", _ps_flags, most=0)
def ps(args: argparse.Namespace, session: Session) -> int:
    """List containers"""
    if args.quiet and args.format:
        raise UsageError("--quiet and --format exclude each other")
    if args.sort not in SORTS:
        raise UsageError(f'"{args.sort}" is not a way to sort: use one of {", ".join(SORTS)}')
    while True:
        _list(args, session)
        if not args.watch:
            return 0
        import time

        time.sleep(args.watch)


def _list(args: argparse.Namespace, session: Session) -> None:
    last = 1 if args.latest else args.last
    predicates = listed_filters(args.filter, session.runtime)
    by_status = any(text.startswith("status=") for text in args.filter)
    found = session.runtime.containers(*predicates, all=args.all or by_status or last >= 0)
    if last >= 0:
        found = found[len(found) - min(last, len(found)) :][::-1]
    if args.sort != "created":
        found.sort(key=SORTS[args.sort])
    if args.quiet:
        for item in found:
            print(short(item.id, whole=args.no_trunc))
        return
    sizes = {item.id: _sizes(item, session) for item in found} if args.size else {}
    if args.sort == "size":
        found.sort(key=lambda item: sizes.get(item.id, (0, 0))[0])
    show(
        []
        if args.format == "json"
        else [row(item, sizes.get(item.id), whole=args.no_trunc) for item in found],
        args.format,
        columns=_columns(args),
        headings=HEADINGS,
        documents=lambda: [document(item, sizes.get(item.id)) for item in found],
        heading=not args.noheading,
    )


def _columns(args: argparse.Namespace) -> Sequence[str]:
    if args.ns:
        return ("ID", "Names", "Pid", *NAMESPACES)
    pods = ("Pod", "PodName") if args.pod else ()
    return (*COLUMNS, *pods, *(("Size",) if args.size else ()))


def _sizes(item: libpod.Listed, session: Session) -> tuple[int, int]:
    found = session.runtime.container(item.id).inspect(size=True)
    return int(found.get("SizeRw") or 0), int(found.get("SizeRootFs") or 0)


class Row(dict[str, Any]):
    """One line of ps; what costs something is worked out when a template asks for it."""

    def __init__(self, item: libpod.Listed, values: dict[str, Any]) -> None:
        super().__init__(values)
        self._item = item

    def __contains__(self, name: object) -> bool:
        return super().__contains__(name) or name in NAMESPACES or name in ("Label", "Namespaces")

    def __missing__(self, name: str) -> Any:
        if name == "Label":
            return lambda label: self._item.summary.labels.get(label, "")
        if name == "Namespaces":
            return {field: self[field] for field in NAMESPACES}
        if name in NAMESPACES:
            return _namespace(self._item.state.pid, NAMESPACES[name])
        raise KeyError(name)


def row(item: libpod.Listed, sizes: tuple[int, int] | None, *, whole: bool) -> Row:
    """The fields of one container for tables and templates."""
    summary, state = item.summary, item.state
    created = go_time(summary.created_time)
    values = {
        "ID": short(item.id, whole=whole),
        "Image": summary.image,
        "ImageID": short(summary.image_id, whole=whole),
        "Command": shortened(" ".join(summary.command), 20, whole=whole),
        "RunningFor": ago(summary.created_time),
        "CreatedHuman": ago(summary.created_time),
        "Created": created,
        "CreatedAt": created,
        "StartedAt": int(unix_seconds(state.started_time)),
        "ExitedAt": int(unix_seconds(state.finished_time)),
        "ExitCode": state.exit_code,
        "Exited": state.exited,
        "Status": status_text(item),
        "State": item.status.word,
        "Ports": ports_text(item.ports),
        "Names": item.name,
        "Labels": summary.labels,
        "Mounts": list(summary.mounts),
        "Networks": ",".join(sorted(summary.networks)),
        "Pid": state.pid,
        "Pod": short(summary.pod, whole=whole),
        "PodName": "",
        "AutoRemove": summary.auto_remove,
        "IsInfra": summary.is_infra,
        "Restarts": state.restart_count,
        "Size": "" if sizes is None else f"{human_size(sizes[0], 3)} (virtual {human_size(sizes[1], 3)})",
    }
    return Row(item, values)


def document(item: libpod.Listed, sizes: tuple[int, int] | None) -> dict[str, Any]:
    """One container as `ps --format json` has it."""
    summary, state = item.summary, item.state
    ports = [
        {"host_ip": port.host_ip, "container_port": port.container_port, "host_port": port.host_port,
         "range": port.range, "protocol": port.protocol}
        for port in item.ports
    ]  # fmt: skip
    return {
        "AutoRemove": summary.auto_remove,
        "Command": list(summary.command) or None,
        "CreatedAt": ago(summary.created_time),
        "Exited": state.exited,
        "ExitedAt": int(unix_seconds(state.finished_time)),
        "ExitCode": state.exit_code,
        "Id": item.id,
        "Image": summary.image,
        "ImageID": summary.image_id,
        "IsInfra": summary.is_infra,
        "Labels": summary.labels or None,
        "Mounts": list(summary.mounts),
        "Names": [item.name],
        "Namespaces": {},
        "Networks": sorted(summary.networks),
        "Pid": state.pid,
        "Pod": summary.pod,
        "PodName": "",
        "Ports": ports or None,
        "Size": None if sizes is None else {"rootFsSize": sizes[1], "rwSize": sizes[0]},
        "StartedAt": int(unix_seconds(state.started_time)),
        "State": item.status.word,
        "Status": status_text(item),
        "Created": summary.created // 1_000_000_000,
    }


def status_text(item: libpod.Listed) -> str:
    """What ps says about a container's state."""
    word, state = item.status.word, item.state
    if word == "running":
        return f"Up {human_duration(_since(state.started_time))}"
    if word in ("exited", "stopped"):
        finished = state.finished_time
        when = f" {human_duration(_since(finished))} ago" if unix_seconds(finished) != NEVER else ""
        return f"Exited ({state.exit_code}){when}"
    return word.capitalize()


def _since(moment: str) -> float:
    import time

    return time.time() - unix_seconds(moment)


def ports_text(ports: Sequence[Any]) -> str:
    """Published ports: `0.0.0.0:8080->80/tcp, …`."""
    shown = []
    for port in ports:
        inner, outer = str(port.container_port), str(port.host_port)
        if port.range > 1:
            inner += f"-{port.container_port + port.range - 1}"
            outer += f"-{port.host_port + port.range - 1}"
        shown.append(f"{port.host_ip or '0.0.0.0'}:{outer}->{inner}/{port.protocol}")
    return ", ".join(shown)


def _namespace(pid: int, kind: str) -> str:
    if not pid:
        return ""
    try:
        return os.readlink(f"/proc/{pid}/ns/{kind}").partition("[")[2].rstrip("]")
    except OSError:
        return ""  # it has ended


# ---- small questions ----------------------------------------------------------------------------------------------


@verb("CONTAINER", lambda parser: parser.switch("--external", help="accepted"), least=1, most=1)
def container_exists(args: argparse.Namespace, session: Session) -> int:
    """Whether there is such a container"""
    return 0 if session.runtime.has_container(args.arguments[0]) else 1


@verb("CONTAINER NAME", least=2, most=2)
def rename(args: argparse.Namespace, session: Session) -> int:
    """Give a container another name"""
    session.runtime.container(args.arguments[0]).rename(args.arguments[1])
    return 0


@verb("[options] CONTAINER [PORT[/PROTOCOL]]", declare_choice)
def port(args: argparse.Namespace, session: Session) -> int:
    """Show published ports"""
    wanted = args.arguments.pop() if len(args.arguments) == 1 + (not args.latest) else ""
    number, _, protocol = wanted.partition("/")
    ids = {session.runtime.container(name).id for name in chosen(args, session, of_all=is_live)}
    found = False
    for item in session.runtime.containers(lambda item: item.id in ids and is_live(item)):
        prefix = f"{item.id[:12]}\t" if args.all else ""
        for mapping in item.ports:
            for offset in range(mapping.range):
                inner, outer = mapping.container_port + offset, mapping.host_port + offset
                address = f"{mapping.host_ip or '0.0.0.0'}:{outer}"
                if not wanted:
                    print(f"{prefix}{inner}/{mapping.protocol} -> {address}")
                elif number == str(inner) and (protocol or "tcp") == mapping.protocol:
                    print(address)
                    found = True
    if wanted and not found:
        raise UsageError(f'no published port "{wanted}"')
    return 0


def _update_flags(parser: Parser) -> None:
    parser.text("-m", "--memory", help="memory limit, such as 512m")
    parser.text("--memory-swap", help="limit of memory and swap together; -1: none")
    parser.text("--memory-reservation", help="soft limit of memory")
    parser.decimal("--cpus", help="number of CPUs")
    parser.number("-c", "--cpu-shares", help="weight among others")
    parser.number("--cpu-period", help="period of the CPU quota in microseconds")
    parser.number("--cpu-quota", help="CPU time in a period in microseconds")
    parser.text("--cpuset-cpus", help="CPUs to run on")
    parser.text("--cpuset-mems", help="memory nodes to use")
    parser.number("--pids-limit", help="number of processes; -1: any")
    parser.number("--blkio-weight", help="weight of block I/O")


@verb("[options] CONTAINER", _update_flags, least=1, most=1)
def update(args: argparse.Namespace, session: Session) -> int:
    """Change the limits of a container"""
    container = session.runtime.container(args.arguments[0])
    given = {
        name: value for name, value in vars(args).items() if name != "arguments" and value not in (None, "")
    }
    if not given:
        raise UsageError("give at least one limit")
    container.update(_resources(libpod.CreateOptions(image="-", **given)))
    print(container.id)
    return 0


def _resources(limits: libpod.CreateOptions) -> dict[str, Any]:
    """The OCI object of the limits that were given. The library has read and checked their words."""
    cpu = {
        "shares": limits.cpu_shares,
        "quota": limits.cpu_quota if limits.cpus is None else round(limits.cpus * 100_000),
        "period": limits.cpu_period if limits.cpus is None else 100_000,
        "cpus": limits.cpuset_cpus or None,
        "mems": limits.cpuset_mems or None,
    }
    memory = {"limit": limits.memory, "swap": limits.memory_swap, "reservation": limits.memory_reservation}
    every: dict[str, dict[str, Any]] = {
        "cpu": cpu,
        "memory": memory,
        "pids": {"limit": limits.pids_limit},
        "blockIO": {"weight": limits.blkio_weight},
    }
    found = {
        name: {key: value for key, value in part.items() if value is not None} for name, part in every.items()
    }
    return {name: part for name, part in found.items() if part}
