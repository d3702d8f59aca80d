"""What is said to the gateways: confirm what is stored, ask for what lacks, for the alarms that stand, for a watermark.

Pure: `due` returns the messages, `answered` takes what came back; both clocks come in. A command that is not answered
is forgotten and decided upon anew; doing one twice changes nothing at the gateway.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from consumer.events import Unreadable, mapping, text
from consumer.ranges import Ranges
from consumer.watermark import missing

if TYPE_CHECKING:
    from collections.abc import Iterator

    from consumer.account import Account
    from consumer.events import Event, Lane
    from consumer.lanes import GatewayAccount, LaneAccount
    from consumer.ranges import Range

CONFIRM_EVERY_S = 1.0
CONFIRM_RANGES_MAX = 200
"""In one command."""

RESEND_AGAIN_S = 10.0
"""The same range is asked for again only after this long."""

RESEND_LOOK_S = 0.2
"""How often it is looked for gaps: with many streams that is work."""

RESENDS_MAX = 4
"""Commands under way at once at one gateway."""

RESEND_SEQUENCES_MAX = 10_000
"""In one command."""

ANSWER_S_MAX = {"confirm": 10.0, "resend": 120.0, "snapshot": 60.0, "ping": 10.0}
"""A resend is answered when all of it was sent."""

REFUSED_S = 60.0
"""After a refusal that we do not understand, nothing of the kind is said for so long."""

EXPIRES_S = 300.0

NOT_CONFIRMING = "not_confirming"
UNKNOWN_EPOCH = "unknown_epoch"
GONE = frozenset({UNKNOWN_EPOCH, "not_kept"})
"""Codes of a refusal that say: what was asked for will never come."""

BUSY = "busy"


@dataclass(frozen=True, slots=True)
class Message:
    """A topic and what is published there."""

    topic: str
    payload: bytes


@dataclass(frozen=True, slots=True)
class Asked:
    """A command under way: its answer settles these ranges of these lanes."""

    gateway: str
    verb: str
    ranges: dict[Lane, tuple[Range, ...]]
    at_s: float


@dataclass(slots=True)
class _Pace:
    """When something may be said to one gateway again. Times are monotonic seconds."""

    confirm_at_s: float = float("-inf")
    resend_at_s: float = float("-inf")
    resent: list[tuple[Lane, Range, float]] = field(default_factory=list)
    greeted: bool = False


class Requests:
    """`consumer` names us to the gateways, `unique` makes the numbers of the commands unlike those of earlier runs."""

    def __init__(self, account: Account, consumer: str, unique: str, *, confirm: bool, resend: bool) -> None:
        self._account = account
        self._actor = {"type": "platform", "id": consumer, "role": "consumer"}
        self._unique = unique
        self._confirm = confirm
        self._resend = resend
        self._count = 0
        self._asked: dict[str, Asked] = {}
        self._paces: dict[str, _Pace] = {}
        self._settled: set[Lane] = set()

    @property
    def silent(self) -> bool:
        """Whether nothing is ever said."""
        return not (self._confirm or self._resend)

    @property
    def confirming(self) -> bool:
        """Whether a confirmation is under way or due."""
        under_way = any(asked.verb == "confirm" for asked in self._asked.values())
        return under_way or (
            self._confirm
            and any(
                account.lane not in self._settled and account.to_confirm()
                for gateway in self._account.gateways.values()
                if gateway.confirming and gateway.online is not False
                for account in self._account.of(gateway.source)
            )
        )

    def connected(self) -> None:
        """A new session: answers to earlier commands may never come, and alarms may have changed meanwhile."""
        self._asked.clear()
        self._paces.clear()
        self._settled.clear()

    def due(self, wall_s: float, now_s: float) -> list[Message]:
        """The commands to publish now."""
        if self.silent:
            return []
        self._asked = {
            cmd_id: asked for cmd_id, asked in self._asked.items() if asked.at_s > now_s - ANSWER_S_MAX[asked.verb]
        }
        messages: list[Message] = []
        for gateway in self._account.gateways.values():
            if gateway.online is False:
                continue
            pace = self._pace(gateway.source)
            if not pace.greeted:
                pace.greeted = True
                messages.append(self._command(gateway, "snapshot", {}, {}, wall_s, now_s))
            if self._confirm and gateway.confirming and now_s >= pace.confirm_at_s:
                messages += self._confirmations(gateway, pace, wall_s, now_s)
            if self._resend and now_s >= pace.resend_at_s:
                messages += self._resends(gateway, pace, wall_s, now_s)
        return messages

    def ping(self, wall_s: float, now_s: float) -> list[Message]:
        """One command to each gateway that is there, which each answers with a watermark too."""
        present = [gateway for gateway in self._account.gateways.values() if gateway.online is not False]
        return [self._command(gateway, "ping", {}, {}, wall_s, now_s) for gateway in present]

    def answered(self, event: Event, now_s: float) -> str | None:
        """Take the answer to a command. Returns what a person should know of it. Raises `Unreadable`."""
        asked = self._asked.pop(text(event.data, "cmd_id"), None)
        if asked is None or asked.gateway != event.gateway:
            return None
        if text(event.data, "result") == "done":
            self._done(asked, mapping(event.data, "args"))
            return None
        return self._refused(asked, text(event.data, "code"), str(event.data.get("message", "")), now_s)

    def _done(self, asked: Asked, args: dict[str, Any]) -> None:
        for lane, ranges in asked.ranges.items():
            account = self._account.lanes[lane]
            if asked.verb == "confirm":
                for range_ in ranges:
                    account.confirmed.add(*range_)
            else:
                for each in _dropped(args):
                    account.give_up(*each)
            self._account.touch(lane)

    def _refused(self, asked: Asked, code: str, message: str, now_s: float) -> str | None:
        pace = self._pace(asked.gateway)
        if asked.verb == "resend" and code in GONE:
            for lane, ranges in asked.ranges.items():
                for range_ in ranges:
                    self._account.lanes[lane].give_up(code, *range_)
                self._account.touch(lane)
        elif asked.verb == "resend" and code != BUSY:
            pace.resend_at_s = now_s + REFUSED_S
        elif asked.verb == "confirm" and code == NOT_CONFIRMING:
            self._account.gateways[asked.gateway].confirming = False
        elif asked.verb == "confirm" and code == UNKNOWN_EPOCH:
            self._settled.update(asked.ranges)
        elif asked.verb == "confirm":
            pace.confirm_at_s = now_s + REFUSED_S
        if code in GONE or code == BUSY:
            return None
        return f"{asked.gateway} refused `{asked.verb}` ({code}): {message}"

    def _pace(self, source: str) -> _Pace:
        return self._paces.setdefault(source, _Pace())

    def _confirmations(self, gateway: GatewayAccount, pace: _Pace, wall_s: float, now_s: float) -> Iterator[Message]:
        """One command for each epoch that has something new."""
        epochs: dict[str, dict[Lane, tuple[Range, ...]]] = {}
        for account in self._account.of(gateway.source):
            ranges = tuple(account.to_confirm().minus(self._under_way("confirm", account.lane)))
            if ranges and account.lane not in self._settled:
                epochs.setdefault(account.lane.epoch, {})[account.lane] = ranges[:CONFIRM_RANGES_MAX]
        for epoch, lanes in epochs.items():
            pace.confirm_at_s = now_s + CONFIRM_EVERY_S
            args = {"epoch": epoch, "ranges": {lane.stream: ranges for lane, ranges in lanes.items()}}
            yield self._command(gateway, "confirm", args, lanes, wall_s, now_s)

    def _resends(self, gateway: GatewayAccount, pace: _Pace, wall_s: float, now_s: float) -> Iterator[Message]:
        pace.resend_at_s = now_s + RESEND_LOOK_S
        pace.resent = [each for each in pace.resent if each[2] > now_s - RESEND_AGAIN_S]
        free = RESENDS_MAX - sum(
            asked.verb == "resend" and asked.gateway == gateway.source for asked in self._asked.values()
        )
        for lane, range_ in self._lacking(gateway, pace):
            if free <= 0:
                return
            free -= 1
            pace.resent.append((lane, range_, now_s))
            args = {"epoch": lane.epoch, "stream": lane.stream, "from": range_[0], "to": range_[1]}
            yield self._command(gateway, "resend", args, {lane: (range_,)}, wall_s, now_s)

    def _lacking(self, gateway: GatewayAccount, pace: _Pace) -> Iterator[tuple[Lane, Range]]:
        """What was not asked for lately, in pieces that one command may ask for."""
        for account in self._account.of(gateway.source):
            lately = Ranges(range_ for lane, range_, _ in pace.resent if lane == account.lane)
            for first, last in wanted(account).minus(lately).minus(self._under_way("resend", account.lane)):
                for begin in range(first, last + 1, RESEND_SEQUENCES_MAX):
                    yield account.lane, (begin, min(last, begin + RESEND_SEQUENCES_MAX - 1))

    def _under_way(self, verb: str, lane: Lane) -> Ranges:
        return Ranges(
            range_
            for asked in self._asked.values()
            if asked.verb == verb and lane in asked.ranges
            for range_ in asked.ranges[lane]
        )

    def _command(
        self,
        gateway: GatewayAccount,
        verb: str,
        args: dict[str, Any],
        ranges: dict[Lane, tuple[Range, ...]],
        wall_s: float,
        now_s: float,
    ) -> Message:
        self._count += 1
        cmd_id = f"{self._unique}-{self._count}"
        self._asked[cmd_id] = Asked(gateway.source, verb, ranges, now_s)
        body = {
            "cmd_id": cmd_id,
            "issued_at": _rfc3339(wall_s),
            "expires_at": _rfc3339(wall_s + EXPIRES_S),
            "actor": self._actor,
            "args": args,
        }
        return Message(f"{gateway.base}cmd/{verb}", json.dumps(body, separators=(",", ":")).encode())


def wanted(account: LaneAccount) -> Ranges:
    """The sequences to ask for: gaps, and where records lack of which nobody knows the number, all that may be them."""
    ranges = Ranges()
    for verdict in account.verdicts():
        spans = list(verdict.gaps)
        if verdict.candidates.first is not None and verdict.candidates.last is not None:
            spans.append((verdict.candidates.first, verdict.candidates.last))
        for span in spans:
            ranges.add(*span)
    return ranges


def _dropped(args: dict[str, Any]) -> Iterator[tuple[str, int, int]]:
    """Reason, first and last of what the gateway could not send again. Raises `Unreadable`."""
    dropped = args.get("dropped", [])
    if not isinstance(dropped, list):
        raise Unreadable("`dropped` is no list")
    for each in dropped:
        if not isinstance(each, dict):
            raise Unreadable("`dropped` holds no ranges")
        told = missing(each)
        yield told.reason, told.first, told.last


def _rfc3339(wall_s: float) -> str:
    return datetime.fromtimestamp(wall_s, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"
