"""What the gateway says of itself: each minute, and when a condition comes or goes."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

import jsonschema
import msgspec
from event_gallery import TIME
from fake_desk import status
from mqtt_peer import until
from uplink_rig import ROOT

from agent import schemas
from agent.bulletin import CHANGE_S_MIN, EVERY_S, Bulletin
from agent.clock import ManualClock
from agent.envelope import AsOf, Origin, project
from agent.events import GATEWAY_HEALTH, Event
from agent.health import Health
from agent.health_event import CONDITIONS_MAX, GatewayHealth, MachineHealth, health_event

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from mqtt_peer import ScriptedBroker
    from uplink_rig import Rig

    from agent.status import Status


MACHINE = MachineHealth(memory_bytes=80_000_000, load_1min=0.4, cpus=2)


class Desk:
    """A gateway on a clock of its own, and everything that it told."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.health = Health()
        self.told: list[GatewayHealth] = []
        self.bulletin = Bulletin(self.status, self.health, [self], self.clock)

    def status(self) -> Status:
        return msgspec.structs.replace(status(), health=list(self.health.views()))

    def tell(self, event: Event) -> None:
        assert isinstance(event.body, GatewayHealth)
        self.told.append(event.body)

    async def hold_on(self, seconds: int) -> None:
        for _ in range(seconds):
            self.clock.advance(1.0)
            await asyncio.sleep(0)
            await asyncio.sleep(0)


@asynccontextmanager
async def telling() -> AsyncIterator[Desk]:
    desk = Desk()
    running = asyncio.create_task(desk.bulletin.run())
    await asyncio.sleep(0)
    yield desk
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running


async def test_4_health_is_told_once_a_minute_and_soon_after_a_change() -> None:
    """With the conditions and the alarm load of that moment; one that flutters makes no flood of messages."""
    async with telling() as desk:
        await desk.hold_on(2 * int(EVERY_S))
        assert [body.reason for body in desk.told] == ["interval", "interval"]
        desk.health.hold("line_down", "rs485-1", desk.clock.wall(), "no answer")
        await desk.hold_on(1)
        assert (desk.told[-1].reason, desk.told[-1].conditions_held) == ("change", 1)
        (held,) = desk.told[-1].conditions
        assert (held.code, held.severity, held.target, held.detail) == ("line_down", "error", "rs485-1", "no answer")
        assert (held.title.zh, held.todo.en[:11]) == ("线路中断", "Check cable")
        desk.bulletin.renew()  # an uplink has come that knows nothing yet
        await desk.hold_on(1)
        assert (desk.told[-1].reason, desk.told[-1].conditions_held) == ("interval", 1)
        before = len(desk.told)
        for _ in range(10):
            desk.health.release("rs485-1", "line_down")
            await desk.hold_on(1)
            desk.health.hold("line_down", "rs485-1", desk.clock.wall())
            await desk.hold_on(1)
        assert len(desk.told) - before <= 20 / CHANGE_S_MIN
        assert desk.told[-1].alarms.per_10_min == status().load.per_10_min
        assert desk.told[-1].machine.memory_bytes > 1_000_000


def test_4_health_has_the_alarm_load_and_counts_by_protocol_and_is_valid_by_its_schema() -> None:
    """As it is published; a thousand conditions are told by their number, and the worst of them by name."""
    shown = status()
    one = shown.health[0]
    event = health_event(msgspec.structs.replace(shown, health=[one] * 1000), MACHINE, "interval", 1_763_700_000.0)
    as_of = AsOf(epoch="7f3a9c20", sequences={})
    projection = project(event, Origin("h01", "gw-1"), "synced", as_of, f"main-{1:016}")
    found = json.loads(projection.payload)
    jsonschema.validate(found, schemas.projection_schema(GATEWAY_HEALTH))
    assert projection.topic == "health"
    data = found["data"]
    assert (data["conditions_held"], len(data["conditions"])) == (1000, CONDITIONS_MAX)
    load = shown.load
    assert data["alarms"]["worst"] == [msgspec.to_builtins(each) for each in load.worst]
    assert (data["alarms"]["stale"], data["alarms"]["flood"]) == (len(load.stale), load.flood)
    assert sum(each["lines"] for each in data["protocols"]) == len(shown.lines)
    assert sum(data["devices"].values()) == len(shown.devices)


async def test_health_is_published_at_most_once_and_kept_by_nobody(rig: Rig, broker: ScriptedBroker) -> None:
    """What was told without a session is replaced by what is newer, and goes out when there is one."""
    rig.at(broker.port)
    rig.start()
    for version in ("old", "new"):
        rig.uplink.tell(health_event(msgspec.structs.replace(status(), cfg_ver=version), MACHINE, "interval", TIME))
    await rig.settled()
    await until(lambda: any(publish.topic == ROOT + "health" for publish in broker.published))
    (publish,) = [publish for publish in broker.published if publish.topic == ROOT + "health"]
    assert (publish.qos, publish.retain, publish.event["data"]["cfg_ver"]) == (0, False, "new")
