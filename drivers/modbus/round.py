"""One read of one poll: its blocks asked one after the other, and what the device teaches on the way.

The first silence ends the round: it costs one timeout, and the block that was silent is asked last from then on. A
block that the device refuses is split until the address that it does not have stands alone, within the same round; that
one is remembered and asked for rarely, and the others are asked together again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from drivers.modbus.learning import SLOW_SHARE
from drivers.modbus.replies import NoReply

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from drivers.contract import Quality
    from drivers.modbus.learning import Learned
    from drivers.modbus.memory import Memory, Outcome, Part

    Exchange = Callable[[bytes, int], Awaitable[bytes]]

SPLITS_MAX = 24
"""So many blocks are split in one round; what is left is split in the next one."""


class Round:
    """What one read asks. `outcomes` are filled as the answers come; `silence` is the reply that ended the round."""

    def __init__(
        self, memory: Memory, learned: Learned, exchange: Exchange, mono: Callable[[], float], timeout_s: float
    ) -> None:
        self._memory = memory
        self._learned = learned
        self._exchange = exchange
        self._mono = mono
        self._timeout_s = timeout_s
        self._splits_left = SPLITS_MAX
        self._refused: list[Part] = []
        self.outcomes: dict[Part, Outcome] = {}
        self.silence: NoReply | None = None
        self.heard = False

    async def run(self) -> None:
        """Ask every part, up to the first silence. Raises `Unreachable`."""
        left_out = []
        refused = self._learned.refused
        for part in tuple(self._memory.order):
            refusal = refused.get(part.block.stretch) if refused else None
            if refusal is not None and self._mono() < refusal.again_at:
                self.outcomes[part] = refusal.quality
                left_out.append(part)
            elif not await self._ask(part):
                return
        if not self.heard and left_out:
            # A reading must come from a device that is there: one refusal is asked for again.
            await self._ask(left_out[0])

    async def _ask(self, part: Part) -> bool:
        """Whether the round goes on."""
        began = self._mono()
        try:
            self.outcomes[part] = await self._exchange(part.pdu, part.size_bytes)
        except NoReply as reply:
            self.outcomes[part] = reply.quality
            if reply.silent:
                self._end(part, reply)
                return False
            self.heard = True
            return not reply.refuses or await self._search(part, reply.quality)
        self.heard = True
        now = self._mono()
        took = (now - began) / self._timeout_s
        if took > SLOW_SHARE or not self._learned.is_at_rest(part.registers):
            self._learned.answered(part.block, took, now)
            self._learned.accept(part.block.stretch)
        return True

    def _end(self, part: Part, reply: NoReply) -> None:
        self.silence = reply
        self._memory.postpone(part)
        self._learned.silent(part.block, self._mono(), others_answered=self.heard)

    async def _search(self, part: Part, quality: Quality) -> bool:
        """Split a refused part; whether the round goes on. What was refused all by itself stands alone from now on."""
        known = len(self._refused)
        goes_on = await self._split(part, quality)
        if goes_on and len(self._refused) > known:
            self._learned.forget_cuts(part.block.stretch)
        return goes_on

    async def _split(self, part: Part, quality: Quality) -> bool:
        both = self._memory.split(part) if self._splits_left else None
        if both is None:
            if self._splits_left:
                self._refused.append(part)
                self._learned.refuse(part.block.stretch, quality, self._mono())
            return True
        self._splits_left -= 1
        self._learned.cut(part.block.function, both[1].block.start)
        del self.outcomes[part]
        for half in both:
            self.outcomes[half] = quality
        for half in both:
            if not await self._ask(half):
                return False
        return True
