"""One uplink: connects to one of its brokers, sends the journal there, and never gives up.

Owns the order of sessions (which broker, when again), the connection number and what an operator sees of it. What is
sent next is `feed`'s business, what an answer means `settlement`'s. A mistake in here ends the process, on purpose.
"""

from __future__ import annotations

import asyncio
import math
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import structlog

from agent.audit import GATEWAY
from agent.envelope import AsOf, topic
from agent.events import rfc3339
from agent.status import UplinkView
from agent.uplink.commands import Received
from agent.uplink.delivery import Delivery
from agent.uplink.dialogue import Dialogue
from agent.uplink.errands import NO_DOORS
from agent.uplink.feed import Feed
from agent.uplink.moving import Mover
from agent.uplink.oversize import Oversize
from agent.uplink.patience import Patience
from agent.uplink.problems import Problem, Refused, Taken, lost
from agent.uplink.projections import Retained, Speaker
from agent.uplink.selection import Selection
from agent.uplink.session import Login, Session
from agent.uplink.settlement import Account

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from structlog.typing import FilteringBoundLogger

    from agent.audit import Trail
    from agent.clock import Clock
    from agent.envelope import Origin
    from agent.events import ClockState, Event
    from agent.health import Code
    from agent.histogram import Histogram
    from agent.uplink.certificates import Validity
    from agent.uplink.errands import Door
    from agent.uplink.session import Message
    from buffer.journal import Journal
    from buffer.ledger import Lane
    from config import outward

DRAIN_S_MAX = 1.5
"""How long the end may wait for what is on its way; the rest stays in the journal."""

LAST_WORD_S_MAX = 0.5

NUMBERS_RESERVED = 100
"""Connection numbers that are reserved on disk at once, so that a long outage does not write at every attempt."""


_LET_US_LISTEN = "allow this gateway to subscribe there in the broker's access rules"

State = Literal["connected", "connecting", "waiting", "refused"]


@dataclass(frozen=True, slots=True)
class Release:
    """What the status says of the software: its version and that of the configuration."""

    sw: str
    cfg_ver: str


class Uplink:
    """`run` until its event is set. `retain` and `view` may be called at any time, from the event loop."""

    def __init__(
        self,
        settings: outward.Uplink,
        origin: Origin,
        journal: Journal,
        clock: Clock,
        release: Release,
        clock_state: Callable[[], ClockState],
        trail: Trail,
        alarms: Callable[[], Iterable[Event]],
        doors: Mapping[str, Door] = NO_DOORS,
    ) -> None:
        self._settings = settings
        self._origin = origin
        self._journal = journal
        self._clock = clock
        self._release = release
        self._clock_state = clock_state
        self._trail = trail
        self._wake = asyncio.Event()
        self._selection = Selection(settings.filter)
        self._dialogue = Dialogue(
            settings, journal, clock, trail, self._selection, alarms, self._speak, self._as_of, self._wake.set, doors
        )
        self._log: FilteringBoundLogger = structlog.get_logger().bind(uplink=settings.id)
        self._speaker = Speaker(settings.id, origin)
        self._retained = Retained()
        self._account = Account()
        self._patience = Patience(settings.client_id)
        self._mover = Mover()
        self._oversize = Oversize()
        self._validities: dict[str, Validity] = {}
        self._opening: asyncio.Timeout | None = None
        self._news = False
        self._delivery: Delivery | None = None
        self._feed: Feed | None = None
        self._deaf = False
        self._session_began = 0.0
        self._broker = settings.brokers[0]
        self._state: State = "connecting"
        self._since = clock.wall()
        self._connected_at = clock.mono()
        self._problem: Problem | None = None
        self._reported: set[tuple[outward.Broker, str]] = set()
        self._failures = 0
        self._connection = self._reserved = int(journal.state.get(self._connection_key, b"0"))

    def retain(self, event: Event) -> None:
        """Have the broker keep this state or meta of a device until a newer one comes."""
        self._retained.put(self._speaker.message(event, self._clock_state(), self._as_of()))
        self._wake.set()

    def tell(self, event: Event) -> None:
        """Say this now, or whatever is newer by the time there is a session; the broker keeps and answers nothing."""
        self._retained.put(
            self._speaker.message(event, self._clock_state(), self._as_of(), retain=False, at_most_once=True)
        )
        self._wake.set()

    def forget(self, event: Event) -> None:
        """Have the broker keep nothing any more about a device that is gone."""
        message = self._speaker.message(event, self._clock_state(), self._as_of())
        self._retained.put(replace(message, payload=b""))
        self._wake.set()

    def renew(self, cfg_ver: str) -> None:
        """The gateway runs with another configuration, and says so."""
        self._release = replace(self._release, cfg_ver=cfg_ver)
        if self._delivery is not None and self._feed is not None:
            now = asyncio.get_running_loop().time()
            self._delivery.publish(self._status("online", self._connection, self._feed.live_from), now)
            self._wake.set()

    @property
    def id(self) -> str:
        return self._settings.id

    @property
    def proof_every_s(self) -> float | None:
        """How often a test alarm is to go the whole way."""
        return self._settings.proof_every_s

    @property
    def alarm_times(self) -> Histogram:
        """How long alarms took from the journal to the broker's acknowledgement."""
        return self._account.alarm_times

    def wants(self, event: Event) -> bool:
        """Whether an event is one for this platform."""
        return self._selection.wants(event.stream, topic(event.body))

    def has_confirmed(self, lane: Lane, sequence: int) -> bool:
        """Whether the platform has confirmed this record since the start; never where it is not asked to."""
        handover = self._dialogue.handover
        return handover is not None and handover.has_confirmed(lane, sequence)

    def conditions(self) -> dict[Code, str]:
        """What is wrong although there is a session, with details."""
        found: dict[Code, str] = {}
        waits_s = self._unconfirmed_s()
        if waits_s is not None and waits_s > self._settings.confirm_overdue_s:
            found["confirm_overdue"] = f"handed over, not confirmed for {waits_s:.0f} s"
        if self._deaf:
            found["commands_refused"] = f"topic {self._commands}#"
        if self._delivery is not None and self._delivery.holds:
            found["stream_held"] = "; ".join(sorted({hold.what for hold in self._delivery.holds.values()}))
        if self._state == "connected" and self._broker != self._settings.brokers[0]:
            found["uplink_substitute"] = f"{address(self._broker)} instead of {address(self._settings.brokers[0])}"
        if (conflict := self._patience.conflict_after(self._lasted_s())) is not None:
            found["client_id_taken"] = conflict.what
        if self._mover.unusable is not None:
            found["certificate_unusable"] = self._mover.unusable.what
        wall = self._clock.wall()
        ending = [f"{what} until {rfc3339(one.end)}" for what, one in self._validities.items() if one.ends_soon(wall)]
        if ending:
            found["certificate_expires"] = "; ".join(ending)
        return found

    def view(self) -> UplinkView:
        error, todo = self._trouble()
        waiting: dict[str, int] = {}
        handed_over = 0
        handover = self._dialogue.handover
        for position in self._journal.cursor(self._settings.id):
            unconfirmed = 0 if handover is None else handover.unconfirmed(position.lane)
            handed_over += unconfirmed
            stream = position.lane.stream
            waiting[stream] = waiting.get(stream, 0) + max(0, position.unsettled - unconfirmed)
        return UplinkView(
            id=self._settings.id,
            state=self._state,
            broker=address(self._broker),
            since=rfc3339(self._since),
            error=error,
            todo=todo,
            in_flight=len(self._delivery.flight) if self._delivery else 0,
            acknowledged=self._account.acknowledged,
            rejected=self._account.rejected,
            waiting=waiting,
            live_from=self._feed.live_now if self._feed else None,
            backlog=self._feed.backlog if self._feed else 0,
            handed_over=None if handover is None else handed_over,
            confirmed=None if handover is None else handover.confirmed,
        )

    async def run(self, stop: asyncio.Event) -> None:
        """Send until `stop` is set, then finish what is on its way and say good-bye.

        Ends with what the journal raises (`JournalError`, in a group) when it can no longer be read or written.
        """
        async with asyncio.TaskGroup() as group:
            helpers = [
                group.create_task(self._hear_news(), name=f"uplink-news[{self._settings.id}]"),
                group.create_task(self._hear_stop(stop), name=f"uplink-stop[{self._settings.id}]"),
            ]
            while not stop.is_set():
                await self._round(stop)
            for helper in helpers:
                helper.cancel()

    async def _round(self, stop: asyncio.Event) -> None:
        """Try every broker once; wait when none of them is left, or when somebody else goes by our client id."""
        for broker in self._settings.brokers:
            outcome = await self._attempt(broker, stop)
            if outcome is None:
                return
            problem = outcome
            if isinstance(problem, Taken):
                break
        self._enter("refused" if isinstance(problem, Refused) else "waiting")
        with suppress(TimeoutError):
            async with asyncio.timeout(self._patience.next_s(problem)):
                await stop.wait()

    async def _attempt(self, broker: outward.Broker, stop: asyncio.Event) -> Problem | None:
        """One session from its beginning to its end; None when it was ended by us."""
        self._broker = broker
        self._enter("connecting")
        self._wake.clear()
        session: Session | None = None
        try:
            will = self._status("offline", await self._next_connection())
            login = self._login()
            session = Session(broker, login, will, self._wake)
            if await self._open(session, stop):
                await self._serve(session, login, stop)
                session.close(politely=True)
        except Problem as problem:
            return None if self._mover.asking else self._failed(self._understood(problem))
        finally:
            self._mover.rest()
            self._audit_discards(everything=True)
            self._delivery = self._feed = None
            self._deaf = False
            self._dialogue.lose()
            if session is not None:
                session.close()
        return None

    async def _open(self, session: Session, stop: asyncio.Event) -> bool:
        """Connect, unless stopped before. Raises `Problem`."""
        if stop.is_set():
            return False
        try:
            async with asyncio.timeout(None) as self._opening:
                await session.open()
        except TimeoutError:
            return False
        finally:
            self._opening = None
        return True

    async def _serve(self, session: Session, login: Login, stop: asyncio.Event) -> None:
        now = asyncio.get_running_loop().time()
        feed = self._feed = Feed(
            self._journal, self._settings.id, self._settings.backlog_records_per_s, now, self._selection
        )
        self._retained.begin()
        delivery = self._delivery = Delivery(
            session,
            feed,
            self._retained,
            self._dialogue.outbox,
            self._origin,
            self._settings,
            self._account,
            self._log,
            now,
        )
        session.packet_bytes_max = self._oversize.packet_bytes_max(self._broker, session.packet_bytes_max)
        session.subscribe(self._commands + "#")
        delivery.publish(self._status("online", self._connection, feed.live_from), now)
        self._session_began = now
        self._dialogue.begin(feed, now)
        self._connected(session)
        better = self._settings.brokers[: self._settings.brokers.index(self._broker)]
        moving = asyncio.create_task(self._mover.reason(session, login, better), name="uplink-moving")
        moving.add_done_callback(lambda _: self._wake.set())
        try:
            while not (stop.is_set() or moving.done()):
                await self._turn(session, feed, delivery)
                await self._rest(delivery)
        finally:
            moving.cancel()
            await asyncio.wait([moving])
        if not moving.cancelled():
            self._log.info("uplink connects anew", reason=moving.result())
        await self._finish(session, feed, delivery)

    async def _turn(self, session: Session, feed: Feed, delivery: Delivery, *, backlog: bool = True) -> None:
        """Settle what was answered, send what may go. Raises `Problem` when the session is over."""
        loop = asyncio.get_running_loop()
        acks = session.step()
        batch = delivery.answered(acks, loop.time())
        self._audit_discards()
        self._account.note_alarms(batch, self._clock.wall())
        batch.settle(self._journal, self._settings.id, self._dialogue.handover, loop.time())
        if delivery.flight.stalled_s(loop.time()) > self._settings.keep_alive_s:
            raise lost(f"the broker has acknowledged nothing for {self._settings.keep_alive_s} s")
        if self._news:
            self._news = False
            feed.refresh()
        self._listen(session, loop.time())
        await feed.fill()
        self._settle_skipped(feed)
        self._dialogue.step(loop.time())
        delivery.send(loop.time(), backlog=backlog)
        if feed.hungry:
            self._wake.set()

    def _listen(self, session: Session, now: float) -> None:
        """Do what the platform asks for."""
        root = self._commands
        heard = [
            Received(message.topic.removeprefix(root), message.payload, message.retain) for message in session.heard()
        ]
        self._dialogue.hear(heard, now)
        if session.deaf and not self._deaf:
            self._deaf = True
            self._log.warning("uplink hears no commands", topic=root + "#", todo=_LET_US_LISTEN)

    def _settle_skipped(self, feed: Feed) -> None:
        for lane, spans in feed.skipped.items():
            self._journal.settle(self._settings.id, lane.stream, (), skipped=spans, epoch=lane.epoch)
        feed.skipped.clear()

    def _audit_discards(self, *, everything: bool = False) -> None:
        now = asyncio.get_running_loop().time()
        for discard in self._account.discards.take(now, everything=everything):
            target = f"uplink/{self._settings.id}/{discard.stream}"
            self._trail.append(GATEWAY, "buffer_drop", target, reason=discard.reason, after=str(discard))

    async def _rest(self, delivery: Delivery) -> None:
        """Until there is something to do."""
        loop = asyncio.get_running_loop()
        timer = loop.call_at(min(self._dialogue.due, delivery.due(loop.time()) or math.inf), self._wake.set)
        await self._wake.wait()
        self._wake.clear()
        timer.cancel()

    async def _finish(self, session: Session, feed: Feed, delivery: Delivery) -> None:
        """Everything but the backlog, then the last word; what does not go in time stays in the journal."""
        with suppress(TimeoutError):
            async with asyncio.timeout(DRAIN_S_MAX):
                await self._turn(session, feed, delivery, backlog=False)
                while delivery.flight or not feed.idle:
                    await self._rest(delivery)
                    await self._turn(session, feed, delivery, backlog=False)
        now = asyncio.get_running_loop().time()
        self._dialogue.end(now)
        delivery.send(now, backlog=False)
        delivery.publish(self._status("offline", self._connection), now)
        with suppress(TimeoutError):
            async with asyncio.timeout(LAST_WORD_S_MAX):
                while delivery.flight:
                    await self._rest(delivery)
                    await self._turn(session, feed, delivery, backlog=False)

    async def _hear_news(self) -> None:
        seen = -1
        while True:
            seen = await self._journal.news(seen)
            self._news = True
            self._wake.set()

    async def _hear_stop(self, stop: asyncio.Event) -> None:
        await stop.wait()
        self._wake.set()
        if self._opening is not None:
            self._opening.reschedule(asyncio.get_running_loop().time())

    async def _next_connection(self) -> int:
        """Numbers only grow, also across restarts: an old will cannot pass for a newer state."""
        if self._connection >= self._reserved:
            self._reserved = self._connection + NUMBERS_RESERVED
            await self._journal.append((), {self._connection_key: b"%d" % self._reserved})
        self._connection += 1
        return self._connection

    @property
    def _connection_key(self) -> str:
        return f"uplink/{self._settings.id}/connection"

    def _login(self) -> Login:
        settings = self._settings
        try:
            password = None if settings.password is None else settings.password.reveal()
        except LookupError as error:
            raise Refused(f"no password for user {settings.user}: {error.args[0]}", "provide that secret") from error
        return Login(settings.client_id, settings.user, password, settings.mqtt, settings.keep_alive_s, settings.tls)

    @property
    def _commands(self) -> str:
        return self._origin.root + "cmd/"

    def _unconfirmed_s(self) -> float | None:
        """How long the oldest record that is not confirmed has waited; only a session's time counts."""
        handover = self._dialogue.handover
        since = None if handover is None or self._delivery is None else handover.since()
        return None if since is None else asyncio.get_running_loop().time() - max(since, self._session_began)

    def _speak(self, event: Event, as_of: AsOf | None) -> Message:
        return self._speaker.message(event, self._clock_state(), as_of or self._as_of(), retain=False)

    def _status(self, state: Literal["online", "offline"], connection: int, live_from: int | None = None) -> Message:
        return self._speaker.status(
            state,
            self._clock.wall(),
            self._clock_state(),
            self._as_of(),
            connection=connection,
            live_from=live_from,
            sw=self._release.sw,
            cfg_ver=self._release.cfg_ver,
        )

    def _as_of(self) -> AsOf:
        epoch = self._journal.epoch
        positions = self._journal.cursor(self._settings.id)
        return AsOf(epoch=epoch, sequences={p.lane.stream: p.next - 1 for p in positions if p.lane.epoch == epoch})

    def _enter(self, state: State) -> None:
        if state != self._state:
            self._state = state
            self._since = self._clock.wall()

    def _connected(self, session: Session) -> None:
        self._enter("connected")
        self._connected_at = self._clock.mono()
        self._problem = None
        self._reported.clear()
        ours = session.credentials.ours if session.credentials else None
        found = {"our client certificate": ours, f"the certificate of {self._broker.host}": session.broker_validity}
        self._validities = {what: validity for what, validity in found.items() if validity is not None}
        self._log.info("uplink connected", broker=address(self._broker), failures=self._failures)
        self._failures = 0

    def _lasted_s(self) -> float | None:
        """How long the session has lasted so far; None where there is none."""
        return self._clock.mono() - self._connected_at if self._state == "connected" else None

    def _understood(self, problem: Problem) -> Problem:
        """The same, or that one of our messages is the reason."""
        if self._delivery is None:
            return problem
        return self._oversize.judge(self._broker, self._delivery.flight, problem)

    def _failed(self, problem: Problem) -> Problem:
        """Say it once for each broker and reason, until there is a session again; what it really is comes back."""
        lasted_s = self._lasted_s()
        if lasted_s is not None:
            self._mover.ended(lasted_s, at_home=self._broker == self._settings.brokers[0])
        problem = self._patience.judge(problem, lasted_s)
        self._failures += 1
        self._problem = problem
        if (self._broker, problem.what) not in self._reported:
            self._reported.add((self._broker, problem.what))
            said = "uplink cannot connect" if lasted_s is None else "uplink lost"
            self._log.warning(said, broker=address(self._broker), error=problem.what, todo=problem.todo)
        return problem

    def _trouble(self) -> tuple[str | None, str | None]:
        """The worst thing that an operator should know, and what to do about it."""
        if self._problem is not None:
            return self._problem.what, self._problem.todo
        if self._delivery is None:
            return None, None
        for hold in self._delivery.holds.values():
            return hold.what, hold.todo
        for problem in (self._patience.conflict_after(self._lasted_s()), self._mover.unusable):
            if problem is not None:
                return problem.what, problem.todo
        if self._delivery.refused is None and self._deaf:
            return f"the broker does not let us subscribe to {self._commands}#", _LET_US_LISTEN
        return self._delivery.refused or (None, None)


def address(broker: outward.Broker) -> str:
    return f"{'mqtts' if broker.tls else 'mqtt'}://{broker.host}:{broker.port}"
