"""Pods.

Covers: cmd/podman/pods
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

import libpod
from libpod_cli.environment import labels
from libpod_cli.formatting import ago, show
from libpod_cli.inspect import inspected
from libpod_cli.lifecycle import confirmed
from libpod_cli.parser import Parser, UsageError
from libpod_cli.session import Session
from libpod_cli.verbs import verb

COLUMNS = ("Id", "Name", "Status", "Created", "InfraId", "NumberOfContainers")
HEADINGS = {"Id": "POD ID", "InfraId": "INFRA ID", "NumberOfContainers": "# OF CONTAINERS"}


def _create_flags(parser: Parser) -> None:
    parser.array("--add-host", help="NAME:ADDRESS for the members' /etc/hosts")
    parser.array("--dns", help="a name server for the members")
    parser.words("--dns-option", help="option for their /etc/resolv.conf")
    parser.words("--dns-search", help="domain that they search")
    parser.text("--exit-policy", default="continue", help='"continue" or "stop"')
    parser.text("--hostname", help="host name that the members see")
    parser.text("--infra", default="true", help='"false": without an infra container')
    parser.text("--infra-name", help="name of the infra container")
    parser.text("--ip", help="IPv4 address")
    parser.text("--ip6", help="IPv6 address")
    parser.array("-l", "--label", help="KEY=VALUE")
    parser.text("--mac-address", help="MAC address")
    parser.text("-n", "--name", help="its name")
    parser.array("--network", help="none, host, or NAME[:key=value,…] of a network")
    parser.words("--network-alias", help="another name in its networks")
    parser.switch("--no-hosts", help="leave /etc/hosts of the images alone")
    parser.array("-p", "--publish", help="[IP:][HOST:]CONTAINER[/PROTOCOL]")
    parser.text("--share", default="ipc,net,uts", help="namespaces that the members share")
    parser.array("-v", "--volume", help="a volume of the infra container")


@verb("[options] [NAME]", _create_flags, most=1)
def pod_create(args: argparse.Namespace, session: Session) -> int:
    """Make a pod"""
    asked: dict[str, Any] = {
        "add_host": args.add_host,
        "dns": args.dns,
        "dns_option": args.dns_option,
        "dns_search": args.dns_search,
        "ip": args.ip,
        "ip6": args.ip6,
        "mac_address": args.mac_address,
        "network": args.network,
        "network_alias": args.network_alias,
        "no_hosts": args.no_hosts,
        "publish": args.publish,
        "volumes": args.volume,
    }
    pod = session.runtime.create_pod(
        name=args.name or (args.arguments[0] if args.arguments else ""),
        labels=labels(args.label),
        infra=args.infra.lower() not in {"false", "0"},
        infra_name=args.infra_name or "",
        share=args.share,
        hostname=args.hostname or "",
        exit_policy=args.exit_policy,
        create_command=session.command_line,
        infra_options={key: value for key, value in asked.items() if value},
    )
    print(pod.id)
    return 0


@verb("POD", least=1, most=1)
def pod_exists(args: argparse.Namespace, session: Session) -> int:
    """Whether there is such a pod"""
    return 0 if session.runtime.has_pod(args.arguments[0]) else 1


def _inspect_flags(parser: Parser) -> None:
    parser.text("-f", "--format", default="json", help='"json" or a template such as {{.State}}')


@verb("[options] POD [POD...]", _inspect_flags, least=1)
def pod_inspect(args: argparse.Namespace, session: Session) -> int:
    """Show everything about pods"""
    return inspected(args.arguments, lambda name: session.runtime.pod(name).inspect(), args.format)


def _ps_flags(parser: Parser) -> None:
    parser.text("--format", help='"json" or a template such as {{.Name}}')
    parser.switch("--noheading", help="no heading")
    parser.switch("--no-trunc", help="whole ids")
    parser.switch("-q", "--quiet", help="only ids")


@verb("[options]", _ps_flags, most=0)
def pod_ps(args: argparse.Namespace, session: Session) -> int:
    """List pods"""
    pods = session.runtime.pods()
    if args.quiet:
        for pod in pods:
            print(pod.id if args.no_trunc else pod.id[:12])
        return 0
    documents = [_listed(pod) for pod in pods]
    rows = [_row(document, whole=args.no_trunc) for document in documents]
    show(
        rows,
        args.format,
        columns=COLUMNS,
        headings=HEADINGS,
        documents=lambda: documents,
        heading=not args.noheading,
    )
    return 0


def _listed(pod: libpod.Pod) -> dict[str, Any]:
    """podman's `pod ps` document."""
    found = pod.inspect()
    return {
        "Cgroup": found["CgroupParent"],
        "Containers": [
            {"Id": member["Id"], "Names": member["Name"], "Status": member["State"]}
            for member in found["Containers"]
        ],
        "Created": found["Created"],
        "Id": found["Id"],
        "InfraId": found["InfraContainerID"],
        "Name": found["Name"],
        "Namespace": "",
        "Networks": [],
        "Status": found["State"],
        "Labels": found["Labels"],
    }


def _row(document: dict[str, Any], *, whole: bool) -> dict[str, Any]:
    length = None if whole else 12
    return {
        **document,
        "ID": document["Id"][:length],
        "Id": document["Id"][:length],
        "InfraId": document["InfraId"][:length],
        "Created": ago(document["Created"]),
        "NumberOfContainers": len(document["Containers"]),
    }


def _many_flags(parser: Parser) -> None:
    parser.switch("-a", "--all", help="all pods")


def _timed_flags(parser: Parser) -> None:
    _many_flags(parser)
    parser.decimal("-t", "--time", help="seconds until a member is killed")


def _each(
    args: argparse.Namespace, session: Session, act: Callable[[libpod.Pod], None], verb_name: str
) -> int:
    """Do *act* to the named pods, or to all; prints the id of each."""
    if bool(args.arguments) == args.all:
        raise UsageError("name at least one pod, or give --all")
    names = [pod.id for pod in session.runtime.pods()] if args.all else args.arguments

    def one(name: str) -> str:
        pod = session.runtime.pod(name)
        act(pod)
        return pod.id

    return session.each(names, one, f"pod {verb_name}")


@verb("[options] POD [POD...]", _many_flags)
def pod_start(args: argparse.Namespace, session: Session) -> int:
    """Start the members of pods"""
    return _each(args, session, libpod.Pod.start, "start")


@verb("[options] POD [POD...]", _timed_flags)
def pod_stop(args: argparse.Namespace, session: Session) -> int:
    """Stop the members of pods"""
    return _each(args, session, lambda pod: pod.stop(args.time), "stop")


@verb("[options] POD [POD...]", _timed_flags)
def pod_restart(args: argparse.Namespace, session: Session) -> int:
    """Stop and start the members of pods"""
    return _each(args, session, lambda pod: pod.restart(args.time), "restart")


def _kill_flags(parser: Parser) -> None:
    _many_flags(parser)
    parser.text("-s", "--signal", default="KILL", help="name or number")


@verb("[options] POD [POD...]", _kill_flags)
def pod_kill(args: argparse.Namespace, session: Session) -> int:
    """Send a signal to the members of pods"""
    return _each(args, session, lambda pod: pod.kill(args.signal), "kill")


@verb("[options] POD [POD...]", _many_flags)
def pod_pause(args: argparse.Namespace, session: Session) -> int:
    """Freeze the members of pods"""
    return _each(args, session, libpod.Pod.pause, "pause")


@verb("[options] POD [POD...]", _many_flags)
def pod_unpause(args: argparse.Namespace, session: Session) -> int:
    """Let the members of pods go on"""
    return _each(args, session, libpod.Pod.unpause, "unpause")


def _rm_flags(parser: Parser) -> None:
    _timed_flags(parser)
    parser.switch("-f", "--force", help="stop and remove the members first")
    parser.switch("-i", "--ignore", help="a pod that is not there is fine")


@verb("[options] POD [POD...]", _rm_flags)
def pod_rm(args: argparse.Namespace, session: Session) -> int:
    """Remove pods"""
    if args.ignore:
        args.arguments = [name for name in args.arguments if session.runtime.has_pod(name)]
        if not args.arguments and not args.all:
            return 0
    return _each(args, session, lambda pod: pod.remove(force=args.force, timeout=args.time), "rm")


def _prune_flags(parser: Parser) -> None:
    parser.switch("-f", "--force", help="do not ask")


@verb("[options]", _prune_flags, most=0)
def pod_prune(args: argparse.Namespace, session: Session) -> int:
    """Remove the pods in which nothing runs"""
    if not args.force and not confirmed("This removes all pods in which nothing runs."):
        return 0
    for pod_id in session.runtime.prune_pods():
        print(pod_id)
    return 0
