"""Which verbs there are, and which module has each: a table, so that looking one up loads nothing else.

Covers: cmd/podman/registry/registry.go
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from libpod_cli.parser import UsageError

if TYPE_CHECKING:
    import argparse

    from libpod_cli.parser import Parser
    from libpod_cli.session import Session

    Run = Callable[[argparse.Namespace, Session], int]
    Declare = Callable[[Parser], None]


class Verb:
    """One verb: how it is written and what it does. Made by `verb`."""

    def __init__(
        self,
        run: Run,
        usage: str,
        declare: Declare | None,
        least: int,
        most: int | None,
        interspersed: bool,
    ) -> None:
        self.run = run
        self.usage = usage
        self.summary = (run.__doc__ or "").partition("\n")[0]
        self.declare = declare
        self.least = least
        self.most = most
        self.interspersed = interspersed


def verb(
    usage: str,
    declare: Declare | None = None,
    *,
    least: int = 0,
    most: int | None = None,
    interspersed: bool = True,
) -> Callable[[Run], Verb]:
    """Make a function a verb: *declare* declares its flags, *least* and *most* bound its arguments.

    Without *interspersed* the first argument ends the flags.
    """
    return lambda run: Verb(run, usage, declare, least, most, interspersed)


TABLE: dict[str, tuple[str, str]] = {
    "attach": ("inside", "Connect to the streams of a running container"),
    "build": ("image_files", "Build an image from a Containerfile"),
    "checkpoint": ("move", "Freeze running containers, into their directories or into an archive"),
    "commit": ("files", "Make an image of a container's changes"),
    "cp": ("files", "Copy files between containers and the host"),
    "create": ("create", "Make a container without starting it"),
    "diff": ("files", "Show what a container or image changed, or what is different in it from another"),
    "events": ("system", "Show what happened, or happens"),
    "exec": ("inside", "Run a command in a running container"),
    "export": ("files", "Write a container's root file system as a tar"),
    "history": ("images", "Show the steps that led to an image"),
    "images": ("images", "List images"),
    "import": ("images", "Make an image of a root file system"),
    "info": ("system", "Show what this engine is"),
    "init": ("lifecycle", "Create containers in the OCI runtime without running their commands"),
    "inspect": ("inspect", "Show everything about containers, images, volumes and networks"),
    "kill": ("lifecycle", "Send a signal to containers"),
    "load": ("images", "Load images from an archive"),
    "login": ("registries", "Log in to a registry"),
    "logout": ("registries", "Log out of a registry"),
    "logs": ("inside", "Show what containers wrote"),
    "mount": ("files", "Mount the root file system of containers"),
    "pause": ("lifecycle", "Freeze the processes of containers"),
    "port": ("containers", "Show published ports"),
    "ps": ("containers", "List containers"),
    "pull": ("images", "Fetch images"),
    "push": ("images", "Copy an image to a registry or another place"),
    "rename": ("containers", "Give a container another name"),
    "restart": ("lifecycle", "Stop and start containers"),
    "restore": ("move", "Wake containers from a checkpoint"),
    "rm": ("lifecycle", "Remove containers"),
    "rmi": ("images", "Remove images"),
    "run": ("create", "Make a container and run its command"),
    "save": ("images", "Write images into an archive"),
    "search": ("registries", "Search registries"),
    "start": ("lifecycle", "Start containers"),
    "stats": ("usage", "Show what containers use"),
    "stop": ("lifecycle", "Stop containers"),
    "tag": ("images", "Give an image more names"),
    "top": ("usage", "Show the processes of a container"),
    "unmount": ("files", "Undo mount"),
    "unpause": ("lifecycle", "Let frozen processes go on"),
    "untag": ("images", "Take names from an image"),
    "update": ("containers", "Change the limits of a container"),
    "version": ("system", "Show versions"),
    "wait": ("lifecycle", "Wait until containers end and print their exit codes"),
    "container cleanup": ("lifecycle", "Release what ended containers still hold"),
    "container exists": ("containers", "Whether there is such a container"),
    "container inspect": ("inspect", "Show everything about containers"),
    "container prune": ("lifecycle", "Remove all containers that do not run"),
    "image diff": ("image_files", "Show what an image changed, or what is different in it from another"),
    "image exists": ("images", "Whether there is such an image"),
    "image inspect": ("inspect", "Show everything about images"),
    "image mount": ("image_files", "Mount the root file system of images, or list those that are mounted"),
    "image prune": ("images", "Remove images that nothing needs"),
    "image tree": ("image_files", "Draw the layers of an image"),
    "image unmount": ("image_files", "Undo image mount"),
    "network connect": ("networks", "Connect a container to a network"),
    "network create": ("networks", "Make a network"),
    "network disconnect": ("networks", "Disconnect a container from a network"),
    "network exists": ("networks", "Whether there is such a network"),
    "network inspect": ("networks", "Show everything about networks"),
    "network ls": ("networks", "List networks"),
    "network prune": ("networks", "Remove networks that nothing uses"),
    "network reload": ("networks", "Load the firewall's rules for containers again"),
    "network rm": ("networks", "Remove networks"),
    "pod create": ("pods", "Make a pod"),
    "pod exists": ("pods", "Whether there is such a pod"),
    "pod inspect": ("pods", "Show everything about pods"),
    "pod kill": ("pods", "Send a signal to the members of pods"),
    "pod pause": ("pods", "Freeze the members of pods"),
    "pod prune": ("pods", "Remove the pods in which nothing runs"),
    "pod ps": ("pods", "List pods"),
    "pod restart": ("pods", "Stop and start the members of pods"),
    "pod rm": ("pods", "Remove pods"),
    "pod start": ("pods", "Start the members of pods"),
    "pod stop": ("pods", "Stop the members of pods"),
    "pod unpause": ("pods", "Let the members of pods go on"),
    "system check": ("upkeep", "Look for leftovers and damage"),
    "system locks": ("upkeep", "Show who holds locks, and locks that several objects share"),
    "system migrate": (
        "upkeep",
        "Bring records in line with directories that were moved, or with another OCI runtime",
    ),
    "system renumber": ("upkeep", "Give all objects new locks"),
    "system reset": ("upkeep", "Remove all containers, pods, volumes and networks of this engine"),
    "volume create": ("volumes", "Make a volume"),
    "volume exists": ("volumes", "Whether there is such a volume"),
    "volume inspect": ("volumes", "Show everything about volumes"),
    "volume ls": ("volumes", "List volumes"),
    "volume prune": ("volumes", "Remove volumes that nothing uses"),
    "volume rm": ("volumes", "Remove volumes"),
}
"""Verbs to the module that has them and their summary. The function is named like the verb, `_` for a space; a Python
keyword gets one more `_`."""

_SHARED = {
    "container": (
        "attach", "checkpoint", "commit", "cp", "create", "diff", "exec", "export", "init", "kill", "logs", "mount",
        "pause", "port", "ps", "rename", "restart", "restore", "rm", "run", "start", "stats", "stop", "top", "unmount",
        "unpause", "update", "wait",
    ),
    "image": ("build", "history", "import", "load", "pull", "push", "save", "search", "tag", "untag"),
}  # fmt: skip
"""Top-level verbs that stand in a group too, under the same name."""

ALIASES = {
    "umount": "unmount",
    "container ls": "ps",
    "container list": "ps",
    "container umount": "unmount",
    "image ls": "images",
    "image list": "images",
    "image rm": "rmi",
    "image umount": "image unmount",
    "network list": "network ls",
    "network remove": "network rm",
    "pod list": "pod ps",
    "pod ls": "pod ps",
    "volume list": "volume ls",
    "system info": "info",
    "system events": "events",
    **{f"{group} {name}": name for group, names in _SHARED.items() for name in names},
}

GROUPS = {
    "container": "Manage containers",
    "image": "Manage images",
    "network": "Manage networks",
    "pod": "Manage pods",
    "system": "Manage the engine",
    "volume": "Manage volumes",
}

_KEYWORDS = ("import", "exec")


def find(words: Sequence[str]) -> tuple[str, Verb, list[str]] | None:
    """The verb that *words* begin with, under the name of the table, and the words after it.

    None when a list of verbs is all that can be shown. Raises UsageError.
    """
    if not words:
        return None
    name, rest = words[0], list(words[1:])
    if name in GROUPS:
        if not rest or rest[0] in ("--help", "-h"):
            return None
        name, rest = f"{name} {rest[0]}", rest[1:]
    name = ALIASES.get(name, name)
    if name not in TABLE:
        raise UsageError(f'there is no command "libpod {name}": see libpod --help')
    module = importlib.import_module(f"libpod_cli.{TABLE[name][0]}")
    function = name.replace(" ", "_") + "_" * (name in _KEYWORDS)
    found = getattr(module, function)
    assert isinstance(found, Verb)
    return name, found, rest


def overview(words: Sequence[str]) -> str:
    """The list of all verbs, or of those of the group that *words* name."""
    group = words[0] if words and words[0] in GROUPS else ""
    if not group:
        names = {name: summary for name, (_, summary) in TABLE.items() if " " not in name}
        lines = [
            "Manage containers, and move them between hosts",
            "",
            "Usage:",
            "  libpod [options] COMMAND",
            "",
        ]
        lines += ["Commands:", *_listed({**names, **GROUPS}), ""]
        lines += ['"libpod COMMAND --help" tells more about one; docs/cli.md has the global options.']
        return "\n".join(lines)
    every = {name: TABLE[name][1] for name in TABLE} | {
        name: TABLE[target][1] for name, target in ALIASES.items()
    }
    names = {name.partition(" ")[2]: text for name, text in every.items() if name.startswith(f"{group} ")}
    return "\n".join([GROUPS[group], "", "Commands:", *_listed(names)])


def _listed(names: dict[str, str]) -> list[str]:
    return [f"  {name:<12} {names[name]}" for name in sorted(names)]
