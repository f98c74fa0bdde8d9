"""A user namespace without a life of its own: a mapping of ids that mounts can be given.

The kernel takes the mapping of a mount from a user namespace. A child makes one and waits; its mapping is written, its
namespace opened, and the child ends: the descriptor keeps the namespace. A kill leaves nothing, because the child ends
with its standard input.

Covers: storage/pkg/idmap (CreateUsernsProcess)
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence

from libpod.linux.process import PIPE, require_program, spawned

Ranges = Sequence[tuple[int, int, int]]
"""(id inside, id on the host, how many)."""


@contextlib.contextmanager
def mapped_namespace(uids: Ranges, gids: Ranges) -> Iterator[int]:
    """A descriptor of a user namespace with these mappings. Raises OSError, ProgramMissingError."""
    unshare = require_program("unshare", purpose="map the ids of a container")
    # cat says by its answer that it is in the new namespace.
    with spawned([unshare, "--user", "cat"], stdin=PIPE, stdout=PIPE) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        try:
            os.write(child.stdin.fileno(), b"\n")
            if os.read(child.stdout.fileno(), 1) != b"\n":
                raise PermissionError(1, "no user namespace can be made")
            place = f"/proc/{child.pid}"
            for name, ranges in (("uid_map", uids), ("gid_map", gids)):
                text = "".join(f"{inside} {outside} {size}\n" for inside, outside, size in ranges)
                descriptor = os.open(f"{place}/{name}", os.O_WRONLY | os.O_CLOEXEC)
                try:
                    os.write(descriptor, text.encode())
                finally:
                    os.close(descriptor)
            namespace = os.open(f"{place}/ns/user", os.O_RDONLY | os.O_CLOEXEC)
        finally:
            child.stdin.close()
    try:
        yield namespace
    finally:
        os.close(namespace)
