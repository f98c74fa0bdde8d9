"""The command, on the engines of all tests."""

from __future__ import annotations

import pytest

from tests.cli.command import Command
from tests.engines import Engine


@pytest.fixture
def cli(engine: Engine) -> Command:
    """The command on the shared engine."""
    return Command(engine.arguments)


@pytest.fixture
def other_cli(other_engine: Engine) -> Command:
    """The command on the second host."""
    return Command(other_engine.arguments)
