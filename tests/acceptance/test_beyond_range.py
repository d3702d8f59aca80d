"""A sensor that says no more than that it is beyond its range: from two bytes of its controller to the platform."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from accounting import account, arrivals, samples, schema_faults
from modbus_peer import peer
from mqtt_peer import until
from plant import HOST, Gateway, Tree, broker, folder, uplink, write
from receiver import Receiver

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Iterable
    from pathlib import Path

    from accounting import Arrival
    from modbus_peer import Request

MAKER, COOLANT = 768, 1025
OVER_RANGE, WELL = 0xFFFE, 82
TOPIC = "/alarm/red/pwr-gen/gen-1"
ALARM_ID = "pwr.gen/gen-1/t_cool#coolant"


def configure(here: Path, port: int, broker_port: int) -> None:
    """A generator controller by its shipped profile, with one limit on its coolant, and nothing else asked for."""
    gateway: Tree = {"site": "h01", "gateway": "gw-1", "control_socket": "./control.sock"}
    (here / "journal").mkdir()
    write(here / "gateway.yaml", gateway | {"journal": {"path": "./journal"}, "uplinks": uplink(broker_port)})
    write(here / "lines.yaml", {"lines": {"l": {"protocol": "modbus", "host": HOST, "port": port, "timeout": "3s"}}})
    levels: Tree = {"limit": {"H": 95, "HH": 100, "L": 5}, "colour": {"H": "orange", "HH": "red", "L": "yellow"}}
    alarm: Tree = {"point": "t_cool", **levels, "ack": False, "text": {"zh": "冷却液温度", "en": "Coolant"}}
    device: Tree = {"line": "l", "profile": "deepsea-gencomm", "poll": {"C": "1s"}, "alarms": {"coolant": alarm}}
    write(here / "devices" / "gen.yaml", {"devices": {"gen-1": device}})


def transitions(came: Iterable[Arrival]) -> list[dict[str, Any]]:
    return [one.data for one in came if one.data.get("alarm_id") == ALARM_ID and one.type == "alarm.transition.v1"]


async def test_3_a_sensor_over_its_range_raises_its_high_limit_at_the_platform_without_a_value() -> None:
    """The worst high level comes with no number and the reason; a measurement that is back clears it."""
    registers = {MAKER: 1, COOLANT: WELL}

    def answer(request: Request, writer: asyncio.StreamWriter) -> None:
        words = range(request.start, request.start + request.count)
        writer.write(request.data(b"".join(registers.get(at, 0).to_bytes(2, "big") for at in words)))

    with folder() as here:
        async with broker(here) as server, peer(answer) as controller:
            configure(here, controller.port, server.port)
            with Gateway(here) as gateway, Receiver(here / "received.jsonl", server.port) as receiver:
                await gateway.ready()
                await until(lambda: gateway.device("gen-1").state == "online")
                registers[COOLANT] = OVER_RANGE
                await until(lambda: receiver.seen(TOPIC, '"action":"raise"') >= 1)
                registers[COOLANT] = WELL
                await until(lambda: receiver.seen(TOPIC, '"action":"clear"') >= 1)
                assert (await gateway.stop())[0] == 0
            came = arrivals(receiver.path)
            found = account(came, gateway.lanes())
    raised, cleared = transitions(came)
    assert (raised["level"], raised["colour"], raised["value"]) == ("HH", "red", None)
    assert (raised["q"], raised["qr"], raised["condition_known"]) == ("uncertain", "over_range", True)
    assert (cleared["action"], cleared["value"], cleared["q"]) == ("clear", WELL, "good")
    of_point = samples(found)["gen-1", "t_cool"]
    assert {(one.value, one.reason) for one in of_point} == {(WELL, "ok"), (None, "over_range")}
    assert found.faults == []
    assert schema_faults(came) == []
