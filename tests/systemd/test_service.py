"""What a service manager hears, by a manager's socket and a manual clock."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Self

import fake_desk
import msgspec
import pytest
from mqtt_peer import until
from notify_peer import Ear

from agent.clock import ManualClock
from agent.service import Keeper, Manager, summary
from buffer.journal import Journal
from buffer.retention import Limits

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from agent.status import Status

BEAT = "WATCHDOG=1"
WATCHDOG_S = 0.6
NOT_OURS = 1
"""The process that everything descends from; no test runs in it."""


@pytest.fixture
def ear(tmp_path: Path) -> Iterator[Ear]:
    with Ear(tmp_path / "notify") as ear:
        yield ear


@pytest.fixture
async def journal(tmp_path: Path) -> AsyncIterator[Journal]:
    folder = tmp_path / "journal"
    folder.mkdir()
    journal = await Journal.open(folder, Limits(1 << 26, keep_s=3600.0), wall=ManualClock().wall)
    yield journal
    await journal.close()


class Stage:
    """A keeper at work on a manual clock."""

    def __init__(self, ear: Ear, journal: Journal, watchdog_s: float | None = WATCHDOG_S) -> None:
        self.clock = ManualClock()
        self.status: Status = fake_desk.status()
        self._keeper = Keeper(Manager(ear.environment(watchdog_s)), journal, lambda: self.status, self.clock)

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._keeper.run())
        await asyncio.sleep(0)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def pass_time(self, seconds: float) -> None:
        self.clock.advance(seconds)
        for _ in range(3):
            await asyncio.sleep(0)


async def test_ready_is_told_once_and_before_any_sign_of_life(ear: Ear, journal: Journal) -> None:
    """A manager counts from ready on."""
    async with Stage(ear, journal) as stage:
        await stage.pass_time(WATCHDOG_S)
        assert ear.heard("READY=1") == 1
    assert ear.lines[:2] == ["READY=1", BEAT]


async def test_signs_of_life_come_several_times_within_the_watchdogs_time(ear: Ear, journal: Journal) -> None:
    """So that one that is late does no harm."""
    async with Stage(ear, journal) as stage:
        for _ in range(6):
            await stage.pass_time(WATCHDOG_S / 6)
    assert ear.heard(BEAT) == 7


async def test_no_sign_of_life_while_the_writer_is_stuck(ear: Ear, journal: Journal) -> None:
    """The loop goes on, and yet nothing would be stored: a new start is the help."""
    gone_on = threading.Event()

    def hang(*_: object) -> None:
        gone_on.wait()

    async with Stage(ear, journal) as stage:
        journal._writer.put_job(hang)
        try:
            await until(lambda: journal.stuck_s() > WATCHDOG_S)
            before = ear.heard(BEAT)
            await stage.pass_time(WATCHDOG_S)
            assert ear.heard(BEAT) == before
        finally:
            gone_on.set()
        await until(lambda: journal.stuck_s() < WATCHDOG_S / 2)
        await stage.pass_time(WATCHDOG_S)
        assert ear.heard(BEAT) > before


async def test_without_a_watchdog_only_the_status_is_told(ear: Ear, journal: Journal) -> None:
    """`WatchdogSec=0`, or none."""
    async with Stage(ear, journal, watchdog_s=None) as stage:
        await stage.pass_time(60)
    assert ear.heard(BEAT) == 0
    assert ear.heard("READY=1") == 1


async def test_the_status_text_is_told_when_it_changes_and_not_too_often(ear: Ear, journal: Journal) -> None:
    """Each of them goes through the manager to everybody who watches units."""
    async with Stage(ear, journal) as stage:
        first = ear.status()
        await stage.pass_time(5.1)
        assert sum(line.startswith("STATUS=") for line in ear.lines) == 1
        stage.status = msgspec.structs.replace(stage.status, devices=[])
        await stage.pass_time(1)
        assert ear.status() == first
        await stage.pass_time(5)
        assert "devices 0 of 0 online" in ear.status()


def test_the_status_text_names_lines_devices_alarms_and_what_waits() -> None:
    """What `systemctl status` shows at a glance; hidden alarms do not count."""
    status = fake_desk.status()
    shown = msgspec.structs.replace(fake_desk.alarm(), colour="orange", hidden=False)
    hidden = msgspec.structs.replace(fake_desk.alarm(), hidden=True)
    status = msgspec.structs.replace(status, alarms=[shown, shown, hidden])
    uplink = status.uplinks[0]
    waiting = sum(uplink.waiting.values())
    assert "; alarms 2 (2 orange); " in summary(status)
    assert summary(status).endswith(f"{uplink.id} {uplink.state}, {waiting} records wait")
    assert summary(status).startswith(f"lines 1 of {len(status.lines)} up; devices ")


@pytest.mark.parametrize("address", ["", "/nowhere/notify", "@wardgate-nobody-listens"])
def test_a_manager_that_is_not_there_is_no_reason_to_fail(address: str) -> None:
    """Started by hand, or by a manager that has gone."""
    manager = Manager({"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "30000000"} if address else {})
    manager.tell("READY=1")
    assert manager.listens == bool(address)


def test_an_abstract_socket_is_heard() -> None:
    """Containers use them; their name begins with an @."""
    with Ear("@wardgate-notify-test-" + str(id(object()))) as ear:
        Manager(ear.environment()).tell("READY=1", "STATUS=here")
        assert ear.heard("READY=1") == 1
        assert ear.status() == "STATUS=here"


@pytest.mark.parametrize(("variables", "watchdog_s"), [
    ({}, None),
    ({"WATCHDOG_USEC": "30000000"}, 30.0),
    ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(NOT_OURS)}, None),
    ({"WATCHDOG_USEC": "soon"}, None),
])  # fmt: skip
def test_the_watchdog_is_ours_only_where_it_says_so(variables: dict[str, str], watchdog_s: float | None) -> None:
    """A child process inherits the variables; it must not vouch for its parent."""
    assert Manager({"NOTIFY_SOCKET": "/run/notify", **variables}).watchdog_s == watchdog_s


async def test_a_start_that_takes_long_asks_for_more_time(ear: Ear) -> None:
    """A large journal that is salvaged must not be killed half way, again and again."""

    async def start() -> str:
        await until(lambda: ear.heard("EXTEND_TIMEOUT_USEC=60000") > 1)
        return "open"

    assert await Manager(ear.environment()).patiently(start(), 0.01) == "open"


async def test_what_a_start_raises_comes_through(ear: Ear) -> None:
    """The daemon says why it cannot start."""

    async def start() -> None:
        raise LookupError("no journal here")

    with pytest.raises(LookupError, match="no journal here"):
        await Manager(ear.environment()).patiently(start())
