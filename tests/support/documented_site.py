"""The gateway at which the documents' commands are typed: the example hospital, a broker, a platform that may confirm.

What a page takes for granted happens here before: the mains has failed, it burns in zone 3, and a server of OPC UA was
refused.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
from hardware_mocks.client import HospitalProcess
from hardware_mocks.nets import free_net, give_back
from opcua_certificates import certificate
from plant import FAST, Broker, Gateway, configure_hospital, folder
from shown_commands import blocks

from agent.control.client import Client
from drivers.opcua.identity import Unusable, thumbprint
from drivers.opcua.trust import Shown, TrustList

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from agent.rules.commands import AlarmVerb

SEEN_S_MAX = 120.0
LATCHING = ("alarms: {pack: pwr.gen}", "alarms: {pack: pwr.gen, override: {running: {latching: true}}}")
PLATFORM = ("    keep_alive: 15s\n", "    keep_alive: 15s\n    confirm: true\n    watermark: 1s\n")
SUPPLY = "pwr.lv/lv-main/u_ab#supply-lost"
FIRE = "fire/fire-panel/zone.3.alarm#zone-3"
CHILLER = "hvac.chl/chiller-1/fault#fault"
RUNNING = "pwr.gen/gen-1/state#running"


class Site:
    """One that runs. `config` is its configuration folder, `written` that which the pages write down, `media` a stick,
    `spare` a network that nobody is on.
    """

    def __init__(self, place: Path, hospital: HospitalProcess, broker: Broker, spare: str) -> None:
        self.place = place
        self.spare = spare
        self.config, self.media, self.written = (place / name for name in ("etc", "usb", "written"))
        self.hospital, self.broker = hospital, broker
        self.gateway = Gateway(self.config)
        self.socket = self.config / "control.sock"
        self.client = Client(self.socket)
        self.refused = ""
        self._is_shelved = False
        for made in (self.config, self.media, self.written):
            made.mkdir()

    def configure(self) -> None:
        """The example, with a test of its rules; and what the pages write down, as a folder of its own."""
        configure_hospital(self.config, self.hospital, self.broker.port, *FAST, LATCHING, PLATFORM)
        for page in ("docs/configure.md", "docs/alarms.md"):
            for block in blocks(page):
                if file := block.kind.partition("file=")[2]:
                    (self.written / file).parent.mkdir(exist_ok=True)
                    (self.written / file).write_text("\n".join(block.lines), encoding="utf-8")
        tests = (self.written / "rule-tests" / "voltage.yaml").read_text(encoding="utf-8")
        (self.config / "rule-tests").mkdir()
        (self.config / "rule-tests" / "voltage.yaml").write_text(tests.replace("#voltage", "#voltage-a"))

    def start(self) -> None:
        asyncio.run(self.gateway.ready())

    def until(self, condition: Callable[[], object]) -> None:
        end = time.monotonic() + SEEN_S_MAX
        while not condition():
            assert time.monotonic() < end, self.gateway.log.read_text()[-3000:]
            time.sleep(0.05)

    def states(self) -> dict[str, str]:
        """Of the alarms that are not normal."""
        return {alarm.alarm_id: alarm.state for alarm in self.gateway.status().alarms}

    def trouble(self) -> None:
        """The mains fails, the generator runs, it burns, and a server was refused."""
        asyncio.run(self.hospital.act("mains_fail"))
        asyncio.run(self.hospital.act("fire"))
        self.until(lambda: {SUPPLY, FIRE, CHILLER, RUNNING} <= set(self.states()))
        server = certificate("plc", uri="urn:plc")
        with pytest.raises(Unusable):
            TrustList(self.config / "state").check(Shown([server], "urn:plc", "plc"), datetime.now(UTC).timestamp())
        self.refused = thumbprint(server)[:8]

    def toggle(self) -> None:
        """Something happens to an alarm, each time."""
        self._is_shelved = not self._is_shelved
        verb: AlarmVerb = "shelve" if self._is_shelved else "unshelve"
        self.client.order(verb, CHILLER, "test", until_s=time.time() + 600 if self._is_shelved else None)

    def stop_generator(self) -> None:
        """The end of what an alarm that latches is about; somebody has seen it."""
        self.client.order("ack", RUNNING)
        asyncio.run(self.hospital.set("gen-1", "state", 0))
        self.until(lambda: self.states().get(RUNNING) == "LTACK")

    def rename(self) -> None:
        """A change of the configuration."""
        file = self.config / "devices" / "power.yaml"
        text = file.read_text(encoding="utf-8")
        file.write_text(text.replace("en: Generator 1", "en: Generator one"), encoding="utf-8")


@contextmanager
def documented_site() -> Iterator[Site]:
    """Up and in trouble, until the block ends."""
    with folder() as place:
        broker, hospital, spare = Broker(place / "broker"), HospitalProcess(), free_net()
        try:
            asyncio.run(broker.start())
            asyncio.run(hospital.start())
            site = Site(place, hospital, broker, spare)
            site.configure()
            with site.gateway:
                site.start()
                site.trouble()
                yield site
        finally:
            give_back(spare)
            asyncio.run(hospital.stop())
            broker.stop()
