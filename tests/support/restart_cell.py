"""One cell of the restart matrix: a site of real processes under load, one trouble, and what everybody says afterwards.

The devices serve values that all change; gateway, broker and consumer each are a process, with a road between each
client and the broker. Whatever happens to one of them, at the end the consumer's report, the gateway's own account and
what the devices have served must be equal.
"""

from __future__ import annotations

import random
import time
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import mutants
from accounting import account, compare, samples
from consumer_process import ConsumerProcess
from mqtt_peer import until
from plant import Broker, Gateway, broker, configure_load, folder, load, uplink
from road import Road
from three_accounts import GatewaysOwn, alarm_disagreements, disagreements
from troubles import TROUBLES, BrokerPart, ConsumerPart, GatewayPart, Part, RoadPart

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator, Mapping
    from pathlib import Path

    from accounting import Account, PointKey, Served
    from mutants import Mutation
    from plant import Load, Tree
    from troubles import Scale

KEEP_ALIVE_S = 5
ALARM_EVERY_S = 0.5
ALARMS = 60

RETURN_S_MAX = 180.0
"""Until everything is confirmed again: what waits longest is a consumer that tries every 30 s, and may do so twice."""

REMEMBERS = ("autosave_on_changes true", "autosave_interval 500")
"""For a broker that is killed: what it took over is on disk, but for the last second or so.

Trap: mosquitto writes its whole store each time. After every single change, with some megabytes waiting for a consumer,
it takes over fewer than ten messages a second.
"""

FORGETS = ("persistence false",)


@dataclass(frozen=True, slots=True)
class Ways:
    """How gateway and consumer see to it that nothing is lost; `build` is that of the gateway."""

    confirm: bool = True
    resend: bool = True
    build: Mutation = mutants.nothing

    @property
    def options(self) -> list[str]:
        """Of the consumer."""
        return ["--confirm"] * self.confirm + ["--resend"] * self.resend


BOTH = Ways()


@dataclass
class Site:
    """The parts of one cell, all running."""

    folder: Path
    gateway: Gateway
    consumer: ConsumerProcess
    broker: Broker
    gateway_road: Road
    consumer_road: Road
    load: Load
    alarms: dict[str, Tree]
    ways: Ways

    def flowing(self) -> bool:
        """Whether the consumer is there and the gateway is connected."""
        return self.gateway.answers() and self.gateway.status().uplinks[0].state == "connected"

    async def more(self, records: int) -> None:
        """Until the consumer has stored so many more."""
        enough = self.consumer.stored() + records
        await self.until(lambda: self.consumer.stored() >= enough)

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait for it; says what everybody said last when it does not come."""
        try:
            await until(condition, RETURN_S_MAX)
        except TimeoutError:
            logs = [log.read_text()[-2000:] for log in (self.gateway.log, self.consumer.log, self.broker.log)]
            own = self.gateway.status().uplinks[0]
            raise AssertionError("\n\n".join([f"not within {RETURN_S_MAX:g} s", str(own), *logs])) from None

    def at_rest(self) -> bool:
        """Nothing more comes from the field, and all that came is confirmed, by both accounts."""
        status = self.gateway.status()
        own = status.uplinks[0]
        if sum(own.waiting.values()) or own.handed_over or not all(view.failures for view in status.devices):
            return False
        return not self.ways.confirm or not self.consumer.unconfirmed()


PARTS: dict[str, Callable[[Site], Part]] = {
    "gateway": lambda site: GatewayPart(site.gateway),
    "broker": lambda site: BrokerPart(site.broker),
    "consumer": lambda site: ConsumerPart(site.consumer),
    "gateway's network": lambda site: RoadPart(site.gateway_road),
    "consumer's network": lambda site: RoadPart(site.consumer_road),
}


@dataclass(frozen=True)
class Outcome:
    """What a cell has shown: figures for people, and what is wrong."""

    records: int
    values: int
    duplicates: int
    alarms: int
    returned_s: float
    faults: list[str]

    def __str__(self) -> str:
        said = f"{self.records:6,} records, {self.values:8,} values, {self.alarms:3} alarms, "
        return said + f"{self.duplicates:5,} came twice, whole after {self.returned_s:4.1f} s"


@asynccontextmanager
async def site(scale: Scale, *broker_lines: str, ways: Ways = BOTH) -> AsyncIterator[Site]:
    """Everything started, and the first records stored by the consumer."""
    async with AsyncExitStack() as stack:
        here = stack.enter_context(folder())
        running, net = stack.enter_context(load(here, devices=scale.devices, interval_s=scale.interval_s))
        server = await stack.enter_async_context(broker(here, *broker_lines))
        gateway_road = await stack.enter_async_context(Road(server.port))
        consumer_road = await stack.enter_async_context(Road(server.port))
        alarms = alarms_of(running, time.time() + 1)
        settings = {"confirm": ways.confirm, "keep_alive": KEEP_ALIVE_S, "watermark": 2, "backlog_rate": 2000}
        configure_load(here, running, net, uplink(gateway_road.port, **settings), alarms)
        consumer = stack.enter_context(ConsumerProcess(here, consumer_road.port, *ways.options))
        gateway = stack.enter_context(Gateway(here, mutants.environment(here / "build", ways.build)))
        consumer.start()
        await until(consumer.connections)
        await gateway.ready()
        made = Site(here, gateway, consumer, server, gateway_road, consumer_road, running, alarms, ways)
        await made.more(1)
        yield made


def alarms_of(running: Load, begin: float) -> dict[str, Tree]:
    """One red alarm after the other comes up, and stays."""
    alarms: dict[str, Tree] = {f"m{device}": {} for device in range(1, running.devices + 1)}
    for number in range(ALARMS):
        register, value = running.reaching(begin + number * ALARM_EVERY_S)
        alarm = {"point": f"r{register}", "limit": {"H": value}, "colour": "red"}
        alarms[f"m{number % running.devices + 1}"][f"a{number}"] = alarm
    return alarms


def reached(alarms: Mapping[str, Tree], served: Mapping[PointKey, list[Served]]) -> list[str]:
    """Alarms whose limit was reached by what was served; each must have been raised, once."""
    return [alarm_id for alarm_id, key, alarm in configured(alarms) if served[key][-1].value >= alarm["limit"]["H"]]


def raised(alarms: Mapping[str, Tree], found: Account) -> list[str]:
    """As often as they came up. That a device is lost nobody has configured: in the end all are, sooner or later."""
    ours = {alarm_id for alarm_id, _, _ in configured(alarms)}
    return [told["alarm_id"] for told in found.alarms() if told["action"] == "raise" and told["alarm_id"] in ours]


def configured(alarms: Mapping[str, Tree]) -> Iterator[tuple[str, PointKey, Tree]]:
    """Each alarm with its id and its point."""
    for device, of_device in alarms.items():
        for name, alarm in of_device.items():
            yield f"energy/{device}/{alarm['point']}#{name}", (device, alarm["point"]), alarm


async def run(part: str, trouble: str, scale: Scale, seed: int) -> Outcome:
    """One cell. A fault names its part, trouble and seed."""
    lines = REMEMBERS if part == "broker" else ()
    async with site(scale, *lines) as made:
        await made.more(scale.records)
        suffers = PARTS[part](made)
        await TROUBLES[trouble](suffers, scale, random.Random(seed))
        over = time.monotonic()
        await made.until(made.flowing)
        await made.more(scale.records)
        return await judge(made, suffers.marks, over)


async def forgetful(scale: Scale, ways: Ways = BOTH) -> Outcome:
    """The broker is killed with messages that it had acknowledged and nobody else has, and remembers nothing.

    What is sent again before the consumer is back is lost once more: then only asking for it helps. So without that, it
    is back first.
    """
    async with site(scale, *FORGETS, ways=ways) as made:
        made.consumer.kill()
        enough = made.gateway.status().uplinks[0].acknowledged + scale.records
        await until(lambda: made.gateway.status().uplinks[0].acknowledged > enough)
        if not ways.resend:
            made.gateway_road.close()
        made.broker.stop()
        await made.broker.start()
        before = made.consumer.connections()
        made.consumer.start()
        await until(lambda: made.consumer.connections() > before)
        made.gateway_road.open()
        over = time.monotonic()
        await made.until(made.flowing)
        await made.more(scale.records)
        return await judge(made, [], over)


async def judge(made: Site, marks: list[float], over: float) -> Outcome:
    """Let everything come to rest, end it in order, and compare what everybody says. `over` is monotonic."""
    served = made.load.end()
    await made.until(made.at_rest)
    returned_s = time.monotonic() - over
    status = made.gateway.status()
    stored = sum(stream.next_seq - 1 for stream in status.journal.streams.values())
    standing = {alarm.alarm_id: alarm.occurrence_id for alarm in status.alarms}
    assert (await made.gateway.stop())[0] == 0
    await until(made.consumer.has_farewell)
    code = await made.consumer.stop()
    assert made.consumer.report, f"it ended with {code}: {made.consumer.log.read_text()}"
    found = account(made.consumer.arrivals())
    own = GatewaysOwn(made.gateway.lanes(), made.gateway.unacknowledged(), stored if made.ways.confirm else 0, standing)
    faults = [*disagreements(made.consumer.report, own, found, made.consumer.standing()), *found.faults]
    faults += compare(samples(found), served).excuse(marks).faults
    faults += alarm_disagreements(raised(made.alarms, found), reached(made.alarms, served))
    faults += [f"the consumer ended with {code}"] if code else []
    return outcome(made, found, served, len(raised(made.alarms, found)), returned_s, faults)


def outcome(
    made: Site,
    found: Account,
    served: Mapping[PointKey, list[Served]],
    alarms: int,
    returned_s: float,
    faults: list[str],
) -> Outcome:
    records = sum(map(len, found.lanes.values()))
    values = sum(map(len, served.values()))
    return Outcome(records, values, made.consumer.report["duplicates"], alarms, returned_s, faults)
