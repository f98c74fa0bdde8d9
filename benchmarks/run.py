"""python -m benchmarks.run [--quick] [--rounds N] [CHAPTER …]: print the table."""

from __future__ import annotations

import argparse
import os
import sys

from benchmarks import crowd, hosts, images, life, migrate, network, startup
from benchmarks.measure import HEADING

CHAPTERS = {
    "startup": startup.chapter,
    "life": life.chapter,
    "crowd": crowd.chapter,
    "migrate": migrate.chapter,
    "images": images.chapter,
    "network": network.chapter,
}


def main() -> int:
    """Run the chapters; the exit status tells whether every promise was kept."""
    parser = argparse.ArgumentParser(prog="benchmarks.run", description=__doc__)
    parser.add_argument(
        "chapters", nargs="*", metavar="CHAPTER", help=f"of {', '.join(CHAPTERS)}; all by default"
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="smaller crowds and memories")
    args = parser.parse_args()
    wanted = args.chapters or list(CHAPTERS)
    kept = True
    with hosts.opened() as pair:
        for name in wanted:
            print(f"\n{name}  (load {os.getloadavg()[0]:.1f})\n{HEADING}", flush=True)
            extra = {}
            if args.quick:
                extra = {
                    "crowd": {"count": 100, "multitude": 1000},
                    "migrate": {"sizes": (64,)},
                    "images": {"count": 50},
                }.get(name, {})
            for row in CHAPTERS[name](pair, args.rounds, **extra):  # type: ignore[operator]
                print(row.row(), flush=True)
                kept = kept and row.is_met
            pair.clear()
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
