"""The program: find the verb, read its flags, run it, turn an error into one line and an exit code.

Covers: cmd/podman/main.go, cmd/podman/root.go
"""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Sequence

from libpod_cli import errors
from libpod_cli.parser import HelpWanted, Parser, UsageError, parse
from libpod_cli.session import Session
from libpod_cli.verbs import find, overview

LOG_LEVELS = {
    "trace": 10,
    "debug": 10,
    "info": 20,
    "warn": 30,
    "warning": 30,
    "error": 40,
    "fatal": 50,
    "panic": 50,
}
"""In numbers of `logging`, which is not loaded for its names."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command line; returns the exit code of the process. The process's own line is the last thing it does."""
    if argv is not None:
        return _guarded(argv)
    # Nearly all that is made while modules load stays: looking for garbage among it takes a tenth of a short run, and
    # taking it apart object by object at the end another tenth. The kernel frees it at once.
    gc.set_threshold(50_000)
    code = _guarded(sys.argv[1:])
    sys.stderr.flush()
    os._exit(code)


def _guarded(words: Sequence[str]) -> int:
    try:
        code = _run(list(words))
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read our output has gone. Python would complain once more while it shuts down.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + 13
    except KeyboardInterrupt:
        return 128 + 2
    return code


def _run(words: list[str]) -> int:
    session = None
    verb_name = ""
    try:
        if words[:1] in (["--help"], ["-h"], ["help"]):
            print(
                f"{overview([])}\n\n{_global_parser().format_help().partition('options:')[2].lstrip(chr(10))}"
            )
            return 0
        settings = parse(_global_parser(), words, interspersed=False)
        if settings.version:
            return _run(["version", "--format", "libpod version {{.Client.Version}}"])
        _set_up_logging(settings.log_level)
        found = find(settings.arguments)
        if found is None:
            print(overview(settings.arguments))
            return 0
        verb_name, verb, rest = found
        parser = Parser(f"libpod {verb_name}", verb.usage, verb.summary)
        if verb.declare is not None:
            verb.declare(parser)
        arguments = parse(parser, rest, interspersed=verb.interspersed, least=verb.least, most=verb.most)
        session = Session(settings, words)
        return verb.run(arguments, session)
    except HelpWanted as help_wanted:
        print(help_wanted.text or overview([]))
        return 0
    except UsageError as error:
        return errors.report(error, verb_name)
    except errors.EXPECTED as error:
        return errors.report(error, verb_name)
    finally:
        if session is not None:
            session.close()


def _global_parser() -> Parser:
    parser = Parser("libpod", "[options] COMMAND", "Manage containers, and move them between hosts")
    parser.text("--cgroup-manager", help='"cgroupfs" or "systemd"')
    parser.text("--conmon", help="path of conmon")
    parser.text("--events-backend", help='"file", "journald" or "none"')
    parser.array("--hooks-dir", help="directory of OCI hooks (repeatable)")
    parser.text("--log-level", default="warn", help="trace, debug, info, warn, error, fatal or panic")
    parser.text("--namespace", help="the libpod namespace")
    parser.text("--network-config-dir", help="directory of network definitions")
    parser.text("--root", help="directory of images and containers")
    parser.text("--runroot", help="directory of what a reboot may erase")
    parser.text("--runtime", help="name or path of the OCI runtime")
    parser.array("--runtime-flag", help="global flag of the OCI runtime, without dashes (repeatable)")
    parser.text("--storage-driver", help="how layers are stored")
    parser.array("--storage-opt", help="option of the storage driver (repeatable)")
    parser.text("--volumepath", help="directory of the volumes")
    parser.switch("-v", "--version", help="print the version")
    return parser


def _set_up_logging(level: str) -> None:
    try:
        number = LOG_LEVELS[level.lower()]
    except KeyError:
        raise UsageError(f'"{level}" is not a log level: use one of {", ".join(LOG_LEVELS)}') from None
    if number == 30:
        return  # what Python does anyway
    import logging

    logging.basicConfig(level=number, format="%(levelname)s %(name)s: %(message)s", stream=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
