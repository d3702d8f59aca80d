"""Keeps what was built once out of the way of Python's collector of cycles.

A large site is some hundred thousand objects that live as long as the daemon. Each full collection looks at all of
them, for some tens of milliseconds in which no poll begins. What is set aside here is not looked at again; what is made
later is collected as always, and so little of it lives that a collection is short.
"""

from __future__ import annotations

import gc
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agent.clock import Clock

WARM_UP_S = 60.0
"""By then nearly every poll has been asked once, and what drivers and stages compile for it is there."""


async def set_aside(clock: Clock, warm_up_s: float = WARM_UP_S) -> None:
    """Now, and once more when the first polls have been compiled."""
    for wait_s in (0.0, warm_up_s):
        await clock.sleep_until(clock.mono() + wait_s)
        gc.collect()
        gc.freeze()


@contextmanager
def paused() -> Iterator[None]:
    """Many objects are made at once, all of them to stay: looking for garbage among them would take twice as long."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def look_again() -> None:
    """What another configuration has made superfluous is freed; what is left is set aside anew."""
    gc.unfreeze()
    gc.collect()
    gc.freeze()
