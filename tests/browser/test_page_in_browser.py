"""What a browser makes of the local page: run by `make test-page`, which needs Chromium."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest
from browser import Browser, browser
from fake_desk import FakeDesk, alarm, status
from page_rig import ANYWHERE, PASSWORD, Page, opened

from agent.events import Names
from config.outward import Http

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from agent.status import Status

EVIL = '<img src="x" onerror="document.title=1"><script>document.title=1</script>'


class LivingDesk(FakeDesk):
    """A desk whose alarm is acknowledged once somebody did so, and whose line is silent for a reason of our own."""

    text = Names(zh="三区火警", en="Fire in zone 3")

    def status(self) -> Status:
        one = alarm("ACKED", ack_by=self.actors[-1].id) if self.actors else alarm()
        now = status()
        silent = msgspec.structs.replace(now.health[0], detail="no answer (timeout, timeout 2 s)")
        alarms = [msgspec.structs.replace(one, text=self.text)]
        return msgspec.structs.replace(now, alarms=alarms, health=[silent])


@pytest.fixture
async def tab(tmp_path: Path) -> AsyncIterator[Browser]:
    async with browser(tmp_path) as tab:
        yield tab


def address(page: Page, view: str = "") -> str:
    return f"http://127.0.0.1:{page.port}/{view}"


async def log_in(tab: Browser, password: str) -> None:
    await tab.fill("#login-account", "anna")
    await tab.fill("#login-password", password)
    await tab.press("Enter")


async def test_somebody_logs_in_and_acknowledges_by_keyboard_alone(tab: Browser) -> None:
    """A wrong password is said; then the alarm is there with what to do, and once acknowledged it says so."""
    async with opened(desk=LivingDesk()) as page:
        host = f"127.0.0.1:{page.port}"
        await tab.open(address(page))
        await log_in(tab, "a wrong password")
        await tab.until("document.body.innerText.includes('account or password is wrong')")
        await tab.run("document.querySelector('#login-account').value = ''")
        await log_in(tab, PASSWORD)
        await tab.until("document.querySelector('.alarm') !== null")
        shown = await tab.text()
        assert "Fire in zone 3" in shown
        assert "Go to zone 3" in shown
        assert await tab.run("document.title") == "(1) Gateway 1 · wardgate"
        for _ in range(30):
            if await tab.run("document.activeElement.dataset.do === 'ack'"):
                break
            await tab.press("Tab")
        await tab.press("Enter")
        await tab.until("document.getElementById('ack').open")
        await tab.call("Input.insertText", text="on the way")
        await tab.press("Enter")
        await tab.until("document.body.innerText.toLowerCase().includes('acknowledged: anna')")
        assert [(command.verb, command.comment) for command in page.desk.commands] == [("ack", "on the way")]
        assert await tab.run("document.querySelector('[data-do=ack]')") is None
        await tab.click("#account")
        await tab.until("document.querySelector('#login') !== null")
        assert "Fire in zone 3" not in await tab.text()
    assert tab.hosts == {host}
    assert tab.complaints == []


@pytest.mark.parametrize("width", [360, 1200])
async def test_every_view_fits_and_speaks_both_languages(tab: Browser, width: int) -> None:
    """On a telephone and a laptop nothing is wider than the screen; a device tells its points with their quality."""
    async with opened(Http(ANYWHERE), desk=LivingDesk()) as page:
        await tab.open(address(page), width)
        for view, english, chinese in (
            ("#alarms", "Fire in zone 3", "三区火警"),
            ("#devices", "Main meter", "总配电"),
            ("#device/lv-main", "Line voltage", "线电压"),
            ("#gateway", "Check the cable", "检查网线"),
            ("#gateway", "no answer (timeout", "无应答（超时，超时2秒）"),
        ):
            await tab.run(f"location.hash = '{view}'")
            await tab.until(f"document.querySelector('main').innerText.includes('{english}')")
            assert await tab.run("document.documentElement.scrollWidth") <= width, view
            await tab.click("#language")
            await tab.until(f"document.querySelector('main').innerText.includes('{chinese}')")
            assert await tab.run("document.documentElement.scrollWidth") <= width, view
            await tab.click("#language")
        await tab.run("location.hash = '#device/lv-main'")
        await tab.until("document.querySelectorAll('tr.bad td.number').length === 1")
        assert await tab.run("document.querySelector('tr.bad td.number').innerText") == "—"
        assert "0x8000" in await tab.run("document.querySelector('tr.bad').innerText")
    assert tab.complaints == []


async def test_nothing_old_looks_like_the_present(tab: Browser) -> None:
    """When the gateway goes, the page says since when and turns grey; when it is back, all is as before."""
    async with opened(Http(ANYWHERE)) as page:
        await tab.open(address(page))
        await tab.until("document.querySelector('.alarm') !== null")
        await page.stop()
        await tab.until("document.body.classList.contains('is-stale')")
        assert "no connection to the gateway since" in await tab.text()
        await page.start()
        await tab.until("!document.body.classList.contains('is-stale')")
    assert tab.complaints == []


async def test_a_text_is_never_markup(tab: Browser) -> None:
    """A name in the configuration, or a word of a device, is shown letter by letter."""
    desk = LivingDesk()
    desk.text = Names(zh=EVIL, en=EVIL)
    async with opened(Http(ANYWHERE), desk=desk) as page:
        await tab.open(address(page))
        await tab.until("document.querySelector('.alarm .what') !== null")
        assert await tab.run("document.querySelector('.alarm .what').innerText") == EVIL
        assert await tab.run("document.querySelectorAll('main img, main script').length") == 0
        assert "wardgate" in await tab.run("document.title")
    assert tab.complaints == []
