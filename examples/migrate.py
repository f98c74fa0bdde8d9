#!/usr/bin/env python3
"""Freeze a running container into one file, carry it to another host, and wake it there with its memory intact.

    make demo        or, as root:  .venv/bin/python examples/migrate.py

Both hosts are this machine, with a store, a runroot and a state of their own each. The image is made of nothing but
this machine's busybox, so no registry and no network is needed. Everything lies in a temporary directory, which is gone
afterwards; the system's containers are not touched. Whatever is not as it should be ends the demo with one sentence and
exit status 1.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import libpod

IMAGE = "localhost/counter"
LETTER = "written before the journey"

# Counts in a variable: the number exists nowhere but in the memory of this one process, and so does the token.
PROGRAM = f"""
token=$(cat /proc/sys/kernel/random/uuid)
echo "{LETTER}" > /letter.txt
count=0
while :; do
    count=$((count + 1))
    echo "$token $count"
    sleep 0.05
done
"""
APPLETS = ("sh", "cat", "echo", "sleep")
PATIENCE = 60.0
"""Seconds after which something that has not happened counts as broken; the machine may be busy."""


class BrokenPromiseError(Exception):
    """Something is not as it should be."""


def main() -> int:
    try:
        with workshop() as place, ExitStack() as hosts:
            travel(place, hosts)
    except (BrokenPromiseError, libpod.LibpodError, OSError) as error:
        print(f"The demo failed: {' '.join(str(error).split())}.", file=sys.stderr)
        return 1
    return 0


def travel(place: Path, hosts: ExitStack) -> None:
    """The whole journey."""
    clock = Clock()
    archive = place / "counter.tar.gz"

    say("The source host")
    source = hosts.enter_context(host(place / "source"))
    with clock.lap("made an image of busybox"):
        source.import_image(make_root(place), IMAGE)
        source.save_images([IMAGE], place / "image.tar")
    with clock.lap("started a container that counts in memory"):
        counter = source.run(IMAGE, "sh", "-c", PROGRAM, name="counter", network="none")
        before = wait_for(
            lambda: last_line(counter), lambda line: line.count >= 10, "the container does not count"
        )
    clock.note(f"it has counted to {before.count}; its token is {before.token[:8]}…")

    with clock.lap("froze it into one file"):
        frozen = source.checkpoint("counter", export=archive)
    stopped = last_line(counter)
    assert frozen.archive is not None
    clock.phases(frozen.phases)
    pages = sum(
        member.size for member in frozen.archive.members if member.name.startswith("checkpoint/pages-")
    )
    clock.note(
        f"{size(frozen.archive.size)} on disk, {size(frozen.archive.content_size)} inside, {size(pages)} of memory"
    )
    clock.note(f"it stopped at {stopped.count}")
    with clock.lap("deleted it"):
        counter.remove()
    require(not source.has_container("counter"), "the source host still has the container")

    say("The destination host")
    destination = hosts.enter_context(host(place / "destination"))
    require(not destination.containers(), "the destination is not empty")
    with clock.lap("loaded the image"):
        destination.load_images(place / "image.tar")
    with clock.lap("woke the container from the file"):
        woken, report = destination.restore_with_report(import_=archive)
    clock.phases(report.phases)
    after = wait_for(
        lambda: last_line(woken),
        lambda line: line.count > stopped.count + 5,
        "the woken container does not count on",
    )
    lines = list(log(woken))
    check_continued(lines, stopped, of="the woken container")
    clock.note(
        f"it goes on: {stopped.count}, {stopped.count + 1}, {stopped.count + 2}, … {after.count}; same token"
    )
    letter = woken.run("cat", "/letter.txt").stdout.decode().strip()
    require(letter == LETTER, f'the file says "{letter}" instead of "{LETTER}"')
    clock.note(f'its file is there: "{letter}"')

    say("A second copy, beside the first")
    with clock.lap("woke it again under another name"):
        twin = destination.restore(import_=archive, name="twin")
    second = wait_for(
        lambda: last_line(twin),
        lambda line: line.count > stopped.count + 5,
        "the second copy does not count on",
    )
    check_continued(list(log(twin)), stopped, of="the second copy")
    running = sorted(item.name for item in destination.containers(all=False))
    require(running == ["counter", "twin"], f"not both copies run, but {running}")
    clock.note(f"counter is at {last_line(woken).count}, twin at {second.count}")

    gap = lines[stopped.count].moment - lines[stopped.count - 1].moment
    clock.summary(frozen, report, gap)


# ---- the container and its log -------------------------------------------------------------------------------------


class Line:
    """One line that the container wrote."""

    def __init__(self, token: str, count: int, moment: float) -> None:
        self.token, self.count, self.moment = token, count, moment


def log(container: libpod.Container) -> Iterator[Line]:
    """The lines it wrote so far, on whichever host."""
    for line in container.logs():
        match = re.fullmatch(r"(\S+) (\d+)", line.data.decode())
        if match is not None and line.ends_line:
            yield Line(match[1], int(match[2]), seconds(line.time))


def last_line(container: libpod.Container) -> Line:
    """The last one; a line with count 0 as long as there is none."""
    lines = list(log(container))
    return lines[-1] if lines else Line("", 0, 0.0)


def check_continued(lines: list[Line], stopped: Line, *, of: str) -> None:
    """It counted on where it stopped, in the same process, and began nowhere anew."""
    numbers = [line.count for line in lines]
    require(
        numbers == list(range(1, len(numbers) + 1)), f"{of} began to count anew: its log says {numbers[-8:]}"
    )
    require(len(numbers) > stopped.count, f"{of} has not counted on from {stopped.count}")
    require({line.token for line in lines} == {stopped.token}, f"{of} is another process: its token changed")


def seconds(text: str) -> float:
    """Seconds of the day of an RFC 3339 time; enough to take a difference."""
    hours, minutes, rest = text[11:].split(":", 2)
    return int(hours) * 3600 + int(minutes) * 60 + float(re.match(r"[\d.]+", rest)[0])  # type: ignore[index]


def wait_for(look: Callable[[], Line], good: Callable[[Line], bool], otherwise: str) -> Line:
    """Look until it is good."""
    deadline = time.monotonic() + PATIENCE
    while not good(line := look()):
        require(time.monotonic() < deadline, otherwise)
        time.sleep(0.02)
    return line


def require(condition: bool, otherwise: str) -> None:
    if not condition:
        raise BrokenPromiseError(otherwise)


# ---- the hosts -----------------------------------------------------------------------------------------------------


@contextmanager
def workshop() -> Iterator[Path]:
    """A directory for everything."""
    place = Path(tempfile.mkdtemp(prefix="libpod-demo-"))
    try:
        yield place
    finally:
        # conmon's clean-up programs work on what is about to be deleted.
        deadline = time.monotonic() + PATIENCE
        while processes_about(place) and time.monotonic() < deadline:
            time.sleep(0.02)
        shutil.rmtree(place)


def processes_about(place: Path) -> list[str]:
    """Ids of the processes that have *place* in their command lines."""
    found = []
    for entry in os.listdir("/proc"):
        with suppress(OSError):
            if entry.isdecimal() and os.fsencode(place) in Path("/proc", entry, "cmdline").read_bytes():
                found.append(entry)
    return found


@contextmanager
def host(place: Path) -> Iterator[libpod.Runtime]:
    """An engine of its own; its containers end with it."""
    with libpod.Runtime(place / "root", place / "run") as runtime:
        try:
            yield runtime
        finally:
            for item in runtime.containers():
                with suppress(libpod.NoSuchContainerError):
                    runtime.container(item.id).remove(force=True, volumes=True, timeout=0)
            release_mounts(place)


def release_mounts(place: Path) -> None:
    """What the layer store keeps mounted below *place*, innermost first."""
    with open("/proc/self/mountinfo") as table:
        points = [row.split()[4] for row in table]
    for point in sorted((point for point in points if point.startswith(f"{place}/")), key=len, reverse=True):
        os.system(f"umount '{point}'")


def make_root(place: Path) -> Path:
    """A root file system with nothing but busybox."""
    busybox = shutil.which("busybox") or "/bin/busybox"
    root = place / "rootfs"
    (root / "bin").mkdir(parents=True)
    try:
        shutil.copy2(busybox, root / "bin/busybox")
    except FileNotFoundError:
        raise BrokenPromiseError("there is no busybox to make an image of: install busybox-static") from None
    for applet in APPLETS:
        (root / "bin" / applet).symlink_to("busybox")
    return root


# ---- what is shown -------------------------------------------------------------------------------------------------


def say(text: str) -> None:
    print(f"\n{text}", flush=True)


def size(count: int) -> str:
    """Bytes for people."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024 or unit == "GiB":
            return f"{count} B" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024  # type: ignore[assignment]
    raise AssertionError("unreachable")


class Clock:
    """The timeline."""

    def __init__(self) -> None:
        self._began = time.monotonic()

    @contextmanager
    def lap(self, what: str) -> Iterator[None]:
        """Time the block and print a line about it."""
        began = time.monotonic()
        yield
        took = (time.monotonic() - began) * 1000
        print(f"  {(began - self._began) * 1000:7.0f} ms  {what:<48} {took:7.0f} ms", flush=True)

    def phases(self, phases: tuple[libpod.Phase, ...]) -> None:
        """The parts that a report names."""
        for phase in phases:
            print(f"              · {phase.name:<46} {phase.duration / 1000:7.0f} ms")

    def note(self, text: str) -> None:
        print(f"              {text}", flush=True)

    def summary(self, frozen: libpod.CheckpointReport, report: libpod.RestoreReport, gap: float) -> None:
        say("In short")
        print(f"  archive            {size(report.archive_size)}, {size(report.content_size)} inside")
        print(f"  freeze and pack    {frozen.duration / 1000:.0f} ms")
        print(f"  unpack and wake    {report.duration / 1000:.0f} ms")
        print(f"  downtime           {gap * 1000:.0f} ms from its last line there to its first line here,")
        print("                     with deleting it there and loading the image here in between")


if __name__ == "__main__":
    sys.exit(main())
