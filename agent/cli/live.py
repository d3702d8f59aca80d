"""The demo as it plays: the stage is set, somebody listens to the broker, the gateway starts, the story begins.

Either every event received is printed, or the live view is shown and keys make things happen.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hardware_mocks.hospital import STORIES
from rich.console import Console
from rich.live import Live
from rich.text import Text

from agent.cli import broker, deeds, top
from agent.cli.keys import keys
from agent.cli.picture import svg
from agent.cli.stage import stage
from agent.cli.subscriber import subscribed, values_in
from agent.cli.words import Words
from agent.control.client import DaemonUnreachable, NotDone

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path
    from typing import Literal

    from rich.console import RenderableType

    from agent.cli.options import Language
    from agent.cli.stage import Stage
    from agent.control.client import Client
    from agent.status import PointView, Status

STORY = "demo"
FRAME_S = 0.2
LOOK_AFTER_S = 0.5
NOTE_S = 6.0
RATE_S = 3
HISTORY_S = top.SPARK_SPAN_S

ACTS = {
    "mains_fail": "the mains fails",
    "mains_return": "the mains returns",
    "fire": "fire in zone 3",
    "fire_reset": "the fire panel is reset",
    "oxygen_low": "oxygen runs low in the operating room",
    "oxygen_ok": "oxygen is back",
}
SWITCHES = {"m": ("mains_fail", "mains_return"), "f": ("fire", "fire_reset"), "o": ("oxygen_low", "oxygen_ok")}
"""Key to the act that begins a trouble and the one that ends it."""


@dataclass(frozen=True, slots=True)
class Wishes:
    """What the command line asks for. `at` and `seconds` count from the moment the story begins."""

    language: Language
    no_tui: bool
    seconds: float | None
    story: Literal["default", "none"]
    seed: int
    screenshot: Path | None
    at: float


def play(wishes: Wishes) -> None:
    """The whole demo. Ctrl-C is an orderly end; raises `ControlError` when a child dies."""
    asyncio.run(_until_stopped(wishes))


async def _until_stopped(wishes: Wishes) -> None:
    demo = asyncio.create_task(_play(wishes))
    loop = asyncio.get_running_loop()

    def stop() -> None:
        # Once: an impatient second Ctrl-C must not interrupt the tidying up.
        if not demo.cancelling():
            demo.cancel()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, stop)
    with suppress(asyncio.CancelledError):
        await demo


async def _play(wishes: Wishes) -> None:
    with_view = not wishes.no_tui and sys.stdout.isatty()
    if not wishes.no_tui and not with_view:
        _tell("this is not a terminal: events are printed, as with --no-tui")
    received = Received(echo=not with_view)
    async with (
        stage(wishes.seed, _tell) as set_up,
        subscribed(set_up.broker_host, broker.PORT, received.take),
    ):
        desk = await set_up.start_gateway()
        _tell(f"the local page is {set_up.page}")
        _tell(f"the gateway runs; try `wardgate status --config {set_up.config}` in another terminal")
        started = time.monotonic()
        if wishes.story == "default":
            await set_up.tell_hospital(set_up.hospital.play(STORY))
        view = View(set_up, desk, received, wishes, started) if with_view else None
        acting = asyncio.create_task(deeds.do(desk, started, view.say_word if view else _nothing))
        if wishes.story == "none":
            acting.cancel()
        try:
            await (view.run() if view else _look_after(set_up, received, wishes, started))
        finally:
            await _cancelled(acting)
    _tell(f"over; the subscriber received {received.count} events")


def _nothing(_: str) -> None:
    """Where events are printed, what somebody does is one of them."""


def _tell(note: str) -> None:
    print(f"wardgate demo: {note}", file=sys.stderr, flush=True)


async def _look_after(set_up: Stage, received: Received, wishes: Wishes, started: float) -> None:
    """Until the time is over or the reader has gone. Raises `ChildDied`."""
    while not received.reader_gone and not _is_over(wishes, started):
        set_up.check()
        await asyncio.sleep(LOOK_AFTER_S)


def _is_over(wishes: Wishes, started: float) -> bool:
    return wishes.seconds is not None and time.monotonic() - started >= wishes.seconds


class Received:
    """What the subscriber got: counted, and printed where that is asked for."""

    def __init__(self, *, echo: bool) -> None:
        self.count = 0
        self.reader_gone = False
        self._echo = echo
        self._latest: deque[tuple[float, int]] = deque()

    def take(self, payload: bytes) -> None:
        self.count += 1
        if self._echo:
            self._print(payload)
        else:
            self._latest.append((time.monotonic(), values_in(payload)))

    def _print(self, payload: bytes) -> None:
        try:
            sys.stdout.buffer.write(payload.strip() + b"\n")
            sys.stdout.buffer.flush()
        except BrokenPipeError:
            self.reader_gone = True
            self._echo = False
            # The interpreter flushes once more at its end; let it do that into nothing.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())

    def rates(self, mono: float) -> list[float]:
        """Events in each of the last seconds, oldest first; the last one is the mean of a few, so it can be read."""
        while self._latest and mono - self._latest[0][0] > HISTORY_S:
            self._latest.popleft()
        buckets = [0.0] * HISTORY_S
        for at, _ in self._latest:
            buckets[HISTORY_S - 1 - min(HISTORY_S - 1, int(mono - at))] += 1
        return [*buckets[:-1], sum(mono - at < RATE_S for at, _ in self._latest) / RATE_S]

    def values_per_s(self, mono: float) -> float:
        return sum(values for at, values in self._latest if mono - at < RATE_S) / RATE_S


class View:
    """The live view and its keys."""

    def __init__(self, set_up: Stage, desk: Client, received: Received, wishes: Wishes, started: float) -> None:
        self._stage = set_up
        self._desk = desk
        self._received = received
        self._wishes = wishes
        self._started = started
        self._words = Words(wishes.language)
        self._memory = top.Memory()
        self._pressed: asyncio.Queue[str] = asyncio.Queue(maxsize=16)
        self._note = ("", 0.0)
        self._troubles: set[str] = set()
        self._silenced: str | None = None
        self._told = 0
        self._status: Status | None = None
        self._shown: RenderableType = ""
        self._saved = False

    async def run(self) -> None:
        """Until `q` or the time is over. Raises `ChildDied`."""
        console = Console()
        with Live(console=console, screen=True, auto_refresh=False) as live, keys(self._press):
            frames = asyncio.create_task(self._frames(live, console))
            actions = asyncio.create_task(self._obey())
            try:
                done, _ = await asyncio.wait({frames, actions}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                await _cancelled(frames, actions)
            for task in done:
                task.result()

    def _press(self, key: str) -> None:
        with suppress(asyncio.QueueFull):
            self._pressed.put_nowait(key)

    # --- frames ---------------------------------------------------------------------------------------------------

    async def _frames(self, live: Live, console: Console) -> None:
        while not _is_over(self._wishes, self._started):
            self._stage.check()
            self._follow_story()
            points = await self._look()
            self._shown = self._frame(points, console.width, console.height)
            live.update(self._shown, refresh=True)
            self._picture(console.width, console.height)
            await asyncio.sleep(FRAME_S)

    async def _look(self) -> list[PointView]:
        try:
            status, points = await asyncio.to_thread(lambda: (self._desk.status(), self._desk.points()))
        except DaemonUnreachable as error:
            self._say(error.what)
            return []
        self._status = status
        self._memory.note(points, status.alarms, time.monotonic())
        return points

    def _frame(self, points: list[PointView], columns: int, rows: int) -> RenderableType:
        mono = time.monotonic()
        scene = top.Scene(
            status=self._status,
            points=points,
            rates=self._received.rates(mono),
            values_per_s=self._received.values_per_s(mono),
            received=self._received.count,
            note=self._foot(mono),
            mono=mono,
        )
        return top.render(scene, self._memory, self._words, columns, rows)

    def _foot(self, mono: float) -> Text:
        """What was just done, or what comes next."""
        text, until = self._note
        if mono < until:
            return Text(text, style="bold bright_cyan")
        if not self._stage.broker.is_running:
            return Text(self._words("the broker is pulled: events wait in the journal"), style="bold yellow")
        coming = self._coming()
        if coming is None:
            return Text(f"{self._words('make something happen: press a key')}  {self._stage.page}", style="dim")
        wait_s, act = coming
        return Text.assemble(
            (f"{self._words('next')}: ", "dim"), (self._words(ACTS[act]), "bold"), (f"  {wait_s:.0f} s", "dim")
        )

    def _coming(self) -> tuple[float, str] | None:
        if self._wishes.story == "none":
            return None
        passed_s = time.monotonic() - self._started
        return next(((act.at - passed_s, act.name) for act in STORIES[STORY] if act.at > passed_s), None)

    def _follow_story(self) -> None:
        """Keep the keys' switches right: what the story began, a key ends."""
        story = STORIES[STORY] if self._wishes.story == "default" else ()
        passed_s = time.monotonic() - self._started
        while self._told < len(story) and story[self._told].at <= passed_s:
            self._happened(story[self._told].name)
            self._told += 1

    def _happened(self, act: str) -> None:
        self._say(self._words(ACTS[act]))
        for begins, ends in SWITCHES.values():
            if act == begins:
                self._troubles.add(begins)
            elif act == ends:
                self._troubles.discard(begins)

    def say_word(self, text: str) -> None:
        """Something that somebody did, in the language of the view."""
        self._say(self._words(text))

    def _say(self, text: str) -> None:
        self._note = (text, time.monotonic() + NOTE_S)

    def _picture(self, columns: int, rows: int) -> None:
        """Save the very frame that is on the screen, once."""
        wanted = self._wishes.screenshot
        if wanted is None or self._saved or time.monotonic() - self._started < self._wishes.at:
            return
        wanted.write_text(svg(self._shown, "wardgate demo", columns, rows), encoding="utf-8")
        self._saved = True
        self._say(f"saved {wanted}")

    # --- keys -----------------------------------------------------------------------------------------------------

    async def _obey(self) -> None:
        orders: dict[str, Callable[[], Awaitable[None]]] = {
            "b": self._switch_broker,
            "s": self._silence_next,
            "a": self._acknowledge_all,
        }
        while (key := (await self._pressed.get()).lower()) != "q":
            if key in SWITCHES:
                await self._switch(*SWITCHES[key])
            elif key in orders:
                await orders[key]()

    async def _switch(self, begins: str, ends: str) -> None:
        act = ends if begins in self._troubles else begins
        await self._stage.tell_hospital(self._stage.hospital.act(act))
        self._happened(act)

    async def _switch_broker(self) -> None:
        if self._stage.broker.is_running:
            await self._stage.broker.stop()
            self._say(self._words("the broker is pulled: events wait in the journal"))
        else:
            await self._stage.push_broker()
            self._say(self._words("the broker is back: alarms come first, the backlog beside them"))

    async def _silence_next(self) -> None:
        """One device after the other, and after the last none."""
        if self._status is None:
            return
        names: list[str | None] = [None, *(device.id for device in self._status.devices)]
        if self._silenced is not None:
            await self._fault(self._silenced, "none")
        self._silenced = names[(names.index(self._silenced) + 1) % len(names)]
        if self._silenced is None:
            self._say(self._words("every device answers again"))
            return
        await self._fault(self._silenced, "silent")
        self._say(f"{self._words('silenced')}: {self._silenced}")

    async def _fault(self, device: str, fault: str) -> None:
        await self._stage.tell_hospital(self._stage.hospital.fault(device, fault))

    async def _acknowledge_all(self) -> None:
        waiting = [one for one in self._status.alarms if one.state in top.UNACKNOWLEDGED] if self._status else []
        count = 0
        for alarm in waiting:
            # An alarm may end while we are on our way.
            with suppress(NotDone):
                await asyncio.to_thread(self._desk.order, "ack", alarm.alarm_id, "demo")
                count += 1
        self._say(f"{self._words('acknowledged alarms')}: {count}")


async def _cancelled(*tasks: asyncio.Task[None]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
