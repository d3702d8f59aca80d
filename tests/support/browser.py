"""A headless Chromium, told what to do over its DevTools protocol: as a person with mouse, keyboard and eyes would."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from aiohttp import ClientSession

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from aiohttp import ClientWebSocketResponse

WITHIN_S = 30.0
OPTIONS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-dev-shm-usage",
    "--remote-debugging-port=0",
    "--lang=en",
)


class Browser:
    """One tab. `complaints` are errors and broken rules of the page, `hosts` those that it asked for anything."""

    def __init__(self, socket: ClientWebSocketResponse) -> None:
        self.complaints: list[str] = []
        self.hosts: set[str] = set()
        self._socket = socket
        self._answers: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._loaded = asyncio.Event()
        self._listening = asyncio.create_task(self._listen())

    async def open(self, url: str, width: int = 1200, height: int = 900) -> None:
        for domain in ("Page", "Runtime", "Log", "Network"):
            await self.call(f"{domain}.enable")
        await self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600
        )
        await self.call("Page.navigate", url=url)
        async with asyncio.timeout(WITHIN_S):
            await self._loaded.wait()

    async def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        number = len(self._answers)
        self._answers[number] = asyncio.get_running_loop().create_future()
        await self._socket.send_json({"id": number, "method": method, "params": parameters})
        async with asyncio.timeout(WITHIN_S):
            return await self._answers[number]

    async def run(self, script: str) -> Any:
        """The value of an expression in the page."""
        answer = await self.call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    async def until(self, condition: str) -> None:
        """Until an expression in the page is true."""
        async with asyncio.timeout(WITHIN_S):
            while not await self.run(condition):
                await asyncio.sleep(0.05)

    async def text(self) -> str:
        found: str = await self.run("document.body.innerText")
        return found

    async def click(self, selector: str) -> None:
        await self.until(f"document.querySelector({json.dumps(selector)}) !== null")
        await self.run(f"document.querySelector({json.dumps(selector)}).click()")

    async def fill(self, selector: str, text: str) -> None:
        """Type into a field."""
        await self.until(f"document.querySelector({json.dumps(selector)}) !== null")
        await self.run(f"document.querySelector({json.dumps(selector)}).focus()")
        await self.call("Input.insertText", text=text)

    async def press(self, key: str) -> None:
        """One key of the keyboard, such as `Tab` or `Enter`."""
        codes = {"Tab": 9, "Enter": 13, "Escape": 27}
        text = {"text": "\r"} if key == "Enter" else {}
        named = {"key": key, "code": key, "windowsVirtualKeyCode": codes[key]}
        await self.call("Input.dispatchKeyEvent", type="keyDown", **named, **text)
        await self.call("Input.dispatchKeyEvent", type="keyUp", **named)

    async def _listen(self) -> None:
        async for message in self._socket:
            said = message.json()
            if "id" in said:
                self._answers[said["id"]].set_result(said.get("result", said))
                continue
            parameters = said["params"]
            if said["method"] == "Page.loadEventFired":
                self._loaded.set()
            elif said["method"] == "Network.requestWillBeSent":
                self.hosts.add(urlsplit(parameters["request"]["url"]).netloc)
            elif said["method"] == "Runtime.exceptionThrown":
                self.complaints.append(json.dumps(parameters))
            elif said["method"] == "Log.entryAdded" and parameters["entry"]["source"] != "network":
                self.complaints.append(parameters["entry"]["text"])


@asynccontextmanager
async def browser(folder: Path) -> AsyncIterator[Browser]:
    """One, with nothing kept from before, while the block lasts."""
    log = folder / "chromium.log"
    process = _started(folder, log)
    try:
        async with ClientSession() as session:
            port = await _port(process, log)
            async with session.get(f"http://127.0.0.1:{port}/json") as answer:
                (tab,) = [one for one in await answer.json(content_type=None) if one["type"] == "page"]
            async with session.ws_connect(tab["webSocketDebuggerUrl"], max_msg_size=0) as socket:
                yield Browser(socket)
    finally:
        process.terminate()
        process.wait(WITHIN_S)


def _started(folder: Path, log: Path) -> subprocess.Popen[bytes]:
    with log.open("wb") as written:
        command = ["chromium", *OPTIONS, f"--user-data-dir={folder}/profile", "about:blank"]
        return subprocess.Popen(command, stdout=written, stderr=written)


async def _port(process: subprocess.Popen[bytes], log: Path) -> int:
    """That on which it takes what we say."""
    async with asyncio.timeout(WITHIN_S):
        while not (found := re.search(r"DevTools listening on ws://[^:]+:(\d+)/", _said(log))):
            assert process.poll() is None, _said(log)
            await asyncio.sleep(0.02)
    return int(found[1])


def _said(log: Path) -> str:
    return log.read_text(errors="replace")
