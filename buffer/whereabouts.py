"""Where a thread of this process is, as the kernel says: whether it waits for a device, or for somebody in here.

Not a measure of time: who asks looks again and again. Linux only, and without any right that a service lacks.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

TASKS = Path("/proc/self/task")
WAITS = "SD"
"""The states of proc(5) in which a thread waits: it can be woken, or it cannot, as while a disk does not answer."""

IN_HERE = ("futex", "0", "")
"""`wchan` begins with the first where a thread waits for another one; the others say that the kernel does not tell."""


def waits_for_device(thread_id: int | None) -> bool:
    """Whether it waits in the kernel for anything but another thread. False for a thread that has ended."""
    with suppress(OSError):
        task = TASKS / str(thread_id)
        state = (task / "stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()[0]
        place = (task / "wchan").read_text(encoding="ascii").strip()
        return state == "D" or (state in WAITS and place not in IN_HERE and not place.startswith(IN_HERE[0]))
    return False
