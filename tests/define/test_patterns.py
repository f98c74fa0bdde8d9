"""Expressions that are compiled late: they answer like compiled ones, and every one in the library is right."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

import libpod
from libpod.define.patterns import pattern

PACKAGE = Path(libpod.__file__).parent


def expressions() -> list[tuple[str, str]]:
    """Module and name of every expression that is made with `pattern`."""
    found = []
    for path in sorted(PACKAGE.rglob("*.py")):
        module = ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts)
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call):
                called, target = node.value.func, node.targets[0]
                if isinstance(called, ast.Name) and called.id == "pattern" and isinstance(target, ast.Name):
                    found.append((module, target.id))
    return found


@pytest.mark.parametrize(("module", "name"), expressions())
def test_every_expression_of_the_library_compiles(module: str, name: str) -> None:
    expression = getattr(__import__(module, fromlist=[name]), name)
    assert isinstance(expression.groups, int)


def test_an_expression_answers_like_a_compiled_one() -> None:
    late, early = pattern(r"(?P<word>[a-z]+)", re.IGNORECASE), re.compile(r"(?P<word>[a-z]+)", re.IGNORECASE)
    assert late.pattern == early.pattern
    assert late.flags == early.flags
    assert late.sub("x", "A1b") == early.sub("x", "A1b") == "x1x"
    assert [match["word"] for match in late.finditer("Ab cd")] == ["Ab", "cd"]
    assert late.fullmatch("Ab") is not None
    assert late.fullmatch("Ab") is not None


def test_a_wrong_expression_is_refused_when_it_is_used() -> None:
    with pytest.raises(re.error):
        pattern("(").search("")
