"""What befalls the parts of a site: gateway, broker, consumer, and the roads to the broker; each in the same five ways.

A part knows how to leave in order, to die, to come back, to stand still with everything open, and to go on.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import random
    from collections.abc import Awaitable, Callable

    from consumer_process import ConsumerProcess
    from plant import Broker, Gateway
    from road import Road


@dataclass(frozen=True, slots=True)
class Scale:
    """How long things take, and how much goes on meanwhile.

    `silent_s` is beyond every keep-alive where it is to be found out by that. Before and after a trouble there is load
    for `load_s`: `devices` whose 100 values all change every `interval_s`.
    """

    away_s: float
    silent_s: float
    flaps: int
    load_s: float
    devices: int
    interval_s: float

    @property
    def records(self) -> int:
        """So many telemetry records come in `load_s`."""
        return int(self.load_s / self.interval_s) * self.devices


class Part(Protocol):
    """`marks` are moments (seconds since the epoch) up to which what a device served last may have been lost."""

    marks: list[float]

    async def leave(self) -> None: ...

    async def die(self) -> None: ...

    async def back(self) -> None: ...

    async def freeze(self) -> None: ...

    async def thaw(self) -> None: ...


@dataclass
class GatewayPart:
    gateway: Gateway
    marks: list[float] = field(default_factory=list)

    async def leave(self) -> None:
        code, _ = await self.gateway.stop()
        # One that was told to stop before it could listen for that is ended by the signal itself.
        assert code in {0, -signal.SIGTERM}, self.gateway.log.read_text()

    async def die(self) -> None:
        self.gateway.kill()

    async def back(self) -> None:
        """What was under way to the one that has ended, nobody has read."""
        self.marks.append(time.time())
        self.gateway.start()

    async def freeze(self) -> None:
        os.kill(self.gateway.pid, signal.SIGSTOP)

    async def thaw(self) -> None:
        self.marks.append(time.time())
        os.kill(self.gateway.pid, signal.SIGCONT)


@dataclass
class BrokerPart:
    broker: Broker
    marks: list[float] = field(default_factory=list)

    async def leave(self) -> None:
        self.broker.leave()

    async def die(self) -> None:
        self.broker.stop()

    async def back(self) -> None:
        await self.broker.start()

    async def freeze(self) -> None:
        self.broker.signal(signal.SIGSTOP)

    async def thaw(self) -> None:
        self.broker.signal(signal.SIGCONT)


@dataclass
class ConsumerPart:
    consumer: ConsumerProcess
    marks: list[float] = field(default_factory=list)

    async def leave(self) -> None:
        await self.consumer.stop()

    async def die(self) -> None:
        self.consumer.kill()

    async def back(self) -> None:
        self.consumer.start()

    async def freeze(self) -> None:
        self.consumer.send_signal(signal.SIGSTOP)

    async def thaw(self) -> None:
        self.consumer.send_signal(signal.SIGCONT)


@dataclass
class RoadPart:
    road: Road
    marks: list[float] = field(default_factory=list)

    async def leave(self) -> None:
        self.road.cut()

    async def die(self) -> None:
        self.road.close()

    async def back(self) -> None:
        self.road.open()

    async def freeze(self) -> None:
        self.road.silence()

    async def thaw(self) -> None:
        self.road.flow()


async def stopped(part: Part, _: Scale, __: random.Random) -> None:
    await part.leave()
    await part.back()


async def killed(part: Part, _: Scale, __: random.Random) -> None:
    await part.die()
    await part.back()


async def away(part: Part, scale: Scale, _: random.Random) -> None:
    await part.die()
    await asyncio.sleep(scale.away_s)  # the promise is about this span of real time, not about a condition
    await part.back()


async def flapping(part: Part, scale: Scale, dice: random.Random) -> None:
    """Leaves or dies again and again, at moments of which some find it in the middle of coming back."""
    for _ in range(scale.flaps):
        await (part.die if dice.random() < 0.5 else part.leave)()
        await asyncio.sleep(dice.uniform(0, 0.5))
        await part.back()
        await asyncio.sleep(dice.uniform(0, 2.5))


async def silent(part: Part, scale: Scale, _: random.Random) -> None:
    await part.freeze()
    await asyncio.sleep(scale.silent_s)  # as above
    await part.thaw()


TROUBLES: dict[str, Callable[[Part, Scale, random.Random], Awaitable[None]]] = {
    "clean stop": stopped,
    "kill -9": killed,
    "away": away,
    "flapping": flapping,
    "silent": silent,
}
