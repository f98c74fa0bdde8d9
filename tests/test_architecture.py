"""The laws of the house, held against the syntax trees."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import libpod

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "libpod"
CLI = ROOT / "cli"

FLOORS = {
    "define": 1,
    "linux": 1,
    "version": 1,
    "names": 1,
    "model": 2,
    "spec": 2,
    "config": 2,
    "config_files": 2,
    "engine_paths": 2,
    "lock": 3,
    "state": 3,
    "events": 3,
    "oci": 3,
    "storage": 3,
    "image": 3,
    "network": 3,
    "checkpoint": 3,
    "container_internal": 4,
    "pod_internal": 4,
    "volume_internal": 4,
    "container_api": 4,
    "pod_api": 4,
    "volume": 4,
    "image_api": 4,
    "network_api": 4,
    "runtime": 5,
    "clean_up": 5,
}
"""Everything that begins with "runtime" is on floor 5."""

BESIDE = {("image", "storage")}
"""Drivers that may know another driver."""

HOMES = {
    "lmdb": "libpod/state/lmdb",
    "pyroute2": "libpod/network/",
    "subprocess": "libpod/linux/",
    "ctypes": "libpod/linux/",
    "prctl": "libpod/linux/",
    "rich": "cli/",
}


def modules(*roots: Path) -> list[Path]:
    return sorted(path for root in roots for path in root.rglob("*.py"))


def imports(path: Path) -> Iterator[tuple[str, int]]:
    """Every imported module, with its line; those under TYPE_CHECKING too, for types are knowledge as well."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, node.lineno
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module, node.lineno
            for alias in node.names:
                yield f"{node.module}.{alias.name}", node.lineno


def part_of(module: str) -> str | None:
    """The top part of a module of ours: "state" for libpod.state.base."""
    words = module.split(".")
    return words[1] if words[0] == "libpod" and len(words) > 1 else None


def floor_of(part: str) -> int | None:
    return 5 if part.startswith("runtime") else FLOORS.get(part)


def part_of_file(path: Path) -> str:
    relative = path.relative_to(PACKAGE)
    return relative.parts[0] if len(relative.parts) > 1 else relative.stem


@pytest.mark.parametrize("path", modules(PACKAGE), ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_point_down(path):
    part = part_of_file(path)
    if part == "__init__":
        return  # the façade names everything
    floor = floor_of(part)
    assert floor is not None, f"{part} has no floor: give it one in FLOORS"
    for module, line in imports(path):
        other = part_of(module)
        if other is None or other == part or floor_of(other) is None:
            continue
        below = floor_of(other)
        assert below is not None
        if floor <= 3 and below == 3 == floor:
            assert (part, other) in BESIDE, f"{path.name}:{line}: driver {part} imports driver {other}"
        assert below <= floor, f"{path.name}:{line}: {part} (floor {floor}) imports {other} (floor {below})"
        if floor == 4 and part.endswith("_internal"):
            assert not other.endswith("_api") or _is_typing_only(path, module), (
                f"{path.name}:{line}: imports {other}"
            )


def _is_typing_only(path: Path, module: str) -> bool:
    """Whether *module* is imported under TYPE_CHECKING only."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            names = {name for child in node.body for name, _ in _of(child)}
            if module in names:
                return True
    return False


def _of(node: ast.stmt) -> Iterator[tuple[str, int]]:
    if isinstance(node, ast.ImportFrom) and node.module:
        yield node.module, node.lineno
        for alias in node.names:
            yield f"{node.module}.{alias.name}", node.lineno


@pytest.mark.parametrize("path", modules(PACKAGE, CLI), ids=lambda path: str(path.relative_to(ROOT)))
def test_each_third_party_library_has_one_home(path):
    where = str(path.relative_to(ROOT))
    for module, line in imports(path):
        home = HOMES.get(module.split(".")[0])
        assert home is None or where.startswith(home), (
            f"{where}:{line} imports {module}, which lives in {home}"
        )


@pytest.mark.parametrize("path", modules(CLI), ids=lambda path: str(path.relative_to(ROOT)))
def test_the_command_line_imports_the_facade_only(path):
    for module, line in imports(path):
        if module.startswith("libpod.") and not module.startswith("libpod_cli"):
            name = module.removeprefix("libpod.")
            assert name in libpod.__all__, f"{path.name}:{line} imports {module}"


@pytest.mark.parametrize(
    "path", modules(PACKAGE, CLI, ROOT / "tests"), ids=lambda path: str(path.relative_to(ROOT))
)
def test_no_module_is_longer_than_800_lines(path):
    assert len(path.read_text().splitlines()) <= 800


@pytest.mark.parametrize("path", modules(PACKAGE), ids=lambda path: str(path.relative_to(ROOT)))
def test_the_library_neither_prints_nor_exits_nor_swallows(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            assert node.func.id not in {"print", "exit", "quit"}, f"{path.name}:{node.lineno}"
        if isinstance(node, ast.ExceptHandler):
            assert node.type is not None, f"{path.name}:{node.lineno}: a bare except"
            if isinstance(node.type, ast.Name) and node.type.id in {"Exception", "BaseException"}:
                raises = any(isinstance(child, ast.Raise) for child in ast.walk(node))
                passes_on = any(
                    isinstance(child, ast.Name) and child.id == (node.name or "") for child in ast.walk(node)
                )
                assert raises or passes_on, f"{path.name}:{node.lineno}: an error is swallowed"


@pytest.mark.parametrize("path", modules(PACKAGE, CLI), ids=lambda path: str(path.relative_to(ROOT)))
def test_every_module_begins_with_its_design(path):
    assert ast.get_docstring(ast.parse(path.read_text())), f"{path} has no docstring"


def test_all_names_of_the_facade_are_there():
    for name in libpod.__all__:
        assert getattr(libpod, name) is not None
    assert sorted(libpod.__all__) == libpod.__all__


def test_importing_the_package_loads_nothing_heavy():
    import sys

    from libpod.linux.process import run

    code = "import libpod, sys; print(' '.join(sys.modules))"
    loaded = set(run([sys.executable, "-c", code]).stdout.decode().split())
    assert not loaded & {
        "attrs",
        "lmdb",
        "msgspec",
        "pyroute2",
        "subprocess",
        "rich",
        "json",
        "libpod.runtime",
    }
