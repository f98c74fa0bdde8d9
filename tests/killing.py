"""Children that kill themselves (SIGKILL) at their n-th step, for tests that kill at every step of an action."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable
from types import CodeType, FrameType


def killed_at(step: int, action: Callable[[], object], is_step: Callable[[CodeType], bool]) -> bool:
    """Whether a child that does *action* was killed when it entered its *step*-th step; False when it ended before."""
    child = os.fork()
    if child == 0:
        seen = 0

        def count(frame: FrameType, event: str, _argument: object) -> None:
            nonlocal seen
            if event == "call" and is_step(frame.f_code):
                seen += 1
                if seen == step:
                    os.kill(os.getpid(), signal.SIGKILL)

        threading.setprofile(count)
        sys.setprofile(count)
        try:
            action()
        finally:
            os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status)
