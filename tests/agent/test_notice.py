"""Item 11 of the alarm engine: while nobody upstream can hear, people on the spot are told; with real servers."""

from __future__ import annotations

import asyncio
import socket
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

import pytest
from mqtt_peer import until
from notice_rig import HOST, Platform, happened, mail_server, web_server

from agent.clock import ManualClock
from agent.health import Health
from agent.notice import notifier as notifier_module
from agent.notice.notifier import BURST, RETRY_S_MIN, Notifier
from config.outward import Mail, Webhook
from config.outward import Notifier as Settings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

ALARMS = {happened().subject}


class Duty:
    """One notifier at work, whose time the test moves."""

    def __init__(self, way: Webhook | Mail, *uplinks: Platform, per_hour: int = 60) -> None:
        self.clock = ManualClock()
        self.health = Health()
        settings = Settings("duty", way, 10.0, per_hour)
        self.notifier = Notifier(settings, ("h01", "gw-1"), uplinks, ALARMS, self.health, self.clock)

    async def pass_time(self, seconds: float) -> None:
        """In steps, so that whoever sleeps wakes in between."""
        for _ in range(round(seconds * 2)):
            self.clock.advance(0.5)
            for _ in range(5):
                await asyncio.sleep(0)

    async def pass_time_until(self, condition: object) -> None:
        """As long as it takes to hear from a real server."""
        assert callable(condition)
        async with asyncio.timeout(60):
            while not condition():
                await self.pass_time(0.5)
                await asyncio.sleep(0.002)

    def conditions(self) -> list[tuple[str, str]]:
        return [(view.code, view.target) for view in self.health.views()]


@asynccontextmanager
async def duty(way: Webhook | Mail, *uplinks: Platform, per_hour: int = 60) -> AsyncIterator[Duty]:
    made = Duty(way, *uplinks, per_hour=per_hour)
    task = asyncio.create_task(made.notifier.run())
    await asyncio.sleep(0)
    try:
        yield made
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


@pytest.mark.parametrize("way", ["webhook", "smtp"])
async def test_item_11_while_no_uplink_is_connected_a_critical_alarm_is_told_on_the_spot(way: str) -> None:
    """In its own words; while one is connected and delivers, it is not."""
    platform = Platform(waiting=0)
    async with web_server() as web, mail_server() as mail:
        ways: dict[str, Webhook | Mail] = {
            "webhook": Webhook(web.url),
            "smtp": Mail(HOST, mail.port, "none", "gw-1@h01.example", ("duty@h01.example",)),
        }
        async with duty(ways[way], platform) as at_work:
            at_work.notifier.on_stored([happened(1)])
            await at_work.pass_time(30)
            assert (web.posted, mail.mails) == ([], [])
            platform.state, platform.waiting = "waiting", 1
            at_work.notifier.on_stored([happened(2)])
            await at_work.pass_time_until(lambda: web.posted or mail.mails)
            texts = [each["text"] for each in web.posted] + [each.get_content() for each in mail.mails]
            assert len(texts) == 1
            assert "red alarm: Oxygen pressure low" in texts[0]
            assert "红色 报警: 氧气压力低" in texts[0]
            assert at_work.conditions() == []
            await at_work.pass_time(60)
            assert len(web.posted) + len(mail.mails) == 1, "it is told once"


async def test_messages_are_rate_limited_and_nothing_is_left_out() -> None:
    """What comes while no message may be sent goes together in the next one."""
    async with web_server() as web, duty(Webhook(web.url), per_hour=60) as at_work:
        for number in range(BURST):
            at_work.notifier.on_stored([happened(number)])
            await at_work.pass_time_until(lambda wanted=number + 1: len(web.posted) >= wanted)
        for number in range(BURST, BURST + 20):
            at_work.notifier.on_stored([happened(number)])
        await at_work.pass_time(10)
        assert len(web.posted) == BURST
        await at_work.pass_time_until(lambda: len(web.posted) > BURST)
        assert len(web.posted[BURST]["alarms"]) == 20
        told = [alarm["occurrence_id"] for post in web.posted for alarm in post["alarms"]]
        assert sorted(told) == sorted(f"o/{number}" for number in range(BURST + 20))


async def test_what_could_not_be_told_is_a_condition_and_is_tried_again() -> None:
    """With longer and longer waits; when it goes out the condition is over."""
    async with web_server() as web, duty(Webhook(web.url)) as at_work:
        web.status = 500
        at_work.notifier.on_stored([happened(1)])
        await at_work.pass_time_until(lambda: at_work.conditions() == [("notice_failed", "duty")])
        (view,) = at_work.health.views()
        assert view.detail == "the web server answers 500; check url and token"
        tried = len(web.tokens)
        await at_work.pass_time(RETRY_S_MIN / 2)
        assert len(web.tokens) == tried
        web.status = 200
        await at_work.pass_time_until(lambda: web.posted)
        await until(lambda: at_work.conditions() == [])
        assert [alarm["occurrence_id"] for alarm in web.posted[0]["alarms"]] == ["o/1"]


async def test_a_server_that_does_not_answer_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """A port that takes the connection and says nothing must not hold the next message up for ever."""
    monkeypatch.setattr(notifier_module, "SEND_S_MAX", 0.05)
    with socket.create_server((HOST, 0)) as silent:
        async with duty(Webhook(f"http://{HOST}:{silent.getsockname()[1]}/")) as at_work:
            at_work.notifier.on_stored([happened(1)])
            await at_work.pass_time_until(lambda: at_work.conditions() == [("notice_failed", "duty")])
            (view,) = at_work.health.views()
            assert view.detail.startswith("no answer within ")


async def test_what_the_platform_gets_after_all_is_told_to_nobody_else() -> None:
    """The server of the notice was away, and so was the platform; the platform came first."""
    platform = Platform(state="waiting")
    async with web_server() as web, duty(Webhook(web.url), platform) as at_work:
        web.status = 503
        at_work.notifier.on_stored([happened(1)])
        await at_work.pass_time_until(lambda: web.tokens)
        platform.state, platform.waiting = "connected", 0
        await at_work.pass_time(1)
        web.status = 200
        await at_work.pass_time(600)
        assert web.posted == []


async def test_a_proof_test_is_told_to_nobody() -> None:
    """It is no alarm of this house."""
    async with web_server() as web, duty(Webhook(web.url)) as at_work:
        at_work.notifier.on_stored([happened(1, alarm_id="gw/gw-1/proof#test")])
        at_work.notifier.on_stored([happened(2)])
        await at_work.pass_time_until(lambda: web.posted)
        assert [alarm["occurrence_id"] for alarm in web.posted[0]["alarms"]] == ["o/2"]
