"""A certificate that a line needs and that ends soon is said in time."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

from agent.clock import ManualClock
from agent.expiry import ExpiryWatch
from agent.health import Health
from agent.poll import LineWorker
from config.files import LineSpec
from config.model import Line, Text
from drivers.contract import Identity, Validity

if TYPE_CHECKING:
    from agent.events import Event
    from config.model import Device
    from drivers.contract import Poll, Reading

DAY_S = 86_400.0
NAME = Text("线", "Line")


class CertifiedDriver:
    """Knows its certificates, and nothing else."""

    def __init__(self) -> None:
        self.known: dict[str, Validity] = {}

    def validities(self) -> dict[str, Validity]:
        return self.known

    async def connect(self) -> None: ...

    async def read(self, poll: Poll) -> Reading:
        raise AssertionError(poll)

    async def identify(self, device: Device) -> Identity:
        raise AssertionError(device)

    async def close(self) -> None: ...


class Site:
    site = "h01"

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.health = Health()
        self.random = Random(1)
        self.driver = CertifiedDriver()
        line = Line("or-panel", NAME, "opcua", LineSpec(protocol="opcua"), (), 1.0, 1)
        self.workers = [LineWorker(line, self.driver, self)]
        self.watch = ExpiryWatch(self.workers, self.health, self.clock)

    async def emit(self, item: Reading | Event) -> None:
        raise AssertionError(item)

    def said(self, after_s: float = 0.0) -> list[tuple[str, str, str]]:
        """What is wrong after so long."""
        self.clock.advance(after_s)
        self.watch.look()
        return [(view.code, view.target, view.detail) for view in self.health.views()]


def test_9_a_certificate_that_ends_soon_is_a_condition_of_its_line() -> None:
    """In the last thirty days, or of a short-lived one in its last quarter; gone with the renewed one."""
    site = Site()
    wall = site.clock.wall()
    site.driver.known = {
        "the gateway's certificate": Validity(wall - DAY_S, wall + 7_000 * DAY_S),
        "the server's certificate": Validity(wall - 330 * DAY_S, wall + 35 * DAY_S),
    }
    assert site.said() == []
    ((code, target, detail),) = site.said(6 * DAY_S)
    assert (code, target) == ("certificate_expires", "or-panel")
    assert detail.startswith("the server's certificate until 20")
    site.driver.known["the server's certificate"] = Validity(wall, wall + 365 * DAY_S)
    assert site.said(60.0) == []
    site.driver.known = {"the server's certificate": Validity(site.clock.wall() - 8 * DAY_S, wall + 8 * DAY_S)}
    assert len(site.said(60.0)) == 1


def test_9_the_condition_goes_with_its_line() -> None:
    """Another configuration has no such line any more."""
    site = Site()
    wall = site.clock.wall()
    site.driver.known = {"the gateway's certificate": Validity(wall - 90 * DAY_S, wall + DAY_S)}
    assert len(site.said()) == 1
    site.workers.clear()
    assert site.said(60.0) == []
