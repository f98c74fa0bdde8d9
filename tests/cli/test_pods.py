"""Pods on the command line."""

from __future__ import annotations

import json


def test_the_life_of_a_pod(cli):
    pod_id = cli("pod", "create", "--name", "crew", "--network", "none", "--label", "a=b")
    assert len(pod_id) == 64
    assert cli("pod", "exists", "crew") == ""
    cli("run", "-d", "--pod", "crew", "--name", "member", "bb:1", "sleep", "1000")
    document = json.loads(cli("pod", "inspect", "crew"))[0]
    assert (document["State"], document["NumContainers"], document["Labels"]) == ("Running", 2, {"a": "b"})
    heading, row = cli("pod", "ps").splitlines()
    assert heading.split("  ")[0] == "POD ID"
    assert "crew" in row
    assert "Running" in row
    assert cli("pod", "ps", "-q", "--no-trunc") == pod_id
    assert cli("pod", "stop", "-t", "0", "crew") == pod_id
    assert cli("pod", "start", "crew") == pod_id
    assert cli("pod", "inspect", "--format", "{{.State}}", "crew") == "Running"
    assert "member" in cli.fails("pod", "rm", "crew")
    assert cli("pod", "rm", "-f", "-t", "0", "crew") == pod_id
    assert cli.run("pod", "exists", "crew").returncode == 1
    assert cli("ps", "-aq") == ""


def test_an_unknown_pod_is_one_sentence(cli):
    assert "xyzzy" in cli.fails("pod", "start", "xyzzy")
