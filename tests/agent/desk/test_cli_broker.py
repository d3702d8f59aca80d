"""The demo's brokers: what is chosen, and that the subscriber gets everything through either."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hardware_mocks.nets import free_net, give_back
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from agent.cli import broker
from agent.cli.stage import Child
from agent.cli.subscriber import subscribed, values_in
from agent.control.client import ControlError

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def host() -> Iterator[str]:
    net = free_net()
    yield f"{net}.2"
    give_back(net)


def without_mosquitto(monkeypatch: pytest.MonkeyPatch) -> None:
    which = shutil.which
    monkeypatch.setattr("shutil.which", lambda name, path=None: None if name == "mosquitto" else which(name, path=path))


def open_to_the_world(*ports: int) -> list[str]:
    """Listening sockets on 0.0.0.0 with one of the ports, as the kernel lists them."""
    rows = [row.split() for row in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return [row[1] for row in rows if row[1] in {f"00000000:{port:04X}" for port in ports} and row[3] == "0A"]


async def answers(host: str) -> bool:
    try:
        _, writer = await asyncio.open_connection(host, broker.PORT)
    except OSError:
        return False
    writer.close()
    await writer.wait_closed()
    return True


def publish(host: str, payloads: list[bytes]) -> None:
    """From a client that is not the product's."""
    client = Client(CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion.MQTTv5)
    client.connect(host, broker.PORT)
    client.loop_start()
    for payload in payloads:
        client.publish("wardgate/v1/h01/gw-1/telemetry/pwr-lv/lv-main", payload, qos=1).wait_for_publish(5)
    client.disconnect()
    client.loop_stop()


@pytest.mark.parametrize("name", ["mosquitto", "iotcore"])
async def test_the_subscriber_gets_all_through_either_broker(
    name: str, host: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In order, also a payload of 60 KiB; and nothing listens outside loopback."""
    if name == "iotcore":
        without_mosquitto(monkeypatch)
    chosen = broker.prepare(tmp_path / "broker", host)
    assert chosen.name == name
    child = Child("broker", chosen.command, tmp_path / "log")
    await child.start()
    try:
        await child.until(lambda: answers(host))
        payloads = [*(b'{"n":%d}' % n for n in range(50)), b"x" * 60_000]
        received: list[bytes] = []
        enough = asyncio.Event()

        def take(payload: bytes) -> None:
            received.append(payload)
            if len(received) == len(payloads):
                enough.set()

        async with subscribed(host, broker.PORT, take):
            await asyncio.to_thread(publish, host, payloads)
            await asyncio.wait_for(enough.wait(), 10)
        assert received == payloads
        assert not open_to_the_world(broker.PORT, broker.OTHER_PORT)
    finally:
        await child.stop()
    assert not await answers(host)


def test_without_any_broker_the_demo_says_what_to_install(
    tmp_path: Path, host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One sentence, before anything is started."""
    without_mosquitto(monkeypatch)
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(ControlError, match=r"needs an MQTT broker; install mosquitto, or wardgate\[demo\]"):
        broker.prepare(tmp_path / "broker", host)


@pytest.mark.parametrize(
    ("payload", "count"),
    [(b'{"type":"x","data":{"samples":[{"p":"a"},{"p":"b"}]}}', 2), (b'{"type":"x","data":{"n":1}}', 0), (b"no", 0)],
)
def test_values_are_counted_inside_telemetry_only(payload: bytes, count: int) -> None:
    """A batch counts its samples; anything else, even what is no JSON, none."""
    assert values_in(payload) == count
