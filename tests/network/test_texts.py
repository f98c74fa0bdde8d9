"""hosts, resolv.conf and hostname texts."""

from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libpod.define.errors import InvalidArgumentError
from libpod.network.texts import (
    HostEntry,
    Resolver,
    host_resolver,
    hosts_text,
    hosts_with,
    hosts_without,
    own_entries,
    parse_hosts,
    parse_resolver,
    resolv_text,
    rewrite_in_place,
)


def test_what_the_user_adds_comes_first_and_wins_over_our_own_lines():
    text = hosts_text(
        base="10.0.0.9 base # comment\n\n127.0.0.1 localhost\n",
        extra=["one;two:1.2.3.4", "box:::1", "host.containers.internal:9.9.9.9"],
        own=own_entries(["10.77.0.2/16", "fd00::2/64"], ["box", "ctr", "box"]),
        host_address="10.77.0.1",
    )
    assert text.splitlines() == [
        "1.2.3.4\tone two",
        "::1\tbox",
        "9.9.9.9\thost.containers.internal",
        "10.0.0.9\tbase",
        "127.0.0.1\tlocalhost",
        "10.77.0.1\thost.docker.internal",
        "10.77.0.2\tctr",
        "fd00::2\tctr",
    ]


def test_localhost_is_always_defined():
    assert parse_hosts(hosts_text()) == (
        HostEntry("127.0.0.1", ("localhost",)),
        HostEntry("::1", ("localhost",)),
    )


def test_a_container_without_network_knows_itself_on_loopback():
    assert own_entries([], ["box"], isolated=True) == (HostEntry("127.0.0.1", ("box",)),)
    assert own_entries([], ["box"]) == ()


def test_the_gateway_word_is_the_hosts_address_and_is_refused_without_one():
    assert "10.77.0.1\tdb\n" in hosts_text(extra=["db:host-gateway"], host_address="10.77.0.1")
    with pytest.raises(InvalidArgumentError, match="address of the host"):
        hosts_text(extra=["db:host-gateway"])


@pytest.mark.parametrize("text", ["name", ":1.2.3.4", "name:", "name:nonsense"])
def test_nonsense_is_refused_by_name(text):
    with pytest.raises(InvalidArgumentError, match=text.replace(".", r"\.")):
        hosts_text(extra=[text])


_entries = st.lists(
    st.builds(
        HostEntry,
        st.ip_addresses().map(str),
        st.lists(st.from_regex(r"[a-z][a-z0-9.-]{0,9}", fullmatch=True), min_size=1, max_size=3).map(tuple),
    ),
    max_size=4,
    unique=True,
)


@given(st.text(alphabet="abc #\n\t.1:", max_size=80), _entries)
def test_entries_that_were_added_can_be_taken_away_again(base, entries):
    added = hosts_with(base, entries)
    assert hosts_with(added, entries) == added
    removed = hosts_without(added, entries)
    gone = {(entry.address, name) for entry in entries for name in entry.names}
    assert not gone & {(entry.address, name) for entry in parse_hosts(removed) for name in entry.names}


def test_only_the_line_with_both_address_and_name_is_taken_away():
    text = "# kept\n1.2.3.4\tone two\n1.2.3.4\tthree\n5.6.7.8\tone\n"
    assert hosts_without(text, [HostEntry("1.2.3.4", ("two",))]) == "# kept\n1.2.3.4\tthree\n5.6.7.8\tone\n"


def test_a_private_namespace_gets_only_servers_that_it_can_reach():
    host = parse_resolver(
        "nameserver 127.0.0.1\nnameserver 10.0.0.1\nnameserver fe80::1%eth0\nnameserver fd00::1\n"
    )
    assert resolv_text(host, private=True) == "nameserver 10.0.0.1\n"
    assert resolv_text(host, private=True, ipv6=True) == "nameserver 10.0.0.1\nnameserver fd00::1\n"
    assert resolv_text(host, private=False).count("nameserver") == 4


def test_public_servers_stand_in_when_none_is_left():
    lonely = Resolver(servers=("127.0.0.1",), searches=("corp",))
    assert resolv_text(lonely, private=True) == "search corp\nnameserver 8.8.8.8\nnameserver 8.8.4.4\n"
    assert "2001:4860" in resolv_text(lonely, private=True, ipv6=True)


def test_the_networks_server_comes_before_the_users_and_searches_add_up():
    host = Resolver(servers=("10.0.0.1",), searches=("corp",), options=("edns0",))
    text = resolv_text(
        host,
        private=True,
        network_servers=["10.72.0.1"],
        network_searches=["dns.podman"],
        servers=["1.1.1.1"],
    )
    assert text == "search dns.podman corp\nnameserver 10.72.0.1\noptions edns0\n"
    text = resolv_text(host, private=True, servers=["1.1.1.1"], searches=["."], options=["ndots:1"])
    assert text == "nameserver 1.1.1.1\noptions ndots:1\n"


def test_the_servers_behind_a_local_stub_are_looked_up(tmp_path):
    stub, real = tmp_path / "stub", tmp_path / "real"
    stub.write_text("nameserver 127.0.0.53\noptions edns0\nsearch lan\n")
    real.write_text("nameserver 10.0.0.53\n")
    found = host_resolver(private=True, path=stub, stubs={"127.0.0.53": real})
    assert found == Resolver(servers=("10.0.0.53",), searches=("lan",), options=("edns0",))
    assert host_resolver(private=False, path=stub, stubs={"127.0.0.53": real}).servers == ("127.0.0.53",)
    assert host_resolver(private=True, path=tmp_path / "missing") == Resolver()


def test_a_rewritten_file_keeps_its_inode_and_no_old_text(tmp_path):
    path = tmp_path / "hosts"
    rewrite_in_place(path, "a long text\n" * 5)
    inode = os.stat(path).st_ino
    rewrite_in_place(path, "short\n")
    assert path.read_text() == "short\n"
    assert os.stat(path).st_ino == inode
