"""Hosts made of network namespaces, for the tests that need a network."""

from tests.network.conftest import directory, host, machines

__all__ = ["directory", "host", "machines"]
