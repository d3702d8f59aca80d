"""What an uplink and its platform say to each other beside the records: watermarks, snapshots, commands and answers.

Lives as long as its uplink. Between `begin` and `end` there is a session: what is to go out waits in `outbox`, what is
due by time is done in `step`. A command of which the session saw no end is forgotten, so the platform may ask again.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from agent.envelope import topic
from agent.events import (
    ALARM_SNAPSHOT,
    CMD_RESULT,
    STREAM_WATERMARK,
    AlarmTransition,
    CommandResult,
    ConfirmCommand,
    Event,
    Missing,
    ResendCommand,
    StreamWatermark,
)
from agent.uplink.commands import ALLOWED, NOBODY, Memory, Refused, read, read_head
from agent.uplink.errands import Errands
from agent.uplink.handover import Handover
from agent.uplink.projections import Outbox
from agent.uplink.snapshot import parts
from agent.uplink.watermark import stream_marks
from buffer.ledger import Lane
from config.model import STREAMS

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Iterable, Mapping
    from typing import Literal

    from agent.audit import Trail
    from agent.clock import Clock
    from agent.envelope import AsOf
    from agent.events import Actor, Body, Command, CommandCode
    from agent.uplink.commands import Received
    from agent.uplink.errands import Door, Errand
    from agent.uplink.feed import Again, Feed
    from agent.uplink.selection import Selection
    from agent.uplink.session import Message
    from buffer.journal import Journal
    from config import outward

    Speak = Callable[[Event, AsOf | None], Message]
    """Makes a message of an event of the present; without an `AsOf`, as of this moment."""

SNAPSHOT_EVERY_S = 86_400.0

RESENDS_MAX = 16
"""Ranges that are sent again at once."""

AUDITS_PER_MINUTE = 60
MINUTE_S = 60.0
VERB_LENGTH_MAX = 40

UNAUDITED = frozenset({"confirm", "ping"})
"""Verbs that say nothing about anybody's intentions, so often that they would drown what does."""


@dataclass(frozen=True, slots=True)
class Resend:
    """A range that is being sent again for a command."""

    command: ResendCommand
    again: Again


@dataclass(slots=True)
class Fence:
    """A snapshot that waits until everything up to `as_of` has reached the alarm list."""

    as_of: AsOf
    passed: asyncio.Future[bool]
    asked_by: list[Command] = field(default_factory=list)


class Dialogue:
    """One uplink's talk with its platform. Belongs to the uplink's task; `now` is the event loop's time."""

    def __init__(
        self,
        settings: outward.Uplink,
        journal: Journal,
        clock: Clock,
        trail: Trail,
        selection: Selection,
        alarms: Callable[[], Iterable[Event]],
        speak: Speak,
        as_of: Callable[[], AsOf],
        wake: Callable[[], None],
        doors: Mapping[str, Door],
    ) -> None:
        self.outbox = Outbox()
        self.handover = Handover(journal, settings.id) if settings.confirm else None
        self._settings = settings
        self._journal = journal
        self._clock = clock
        self._trail = trail
        self._selection = selection
        self._alarms = alarms
        self._speak = speak
        self._as_of = as_of
        self._wake = wake
        self._memory = Memory()
        self._errands = Errands(doors, wake)
        self._allowed = ALLOWED | doors.keys()
        self._feed: Feed | None = None
        self._resends: list[Resend] = []
        self._fence: Fence | None = None
        self._audits: deque[float] = deque(maxlen=AUDITS_PER_MINUTE)
        self._unaudited = 0
        self._asked_for_watermark = False
        self._watermark_due = 0.0
        self._snapshot_due = 0.0

    def begin(self, feed: Feed, now: float) -> None:
        """A session: say where we are, then how the alarms stand."""
        self._feed = feed
        self.outbox.clear()
        self._put_watermark("connect", now)
        self._want_snapshot(now)

    def end(self, now: float) -> None:
        """The last watermark of an orderly end."""
        self._put_watermark("end", now)

    def lose(self) -> None:
        """The session is over, however it ended."""
        self._feed = None
        self._resends.clear()
        self._errands.lose()
        self._fence = None

    def hear(self, received: Iterable[Received], now: float) -> None:
        """Carry out, or refuse, what came in, and answer it."""
        for one in received:
            self._hear(one, now)

    def step(self, now: float) -> None:
        """Whatever is due."""
        if self._fence is not None and self._fence.passed.done():
            self._put_snapshot(self._fence)
        for resend in [resend for resend in self._resends if resend.again.done]:
            self._resends.remove(resend)
            self._end_resend(resend)
        for errand in self._errands.ended():
            self._end_errand(errand)
        if now >= self._snapshot_due:
            self._want_snapshot(now)
        if self._asked_for_watermark:
            self._put_watermark("request", now)
        elif now >= self._watermark_due:
            self._put_watermark("interval", now)

    @property
    def due(self) -> float:
        """When `step` has something to do by time alone."""
        return min(self._watermark_due, self._snapshot_due)

    # --- watermark and snapshot -----------------------------------------------------------------------------------

    def _put_watermark(self, reason: Literal["connect", "interval", "request", "end"], now: float) -> None:
        self._asked_for_watermark = False
        self._watermark_due = now + self._settings.watermark_s
        assert self._feed is not None, "between begin and lose"
        marks = stream_marks(
            self._journal,
            self._settings.id,
            self.handover,
            self._feed.live_now,
            filtered=not self._selection.is_all,
        )
        body = StreamWatermark(uplink=self._settings.id, reason=reason, streams=marks)
        self.outbox.urgent.append(self._message(STREAM_WATERMARK, self._settings.id, body))

    def _want_snapshot(self, now: float, command: Command | None = None) -> None:
        """Have one made as soon as the alarm list knows everything that is stored by now."""
        self._snapshot_due = now + SNAPSHOT_EVERY_S
        if self._fence is None:
            # The list hears of an event after the journal has stored it: an empty append comes after all of those.
            self._fence = Fence(self._as_of(), self._journal.append(()))
            self._fence.passed.add_done_callback(lambda _: self._wake())
        if command is not None:
            self._fence.asked_by.append(command)

    def _put_snapshot(self, fence: Fence) -> None:
        self._fence = None
        fence.passed.result()
        alarms = [
            event.body
            for event in self._alarms()
            if isinstance(event.body, AlarmTransition) and self._selection.wants(event.stream, topic(event.body))
        ]
        made = parts(alarms)
        for part in made:
            self.outbox.bulk.append(self._message(ALARM_SNAPSHOT, self._settings.id, part, fence.as_of))
        for command in fence.asked_by:
            self._done(command, "snapshot", "the snapshot follows", alarms=len(alarms), parts=len(made))

    # --- commands -------------------------------------------------------------------------------------------------

    def _hear(self, received: Received, now: float) -> None:
        cmd_id, actor = "", NOBODY
        try:
            head = read_head(received)
            cmd_id, actor = head.cmd_id, head.actor
            if self._memory.known(cmd_id, received):
                self._repeat(cmd_id)
                return
            self._memory.begin(cmd_id, received)
            self._obey(received.verb, read(received, self._clock.wall(), self._allowed), now)
        except Refused as refused:
            self._answer(cmd_id, received.verb, actor, refused.message, refused.known, code=refused.code)

    def _obey(self, verb: str, command: Command, now: float) -> None:
        """Raises `Refused`."""
        if isinstance(command, ConfirmCommand):
            self._confirm(command)
        elif isinstance(command, ResendCommand):
            self._resend(command)
        elif verb == "snapshot":
            self._want_snapshot(now, command)
            self._asked_for_watermark = True
        elif verb == "ping":
            self._asked_for_watermark = True
            self._done(command, verb, "the gateway is here")
        else:
            self._errands.send(verb, command)

    def _confirm(self, command: ConfirmCommand) -> None:
        handover, args = self.handover, command.args
        if handover is None:
            raise Refused("not_confirming", f"uplink {self._settings.id} waits for no confirmation; set confirm: true")
        self._check_epoch(args.epoch)
        ranges = {}
        for stream, spans in args.ranges.items():
            lane = Lane(args.epoch, stream)
            ranges[lane] = self._known(lane, spans)
            self._check_spans(lane, ranges[lane])
        fresh = sum(handover.confirm(lane, spans) for lane, spans in ranges.items())
        self._done(command, "confirm", "confirmed", confirmed=fresh)

    def _known(self, lane: Lane, spans: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
        """Without what only the platform has of an older epoch: a backup that was put back ends before that."""
        if lane.epoch == self._journal.epoch:
            return list(spans)
        last = self._journal.position(self._settings.id, lane).next - 1
        return [(first, min(end, last)) for first, end in spans if first <= last]

    def _resend(self, command: ResendCommand) -> None:
        args = command.args
        self._check_epoch(args.epoch)
        lane = Lane(args.epoch, args.stream)
        self._check_spans(lane, [(args.first, args.first)])
        if args.last < args.first:
            raise Refused("malformed", f"from {args.first} to {args.last} is no range; give the lower one first")
        kept = self._journal.stats().lanes[lane]
        last = min(args.last, kept.next - 1)
        if not kept.records or last < kept.first:
            raise _not_kept([(args.first, last)])
        if len(self._resends) == RESENDS_MAX:
            raise Refused("busy", f"{RESENDS_MAX} ranges are being sent again already; ask once they have come")
        assert self._feed is not None, "between begin and lose"
        self._resends.append(Resend(command, self._feed.send_again(lane, args.first, last)))

    def _end_resend(self, resend: Resend) -> None:
        again = resend.again
        self._asked_for_watermark = True
        if not again.sent and again.gone:
            refused = _not_kept(again.gone)
            command = resend.command
            self._answer(command.cmd_id, "resend", command.actor, refused.message, refused.known, code=refused.code)
        else:
            self._done(resend.command, "resend", "sent again", resent=again.sent, dropped=_gone(again.gone))

    def _end_errand(self, errand: Errand) -> None:
        command = errand.command
        try:
            done = errand.task.result()
        except Refused as refused:
            audited, code = refused.is_audited, refused.code
            said = (refused.message, refused.known)
            self._answer(command.cmd_id, errand.verb, command.actor, *said, code=code, audited=audited)
        else:
            said = (done.message, done.args)
            self._answer(command.cmd_id, errand.verb, command.actor, *said, audited=done.is_audited)

    def _check_epoch(self, epoch: str) -> None:
        if all(lane.epoch != epoch for lane in self._journal.stats().lanes):
            raise Refused("unknown_epoch", f"epoch {epoch} is not known here; the present one is {self._journal.epoch}")

    def _check_spans(self, lane: Lane, spans: Iterable[tuple[int, int]]) -> None:
        """What was never stored can be neither confirmed nor sent again."""
        if lane.stream not in STREAMS:
            raise Refused("malformed", f"there is no stream {lane.stream}; there are {', '.join(STREAMS)}")
        following = self._journal.position(self._settings.id, lane).next
        for first, last in spans:
            if last < first:
                raise Refused("malformed", f"[{first}, {last}] is no range; give the lower one first")
            if last >= following:
                raise Refused("malformed", f"{lane.stream} ends at {following - 1} so far, {last} is beyond it")

    # --- answers --------------------------------------------------------------------------------------------------

    def _done(self, command: Command, verb: str, message: str, **args: Any) -> None:
        self._answer(command.cmd_id, verb, command.actor, message, args)

    def _answer(
        self,
        cmd_id: str,
        verb: str,
        actor: Actor,
        message: str,
        args: dict[str, Any],
        *,
        code: CommandCode | None = None,
        audited: bool = False,
    ) -> None:
        answer = CommandResult(
            cmd_id=cmd_id,
            verb=verb,
            uplink=self._settings.id,
            result="refused" if code else "done",
            code=code,
            message=message,
            args=args,
        )
        if code != "repeated":
            self._memory.end(answer)
        if not audited and (code or verb not in UNAUDITED):
            self._audit(answer, actor)
        self.outbox.urgent.append(self._message(CMD_RESULT, cmd_id, answer))

    def _repeat(self, cmd_id: str) -> None:
        """Once more what was answered; what is still under way will be."""
        answer = self._memory.answer(cmd_id)
        if answer is not None:
            self.outbox.urgent.append(self._message(CMD_RESULT, cmd_id, answer))

    def _audit(self, answer: CommandResult, actor: Actor) -> None:
        """Each of them, unless there are so many that they would drown what else happened."""
        now = self._clock.mono()
        if len(self._audits) == AUDITS_PER_MINUTE and now - self._audits[0] < MINUTE_S:
            self._unaudited += 1
            return
        self._audits.append(now)
        more = f"; {self._unaudited} more before it" if self._unaudited else ""
        self._unaudited = 0
        self._trail.append(
            actor,
            "cmd_refused" if answer.code else f"cmd_{answer.verb}",
            f"uplink/{self._settings.id}",
            reason=f"{answer.verb[:VERB_LENGTH_MAX]}: {answer.message}{more}",
            result=answer.result,
            code=answer.code,
        )

    def _message(self, event_type: str, subject: str, body: Body, as_of: AsOf | None = None) -> Message:
        return self._speak(Event(event_type, "state", self._clock.wall(), subject, body), as_of)


def _not_kept(spans: list[tuple[int, int]]) -> Refused:
    return Refused("not_kept", "nothing of it is kept any more", resent=0, dropped=_gone(spans))


def _gone(spans: Iterable[tuple[int, int]]) -> list[Missing]:
    return [Missing(first=first, last=last, records=last - first + 1, reason="not_kept") for first, last in spans]
