"""The packages that setup.cfg lists are the packages that exist.

They are listed by hand because the finder of setuptools cannot mix a mapped package with unmapped ones; a
folder that is missing from the list would be missing from the wheel, and no other test would notice.
"""

import configparser

from libpod_setup import layout, venv


def listed() -> set[str]:
    parser = configparser.ConfigParser(interpolation=None)
    parser.read(layout.REPOSITORY / "setup.cfg")
    lines = parser["options"]["packages"].split()
    return {line for line in lines if not line.startswith("#")}


def existing() -> set[str]:
    found = set()
    for name, folder in venv.PACKAGES.items():
        for file in (layout.REPOSITORY / folder).rglob("*.py"):
            below = file.parent.relative_to(layout.REPOSITORY / folder).parts
            found.add(".".join([name, *below]))
    return found


def test_setup_cfg_lists_every_package():
    assert listed() == existing()


def test_every_package_has_an_init_module():
    folders = {name.replace(".", "/").replace("libpod_cli", "cli", 1) for name in existing()}
    assert {f for f in folders if not (layout.REPOSITORY / f / "__init__.py").exists()} == set()
