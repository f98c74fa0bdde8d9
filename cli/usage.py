"""What containers use, and which processes they have.

Covers: cmd/podman/containers (stats, top)
"""

from __future__ import annotations

import argparse
import sys
import time
from typing import Any

import libpod
from libpod_cli.choose import chosen, declare_latest, one
from libpod_cli.formatting import go_duration, human_size, is_json, show, unix_seconds
from libpod_cli.parser import Parser
from libpod_cli.session import Session
from libpod_cli.tables import aligned
from libpod_cli.verbs import verb


@verb("[options] CONTAINER [COLUMN...]", declare_latest, interspersed=False)
def top(args: argparse.Namespace, session: Session) -> int:
    """Show the processes of a container"""
    container = one(args, session)
    print(aligned(container.top(*args.arguments)))
    return 0


COLUMNS = ("ID", "Name", "CPUPerc", "MemUsage", "MemPerc", "NetIO", "BlockIO", "PIDS", "UpTime", "AVGCPU")
HEADINGS = {
    "CPUPerc": "CPU %",
    "MemUsage": "MEM USAGE / LIMIT",
    "MemUsageBytes": "MEM USAGE / LIMIT",
    "MemPerc": "MEM %",
    "NetIO": "NET IO",
    "BlockIO": "BLOCK IO",
    "PIDS": "PIDS",
    "UpTime": "CPU TIME",
    "AVGCPU": "AVG CPU %",
}


def _stats_flags(parser: Parser) -> None:
    parser.switch("-a", "--all", help="those too that do not run")
    parser.text("--format", help='"json" or a template such as {{.CPUPerc}}')
    parser.number("-i", "--interval", default=5, help="seconds between two readings")
    declare_latest(parser)
    parser.switch("--no-reset", help="do not clear the screen")
    parser.switch("--no-stream", help="one reading only")
    parser.switch("--no-trunc", help="whole ids")


@verb("[options] [CONTAINER...]", _stats_flags)
def stats(args: argparse.Namespace, session: Session) -> int:
    """Show what containers use"""
    before: dict[str, libpod.ContainerStats] = {}
    while True:
        containers = _wanted(args, session)
        now = {container.id: container.stats() for container in containers}
        starts = {container.id: unix_seconds(container.state().started_time) for container in containers}
        if not args.no_stream and not args.no_reset and not is_json(args.format) and sys.stdout.isatty():
            print("\x1b[2J\x1b[H", end="")
        rows = [row(item, before.get(name), starts[name], whole=args.no_trunc) for name, item in now.items()]
        _print(rows, args.format)
        if args.no_stream:
            return 0
        before = now
        time.sleep(args.interval)


def _print(rows: list[dict[str, Any]], template: str) -> None:
    show(
        rows,
        template,
        columns=COLUMNS,
        headings=HEADINGS,
        documents=lambda: [_document(item) for item in rows],
        indent=1,
    )
    sys.stdout.flush()


def _wanted(args: argparse.Namespace, session: Session) -> list[libpod.Container]:
    if args.arguments or args.latest:
        everything, args.all = args.all, False
        names = chosen(args, session)
        args.all = everything
    else:
        names = [item.id for item in session.runtime.containers(all=args.all)]
    return [session.runtime.container(name) for name in names]


def row(
    reading: libpod.ContainerStats, before: libpod.ContainerStats | None, started: float, *, whole: bool
) -> dict[str, Any]:
    """The fields of one reading. Without one before, the CPU's share is that since the start."""
    average = _average(reading, started)
    percent = average if before is None else reading.cpu_percent(before)
    return {
        "ID": reading.id if whole else reading.id[:12],
        "ContainerID": reading.id if whole else reading.id[:12],
        "Name": reading.name,
        "CPUPerc": f"{percent:.2f}%",
        "MemUsage": f"{human_size(reading.memory_usage)} / {human_size(reading.memory_limit)}",
        "MemPerc": f"{reading.memory_percent:.2f}%",
        "NetIO": f"{human_size(reading.network_input)} / {human_size(reading.network_output)}",
        "BlockIO": f"{human_size(reading.block_input)} / {human_size(reading.block_output)}",
        "PIDS": str(reading.pids),
        "PIDs": str(reading.pids),
        "UpTime": go_duration(reading.cpu),
        "AVGCPU": f"{average:.2f}%",
        "CPUNano": reading.cpu,
        "CPUSystemNano": reading.cpu_system,
        "SystemNano": reading.moment,
        "MemLimit": reading.memory_limit,
        "BlockInput": reading.block_input,
        "BlockOutput": reading.block_output,
        "NetInput": reading.network_input,
        "NetOutput": reading.network_output,
    }


def _average(reading: libpod.ContainerStats, started: float) -> float:
    """The CPU's share since it was started at *started*, seconds since 1970."""
    elapsed = reading.moment / 1e9 - started
    return 100.0 * reading.cpu / 1e9 / elapsed if elapsed > 0 and started > 0 else 0.0


def _document(fields: dict[str, Any]) -> dict[str, str]:
    names = {
        "id": "ID", "name": "Name", "cpu_time": "UpTime", "cpu_percent": "CPUPerc", "avg_cpu": "AVGCPU",
        "mem_usage": "MemUsage", "mem_percent": "MemPerc", "net_io": "NetIO", "block_io": "BlockIO", "pids": "PIDS",
    }  # fmt: skip
    return {key: fields[field] for key, field in names.items()}
