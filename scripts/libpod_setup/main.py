"""The steps of the set-up, in order."""

import argparse
import os
import sys
import time
from collections.abc import Sequence

from libpod_setup import criu, layout, packages, peers, venv
from libpod_setup.commands import SetupError, say
from libpod_setup.files import locked


def main(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="scripts/setup",
        description="Make this machine and this checkout ready for libpod: system packages, .venv, CRIU.",
    )
    parser.add_argument(
        "--peers",
        action="store_true",
        help="also unpack podman 5 of a newer release, for the tests that hand archives over to it",
    )
    arguments = parser.parse_args(argv)
    began = time.monotonic()
    try:
        require_root_on_linux()
        with locked(layout.LOCK):
            packages.ensure()
            venv.ensure()
            found = criu.ensure()
            if arguments.peers:
                peers.ensure()
    except SetupError as error:
        print(f"setup: {error}", file=sys.stderr)
        return 1
    say(f"CRIU {found.version} at {found.path}")
    say(f"ready after {time.monotonic() - began:.1f} s")
    return 0


def require_root_on_linux() -> None:
    """The containers of this library are root's, and so are the packages they need."""
    if sys.platform != "linux":
        raise SetupError(f"this is {sys.platform}; containers, and so libpod, need Linux")
    if os.geteuid() != 0:
        raise SetupError("run this as root, for instance with sudo: it installs packages and probes CRIU")
