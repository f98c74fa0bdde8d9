"""The program that a dying conmon runs: argv only.

It must work from any directory, in any virtual environment, with whatever settings this runtime was opened with; and
it must start fast, for it runs once for every exit.

Covers: pkg/specgenutil/util.go (CreateExitCommandArgs)
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from libpod.config import RuntimeConfig

START = (
    "import os, sys; os.path.isdir(sys.argv.pop(3)) or os._exit(0); sys.path += sys.argv.pop(1).split(':'); "
    "from libpod.clean_up import main; os._exit(main())"
)
"""It leaves without taking the interpreter apart, which would be a fifth of its work.

And at once when the container's directory is gone: somebody has removed the container, all but perhaps its record, and
whoever stopped there is for the next repair.
"""
_PACKAGE_PARENT = str(Path(__file__).resolve().parent.parent.parent)
_STANDARD_LIBRARY = os.path.dirname(os.__file__)
INHERITED = ("CONTAINERS_CONF", "CONTAINERS_CONF_OVERRIDE", "CONTAINERS_STORAGE_CONF", "LIBPOD_CRIU")
"""Variables that change what an engine is; conmon's environment is of our making and has none of them."""


def exit_program(config: RuntimeConfig) -> tuple[str, ...]:
    """What `exit_command` begins with, the same for all containers of an engine.

    It is told the whole configuration, so that it works on the engine that ran the container, whatever has been written
    into containers.conf since, and need not read that: the parser of such files is a tenth of its work.
    """
    text = json.dumps(
        {"settings": config.settings(), "environ": _environ()}, default=os.fspath, separators=(",", ":")
    )
    return (sys.executable, "-IS", "-c", START, _places(), text)


def exit_command(
    program: tuple[str, ...], ctr_id: str, directory: Path, *, exec_session: str = ""
) -> tuple[str, ...]:
    """argv of the clean-up after one container with its own *directory*, or after one exec session in it."""
    words = (*program, os.fspath(directory), ctr_id)
    return (*words, exec_session) if exec_session else words


def _places() -> str:
    """Where this process finds modules, besides the interpreter's own: ours first.

    The program is told them and starts with -S: to find them by itself, by way of every `.pth` file, would take it a
    fifth of a bare start.
    """
    known = {_STANDARD_LIBRARY, os.path.join(_STANDARD_LIBRARY, "lib-dynload")}
    places = [
        place for place in sys.path if os.path.isdir(place) and os.path.isabs(place) and place not in known
    ]
    return ":".join(dict.fromkeys([_PACKAGE_PARENT, *places]))


def _environ() -> dict[str, str]:
    return {name: os.environ[name] for name in INHERITED if name in os.environ}
