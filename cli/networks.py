"""Networks.

Covers: cmd/podman/networks
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable
from typing import Any

import libpod
from libpod_cli import errors
from libpod_cli.choose import chosen, is_live
from libpod_cli.environment import labels
from libpod_cli.filters import label_matches, split_filter
from libpod_cli.formatting import short, show, unix_seconds
from libpod_cli.inspect import inspected
from libpod_cli.lifecycle import confirmed
from libpod_cli.parser import Parser, UsageError
from libpod_cli.session import Session
from libpod_cli.verbs import verb

COLUMNS = ("ID", "Name", "Driver")
HEADINGS = {"ID": "NETWORK ID"}

Predicate = Callable[[libpod.Network], bool]


def _create_flags(parser: Parser) -> None:
    parser.switch("--disable-dns", help="containers do not find each other by name on it")
    parser.words("--dns", help="a name server that its containers are sent to")
    parser.text("-d", "--driver", default="bridge", help="bridge, macvlan or ipvlan")
    parser.words("--gateway", help="the host's address in a subnet; the first one otherwise")
    parser.switch("--ignore", help="do not fail if it exists")
    parser.text("--interface-name", help="name of the bridge, or the parent interface")
    parser.switch("--internal", help="no way out of it")
    parser.array("--ip-range", help="the part of a subnet that addresses are taken from")
    parser.text("--ipam-driver", help="host-local, or none: no addresses")
    parser.switch("--ipv6", help="with an IPv6 subnet, a random local one if none is given")
    parser.array("--label", help="KEY=VALUE")
    parser.array("-o", "--opt", help="KEY=VALUE: mtu, vlan, isolate, metric, mode, parent, no_default_route")
    parser.array("--route", help="DESTINATION,GATEWAY[,METRIC]: a route that its containers get")
    parser.array("--subnet", help="such as 10.50.0.0/24; repeat it for several")


@verb("[options] [NAME]", _create_flags, most=1)
def network_create(args: argparse.Namespace, session: Session) -> int:
    """Make a network"""
    made = session.runtime.create_network(
        args.arguments[0] if args.arguments else "",
        ignore_existing=args.ignore,
        driver=args.driver,
        subnets=libpod.subnet_requests(args.subnet, args.gateway, args.ip_range),
        routes=args.route,
        ipv6=args.ipv6,
        internal=args.internal,
        dns=not args.disable_dns,
        dns_servers=args.dns,
        interface_name=args.interface_name or "",
        ipam_driver=args.ipam_driver or "",
        labels=labels(args.label),
        options=_options(args.opt),
    )
    print(made.name)
    return 0


def _options(texts: list[str]) -> dict[str, str]:
    """KEY=VALUE; a KEY alone is switched on."""
    pairs = (text.partition("=") for text in texts)
    return {key: value if equals else "true" for key, equals, value in pairs}


@verb("NETWORK", least=1, most=1)
def network_exists(args: argparse.Namespace, session: Session) -> int:
    """Whether there is such a network"""
    return 0 if session.runtime.has_network(args.arguments[0]) else 1


def _inspect_flags(parser: Parser) -> None:
    parser.text("-f", "--format", default="json", help='"json" or a template such as {{.Subnets}}')


@verb("[options] NETWORK [NETWORK...]", _inspect_flags, least=1)
def network_inspect(args: argparse.Namespace, session: Session) -> int:
    """Show everything about networks"""
    return inspected(args.arguments, lambda name: session.runtime.network(name).inspect(), args.format)


def _ls_flags(parser: Parser) -> None:
    parser.array("-f", "--filter", help=f"only those for which this holds ({', '.join(sorted(FILTERS))})")
    parser.text("--format", help='"json" or a template such as {{.Name}}')
    parser.switch("--no-trunc", help="whole ids")
    parser.switch("--noheading", help="no heading")
    parser.switch("-q", "--quiet", help="only names")


@verb("[options]", _ls_flags, most=0)
def network_ls(args: argparse.Namespace, session: Session) -> int:
    """List networks"""
    found = session.runtime.networks(*filters(args.filter))
    if args.quiet:
        for item in found:
            print(item.name)
        return 0
    documents = [item.inspect() for item in found]
    show(
        [_row(document, whole=args.no_trunc) for document in documents],
        args.format,
        columns=COLUMNS,
        headings=HEADINGS,
        documents=lambda: documents,
        heading=not args.noheading,
    )
    return 0


def _row(document: dict[str, Any], *, whole: bool) -> dict[str, Any]:
    """The fields that templates know, which are called as in Go."""
    fields = {key.title().replace("_", ""): value for key, value in document.items()}
    texts = ",".join(f"{key}={value}" for key, value in sorted(document.get("labels", {}).items()))
    return {
        "Subnets": [],
        "Options": {},
        "Routes": [],
        **fields,
        "ID": short(document["id"], whole=whole),
        "Labels": texts,
        "IPv6Enabled": document["ipv6_enabled"],
        "DNSEnabled": document["dns_enabled"],
        "IPAMOptions": document["ipam_options"],
    }


def _rm_flags(parser: Parser) -> None:
    parser.switch("-f", "--force", help="remove the containers that hang on it first")
    parser.decimal("-t", "--time", help="seconds until such a container is killed")


@verb("[options] NETWORK [NETWORK...]", _rm_flags, least=1)
def network_rm(args: argparse.Namespace, session: Session) -> int:
    """Remove networks"""
    if args.time is not None and not args.force:
        raise UsageError("--time goes with --force only")

    def remove(name: str) -> str:
        session.runtime.network(name).remove(force=args.force, timeout=args.time)
        return name

    return session.each(args.arguments, remove, "network rm")


def _prune_flags(parser: Parser) -> None:
    parser.array("--filter", help="only those for which label=KEY[=VALUE] or until=TIME holds")
    parser.switch("-f", "--force", help="do not ask")


@verb("[options]", _prune_flags, most=0)
def network_prune(args: argparse.Namespace, session: Session) -> int:
    """Remove networks that nothing uses"""
    wanted = filters(args.filter)
    if not args.force and not confirmed("This removes all networks that no container uses."):
        return 0
    for name in session.runtime.prune_networks(*wanted):
        print(name)
    return 0


def _connect_flags(parser: Parser) -> None:
    parser.words("--alias", help="another name of the container on the network")
    parser.text("--ip", help="IPv4 address")
    parser.text("--ip6", help="IPv6 address")
    parser.text("--mac-address", help="MAC address")


@verb("[options] NETWORK CONTAINER", _connect_flags, least=2, most=2)
def network_connect(args: argparse.Namespace, session: Session) -> int:
    """Connect a container to a network"""
    network, container = args.arguments
    session.runtime.connect_network(
        network,
        container,
        addresses=[address for address in (args.ip, args.ip6) if address],
        mac=args.mac_address or "",
        aliases=args.alias,
    )
    return 0


def _disconnect_flags(parser: Parser) -> None:
    parser.switch("-f", "--force", help="a container that is not there is no error")


@verb("[options] NETWORK CONTAINER", _disconnect_flags, least=2, most=2)
def network_disconnect(args: argparse.Namespace, session: Session) -> int:
    """Disconnect a container from a network"""
    network, container = args.arguments
    try:
        session.runtime.disconnect_network(network, container)
    except libpod.NoSuchContainerError:
        if not args.force:
            raise
    return 0


def _reload_flags(parser: Parser) -> None:
    parser.switch("-a", "--all", help="all that run")
    parser.switch("-l", "--latest", help="the container that was created last")


@verb("[options] [CONTAINER...]", _reload_flags)
def network_reload(args: argparse.Namespace, session: Session) -> int:
    """Load the firewall's rules for containers again"""
    code = 0
    for name in chosen(args, session, of_all=is_live):
        try:
            found = session.runtime.container(name)
            session.runtime.reload_networks(found)
        except libpod.LibpodError as error:
            code = errors.report(error, "network reload")
        else:
            print(found.id)
    return code


# ---- filters ------------------------------------------------------------------------------------------------------


def filters(texts: list[str]) -> list[Predicate]:
    """One predicate a key: what is given for the same key are alternatives, labels excepted. Raises UsageError."""
    by_key: dict[str, list[Predicate]] = {}
    found: list[Predicate] = []
    for text in texts:
        key, value, negated = split_filter(text)
        if key not in FILTERS or (negated and key != "label"):
            raise UsageError(f'"{key}" is not a filter for networks: use one of {", ".join(sorted(FILTERS))}')
        if key == "label":
            found.append(_predicate(key, value, negated))
        else:
            by_key.setdefault(key, []).append(_predicate(key, value, negated))
    return found + [_any(predicates) for predicates in by_key.values()]


def _any(predicates: list[Predicate]) -> Predicate:
    return lambda network: any(holds(network) for holds in predicates)


def _predicate(key: str, value: str, negated: bool) -> Predicate:
    matches = FILTERS[key](value)
    return lambda network: matches(network) is not negated


def _named(value: str) -> Predicate:
    try:
        pattern = re.compile(value)
    except re.error as error:
        raise UsageError(f'"{value}" is not a pattern: {error}') from error
    return lambda network: pattern.search(network.name) is not None


def _dangling(value: str) -> Predicate:
    if value.lower() not in ("true", "1", "false", "0"):
        raise UsageError(f'dangling is "{value}": use true or false')
    wanted = value.lower() in ("true", "1")
    return lambda network: (not network.users()) is wanted


def _until(value: str) -> Predicate:
    from libpod_cli.moments import seconds_of

    moment = seconds_of(value)
    return lambda network: unix_seconds(network.definition.created) < moment


FILTERS: dict[str, Callable[[str], Predicate]] = {
    "dangling": _dangling,
    "driver": lambda value: lambda network: network.driver == value,
    "id": lambda value: lambda network: network.id.startswith(value),
    "label": lambda value: lambda network: label_matches(network.labels, value),
    "name": _named,
    "until": _until,
}
