"""Command lines as podman reads them, on top of argparse.

argparse holds the declarations, converts, and prints the help. It cannot read the lines themselves as podman does:
`--sig-proxy=false`, a value that begins with a dash, and verbs whose flags end at the first argument that is no flag.
So `parse` first brings every flag into the one form `--name=value`, takes the arguments aside, and hands the flags
over.

Covers: cmd/podman (pflag)
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Callable, Sequence
from typing import Any, NoReturn


class UsageError(Exception):
    """The command line makes no sense."""


class HelpWanted(Exception):
    """--help was given."""

    def __init__(self, text: str) -> None:
        self.text = text
        super().__init__(text)


class _Argparse(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UsageError(message)


def _help_formatter(prog: str) -> argparse.HelpFormatter:
    # With a width of its own it does not ask the terminal, for which argparse would load half a dozen modules.
    return argparse.HelpFormatter(prog, max_help_position=32, width=110)


class Parser:
    """The flags of one verb. Every flag has a long name, which names its value."""

    def __init__(self, program: str, usage: str = "", summary: str = "") -> None:
        self.program = program
        self._argparse = _Argparse(
            prog=program,
            usage=f"{program} {usage}".strip(),
            description=summary,
            formatter_class=_help_formatter,
            add_help=False,
            allow_abbrev=False,
        )
        self._long: dict[str, str] = {}
        """Every spelling of a flag to its long name."""
        self._switches: set[str] = set()

    def switch(self, *names: str, default: bool = False, help: str) -> None:
        """A flag without a value; `--name=false` takes it back."""
        self._switches.add(self._declare(names))
        self._add(names, type=_boolean, default=default, help=help, metavar="")

    def text(self, *names: str, default: str = "", help: str) -> None:
        """A flag with one value; the last one counts."""
        self._declare(names)
        self._add(names, default=default, help=help, metavar="TEXT")

    def number(self, *names: str, default: int | None = None, help: str) -> None:
        """A whole number."""
        self._declare(names)
        self._add(names, type=_integer, default=default, help=help, metavar="N")

    def decimal(self, *names: str, default: float | None = None, help: str) -> None:
        """A number with a fraction."""
        self._declare(names)
        self._add(names, type=float, default=default, help=help, metavar="N")

    def array(self, *names: str, help: str) -> None:
        """A flag that may be repeated; its values are taken as they are."""
        self._declare(names)
        self._add(names, action="append", default=[], help=help, metavar="TEXT")

    def words(self, *names: str, help: str) -> None:
        """A flag that may be repeated, and whose value may hold several words with commas between them."""
        self._declare(names)
        self._add(names, action="extend", type=_comma_separated, default=[], help=help, metavar="TEXT[,…]")

    def format_help(self) -> str:
        return self._argparse.format_help().rstrip()

    def _declare(self, names: Sequence[str]) -> str:
        long = next(name for name in names if name.startswith("--"))
        for name in names:
            self._long[name] = long
        return long

    def _add(self, names: Sequence[str], **options: Any) -> None:
        self._argparse.add_argument(*names, **options)

    # -- reading ------------------------------------------------------------------------------------------------

    def split(self, words: Sequence[str], *, interspersed: bool) -> tuple[list[str], list[str]]:
        """The flags of *words* as `--name=value`, and the arguments."""
        flags: list[str] = []
        arguments: list[str] = []
        rest = iter(words)
        for word in rest:
            if word == "--":
                arguments.extend(rest)
            elif word.startswith("--"):
                name, given, value = word.partition("=")
                flags.append(self._valued(name, value if given else None, rest))
            elif word.startswith("-") and word != "-":
                flags.extend(self._short(word[1:], rest))
            else:
                arguments.append(word)
                if not interspersed:
                    arguments.extend(rest)
        return flags, arguments

    def values(self, flags: Sequence[str]) -> argparse.Namespace:
        """What argparse makes of flags in their one form."""
        return self._argparse.parse_args(list(flags))

    def _short(self, letters: str, rest: Any) -> list[str]:
        flags = []
        while letters:
            name, letters = f"-{letters[0]}", letters[1:]
            long = self._known(name)
            if long in self._switches and not letters.startswith("="):
                flags.append(f"{long}=true")
                continue
            value = letters.removeprefix("=") if letters else None
            flags.append(self._valued(name, value, rest))
            break
        return flags

    def _valued(self, name: str, value: str | None, rest: Any) -> str:
        long = self._known(name)
        if value is None:
            value = "true" if long in self._switches else next(rest, None)
        if value is None:
            raise UsageError(f"flag needs an argument: {name}")
        return f"{long}={value}"

    def _known(self, name: str) -> str:
        if name in self._long:
            return self._long[name]
        if name in ("--help", "-h"):
            raise HelpWanted(self.format_help())
        raise UsageError(f"unknown flag: {name} (see {self.program} --help)")


def parse(
    parser: Parser,
    words: Sequence[str],
    *,
    interspersed: bool = True,
    least: int = 0,
    most: int | None = None,
) -> argparse.Namespace:
    """The values of the flags in *words*, and in `arguments` the rest; raises UsageError, HelpWanted.

    Without *interspersed* the first argument ends the flags.
    """
    flags, arguments = parser.split(words, interspersed=interspersed)
    values = parser.values(flags)
    if len(arguments) < least:
        raise UsageError(f'"{parser.program}" needs at least {least} argument{"s" * (least != 1)}')
    if most is not None and len(arguments) > most:
        amount = f"at most {most} argument{'s' * (most != 1)}" if most else "no arguments"
        raise UsageError(f'"{parser.program}" takes {amount}, and {arguments[most]!r} is one too many')
    values.arguments = arguments
    return values


# ---- converters: argparse shows a ValueError's flag and value by the converter's name --------------------------------


def _named(name: str) -> Callable[[Callable[[str], Any]], Callable[[str], Any]]:
    def rename(function: Callable[[str], Any]) -> Callable[[str], Any]:
        function.__name__ = name
        return function

    return rename


@_named("boolean")
def _boolean(text: str) -> bool:
    if text.lower() in ("true", "t", "1"):
        return True
    if text.lower() in ("false", "f", "0"):
        return False
    raise ValueError(text)


@_named("whole number")
def _integer(text: str) -> int:
    return int(text, 0) if text[:1] != "0" or not text.isdecimal() else int(text)


@_named("list")
def _comma_separated(text: str) -> list[str]:
    return next(csv.reader([text]), []) if text else []
