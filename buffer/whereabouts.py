"""Where a thread of this process is, as the kernel says: whether it waits for a device, or for somebody in here.

Not a measure of time: who asks looks again and again. Linux only, and without any right that a service lacks.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

TASKS = Path("/proc/self/task")
ASLEEP, UNWAKEABLE = "S", "D"
"""States of proc(5) in which a thread waits; in the second it cannot even be killed, as when a disk is silent."""

FOR_A_THREAD = "futex"
"""`wchan` begins with this where a thread waits for another one, in every kernel so far."""

UNTOLD = ("0", "")
"""`wchan` where the kernel does not tell, or where the thread has gone on meanwhile."""


def waits_for_device(thread_id: int | None) -> bool:
    """Whether it waits in the kernel for anything but another thread. False for a thread that has ended."""
    with suppress(OSError):
        task = TASKS / str(thread_id)
        state = (task / "stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()[0]
        place = (task / "wchan").read_text(encoding="ascii").strip()
        is_known = place not in UNTOLD and not place.startswith(FOR_A_THREAD)
        return state == UNWAKEABLE or (state == ASLEEP and is_known)
    return False
