"""How one part of the gateway goes from its settings to others while it runs: all parts together, or none of them.

First every part is asked to `prepare`, which does all that can fail and nothing that anybody notices; only when all of
them could, each carries out its `Turn`, which cannot fail. What one has prepared and another could not is undone.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from contextlib import AsyncExitStack

    from config.model import Config

Turn = Callable[[], Awaitable[None]]


class NotReady(Exception):
    """Why a part cannot go on with other settings, and what to do about it."""

    def __init__(self, what: str, hint: str) -> None:
        super().__init__(f"{what}; {hint}")
        self.what = what
        self.hint = hint


class Part(Protocol):
    """Something that is built from gateway.yaml and goes on with another one."""

    async def prepare(self, config: Config, undo: AsyncExitStack) -> Turn:
        """Raises `NotReady`. What must not stay where it comes to nothing is put into `undo`."""
