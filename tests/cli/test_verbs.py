"""The table of verbs is complete, and every verb explains itself."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from libpod_cli.parser import HelpWanted, Parser, UsageError, parse
from libpod_cli.verbs import ALIASES, GROUPS, TABLE, find, overview

CLI = Path(__file__).resolve().parents[2] / "cli"


@pytest.mark.parametrize("name", TABLE)
def test_a_verb_is_where_the_table_says_and_tells_what_the_table_tells(name: str) -> None:
    found = find(name.split())
    assert found is not None
    assert found[0] == name
    assert found[1].summary == TABLE[name][1]


@pytest.mark.parametrize("name", TABLE)
def test_a_verb_has_help(name: str) -> None:
    found = find(name.split())
    assert found is not None
    parser = Parser(f"libpod {name}", found[1].usage, found[1].summary)
    if found[1].declare is not None:
        found[1].declare(parser)
    with pytest.raises(HelpWanted) as caught:
        parse(parser, ["--help"])
    assert caught.value.text.startswith(f"usage: libpod {name}")


@pytest.mark.parametrize(("alias", "target"), ALIASES.items())
def test_an_alias_leads_to_a_verb(alias: str, target: str) -> None:
    assert target in TABLE
    found = find([*alias.split(), "x"])
    assert found is not None
    assert (found[0], found[2]) == (target, ["x"])


def test_a_group_alone_lists_its_verbs() -> None:
    for group in GROUPS:
        assert find([group]) is None
        assert find([group, "--help"]) is None
        assert "\n  " in overview([group])


def test_what_is_no_verb_is_refused() -> None:
    for words in (["nosuch"], ["container", "nosuch"], ["nosuch", "ls"]):
        with pytest.raises(UsageError, match="there is no command"):
            find(words)


def test_the_command_line_imports_the_facade_only() -> None:
    for path in CLI.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            assert not [name for name in names if name.startswith("libpod.")], (
                f"{path.name} looks behind the façade"
            )


def test_the_command_line_uses_public_names_only() -> None:
    import libpod

    for path in CLI.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if (
                isinstance(node, ast.Attribute)
                and isinstance(node.value, ast.Name)
                and node.value.id == "libpod"
            ):
                assert node.attr in libpod.__all__, f"{path.name} uses libpod.{node.attr}"


def test_a_verb_is_short() -> None:
    for path in CLI.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef):
                length = (node.end_lineno or node.lineno) - node.lineno + 1
                assert length <= 55, f"{path.name}: {node.name} has {length} lines"
