"""The proof test: a test alarm that goes the whole way at regular times and must come back confirmed by the platform.

It takes the way of every alarm (pipeline, journal, stream `critical`, broker, the platform's store, `cmd/confirm`), so
what it finds is true of them. It is marked `test`, stands for a moment only, and is no alarm of the house: no screen
shows it. What it does not prove is that somebody looks at the platform.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

import structlog

from agent.events import ALARM_TRANSITION, Ack, AlarmTransition, Event, Names, PlaceRef, rfc3339
from buffer.errors import JournalUnavailable
from buffer.ledger import Lane

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from agent.clock import Clock
    from agent.events import Action, AlarmState
    from agent.health import Health
    from buffer.journal import Journal
    from config.model import Stream

STREAM: Stream = "critical"
SYSTEM = "gw"
FIRST_S = 60.0
"""After the start: by then every uplink that can connect has done so."""

CONFIRMED_S_MAX = 60.0
LOOK_EVERY_S = 0.2
DUE_EVERY_S = 1.0
"""How often it is asked whether it is time."""

READ_RECORDS = 500

TEXT = Names(zh="上行链路测试报警", en="Test alarm of the way to the platform")
ADVICE = Names(zh="无需处理：网关自动测试", en="Nothing to do: the gateway tests itself")

_STATE_KEY = "proof/occurrence"


class Proving(Protocol):
    """What the proof needs of an uplink."""

    @property
    def id(self) -> str: ...

    @property
    def proof_every_s(self) -> float | None: ...

    def has_confirmed(self, lane: Lane, sequence: int) -> bool: ...


@dataclass(frozen=True, slots=True)
class Source:
    """Who raises the alarm."""

    site: str
    gateway: str
    cfg_ver: str

    @property
    def alarm_id(self) -> str:
        return f"{SYSTEM}/{self.gateway}/proof#test"


class ProofTest:
    """`run` it beside the uplinks; add `on_stored` to the pipeline's listeners.

    One for all uplinks that want it, as often as the one that wants it most often. They may come and go.
    """

    def __init__(
        self,
        source: Source,
        uplinks: Iterable[Proving],
        put: Callable[[Event], Awaitable[None]],
        journal: Journal,
        health: Health,
        clock: Clock,
    ) -> None:
        self._source = source
        self._uplinks = uplinks
        self._put = put
        self._journal = journal
        self._health = health
        self._clock = clock
        self._occurrence = int(journal.state.get(_STATE_KEY, b"0"))
        self._stored = asyncio.Event()
        self._overdue: set[str] = set()
        self._log = structlog.get_logger()

    def renew(self, cfg_ver: str) -> None:
        """The gateway runs with another configuration."""
        self._source = replace(self._source, cfg_ver=cfg_ver)

    def on_stored(self, events: Iterable[Event]) -> None:
        """Our alarm is on disk, when its end is."""
        for event in events:
            body = event.body
            if isinstance(body, AlarmTransition) and body.occurrence_id == self._occurrence_id and body.ended:
                self._stored.set()

    async def run(self) -> None:
        """Until it is cancelled. Raises what the journal raises."""
        first, latest = self._clock.mono() + FIRST_S, float("-inf")
        while True:
            await self._clock.sleep_until(self._clock.mono() + DUE_EVERY_S)
            proving = {each: each.proof_every_s for each in self._uplinks if each.proof_every_s is not None}
            self._forget(self._overdue - {each.id for each in proving})
            now = self._clock.mono()
            if proving and now >= max(first, latest + min(proving.values())):
                latest = now
                await self._prove(list(proving))

    def _forget(self, gone: Iterable[str]) -> None:
        """Nothing is proved of them any more."""
        for name in gone:
            self._overdue.remove(name)
            self._health.release(name, "proof_overdue")

    async def _prove(self, waiting: list[Proving]) -> None:
        """One alarm, raised and over, and who has confirmed it in time; not judged is who has gone meanwhile."""
        begun = self._clock.now()
        lane, after = await self._raise()
        sequences: list[int] = []
        while waiting and self._clock.mono() < begun.mono + CONFIRMED_S_MAX:
            await self._clock.sleep_until(self._clock.mono() + LOOK_EVERY_S)
            sequences = sequences or await self._sequences(lane, after)
            for uplink in [each for each in waiting if sequences and _confirmed(each, lane, sequences)]:
                waiting.remove(uplink)
                self._passed(uplink)
        for uplink in [each for each in self._uplinks if each in waiting]:
            self._failed(uplink, begun.wall)

    async def _raise(self) -> tuple[Lane, int]:
        """Store both events; returns their lane, and a sequence before theirs."""
        self._occurrence += 1
        self._stored.clear()
        await self._journal.append((), {_STATE_KEY: b"%d" % self._occurrence})
        lane = Lane(self._journal.epoch, STREAM)
        kept = self._journal.stats().lanes.get(lane)
        after = kept.next - 1 if kept else 0
        await self._put(self._event(1, "raise", "NORM", "ACKED"))
        await self._put(self._event(2, "clear", "ACKED", "NORM"))
        with suppress(TimeoutError):  # a journal that stores nothing makes the test fail, and nothing else
            async with asyncio.timeout(CONFIRMED_S_MAX):
                await self._stored.wait()
        return lane, after

    async def _sequences(self, lane: Lane, after: int) -> list[int]:
        """Those of both events; none while they are not both found."""
        mark = b'"%b"' % self._occurrence_id.encode()
        found: list[int] = []
        with suppress(JournalUnavailable):  # then not this time
            while records := await self._journal.read(lane.stream, after, READ_RECORDS, epoch=lane.epoch):
                after = records[-1].sequence
                found += [record.sequence for record in records if mark in record.body]
        return found if len(found) > 1 else []

    def _passed(self, uplink: Proving) -> None:
        self._health.release(uplink.id, "proof_overdue")
        if uplink.id in self._overdue:
            self._overdue.remove(uplink.id)
            self._log.info("proof test passes again", uplink=uplink.id)

    def _failed(self, uplink: Proving, raised: float) -> None:
        detail = f"raised at {rfc3339(raised)}, not confirmed within {CONFIRMED_S_MAX:.0f} s"
        self._health.hold("proof_overdue", uplink.id, self._clock.wall(), detail)
        if uplink.id not in self._overdue:
            self._overdue.add(uplink.id)
            self._log.error("proof test overdue", uplink=uplink.id, detail=detail)

    @property
    def _occurrence_id(self) -> str:
        return f"{self._source.gateway}/{self._source.alarm_id}/{self._occurrence}"

    def _event(self, n: int, action: Action, before: AlarmState, state: AlarmState) -> Event:
        source, wall = self._source, self._clock.wall()
        time = rfc3339(wall)
        body = AlarmTransition(
            alarm_id=source.alarm_id,
            occurrence_id=self._occurrence_id,
            n=n,
            durable=True,
            action=action,
            ended=state == "NORM",
            prev_state=before,
            state=state,
            test=True,
            overlay=[],
            overlay_info=[],
            hidden=False,
            condition_known=True,
            colour="blue",
            peak_colour="blue",
            priority=4,
            severity=250,
            response_level="work_list",
            kind="state",
            signal="proof",
            level=None,
            place=PlaceRef(site=source.site),
            system=SYSTEM,
            device=source.gateway,
            point="proof",
            value=state != "NORM",
            unit="1",
            limit=None,
            deadband=None,
            q="good",
            qr="ok",
            ts_source=None,
            ts_gateway=time,
            ts_cond=time,
            ts_decided=time,
            on_delay_ms=0,
            retrigger_count=0,
            chatter_count=0,
            flood=False,
            ack=Ack(required=False),
            latched=False,
            shelvable=False,
            text=TEXT,
            advice=ADVICE,
            rule_ver="proof-1",
            cfg_ver=source.cfg_ver,
        )
        return Event(ALARM_TRANSITION, STREAM, wall, source.alarm_id, body, test=True)


def _confirmed(uplink: Proving, lane: Lane, sequences: Iterable[int]) -> bool:
    return all(uplink.has_confirmed(lane, sequence) for sequence in sequences)
