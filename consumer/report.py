"""The completeness report: what arrived, what lacks, and what the gateway itself says is lost. Frozen; text and JSON.

COMPLETE: nothing lacks below any watermark but what the gateway named as lost. GAPS: something does. UNKNOWN: there is
a stream without a watermark yet, or nothing at all was heard.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Iterable

    from consumer.account import Account
    from consumer.lanes import Condition, GatewayAccount, LaneAccount
    from consumer.ranges import Range

Completeness = Literal["COMPLETE", "GAPS", "UNKNOWN"]
Language = Literal["zh", "en"]

_RANK = {stream: rank for rank, stream in enumerate(("critical", "alarm", "state", "audit", "telemetry"))}

GAPS_SHOWN_MAX = 100
"""Of one stream and epoch; `gap_records` counts all."""


@dataclass(frozen=True, slots=True)
class Loss:
    """`records` between two sequences that the gateway says will not come; `reason` is its word for why."""

    first: int
    last: int
    records: int
    reason: str


@dataclass(frozen=True, slots=True)
class LaneReport:
    """One stream in one epoch. `complete_to` is the newest watermark (None: none yet), `later` what came beyond it.

    `gaps` are sequences that lack, `unplaced` counts records that lack without saying which. `backlog` is what the
    gateway has still to send, by its watermark.
    """

    stream: str
    epoch: str
    verdict: Completeness
    received: int
    duplicates: int
    first: int | None
    last: int | None
    complete_to: int | None
    later: int
    gap_records: int
    gaps: tuple[Range, ...]
    unplaced: int
    lost_records: int
    lost: tuple[Loss, ...]
    confirmed: int
    backlog: int
    live_from: int | None


@dataclass(frozen=True, slots=True)
class EpochReport:
    """An epoch and the one before it, where that is known."""

    epoch: str
    previous: str | None


@dataclass(frozen=True, slots=True)
class GatewayReport:
    """One gateway; `online` is its status as the broker told it last, `conditions` what it said of its health last.

    Without a snapshot of its alarms (`alarms_all` is false) those are not known that stood before and did not change.
    """

    gateway: str
    verdict: Completeness
    online: bool | None
    alarms_standing: int
    alarms_all: bool
    conditions: tuple[Condition, ...]
    epochs: tuple[EpochReport, ...]
    streams: tuple[LaneReport, ...]


@dataclass(frozen=True, slots=True)
class Report:
    """Of all gateways. `unreadable` messages were no events; `unaccounted` were stored beyond the account's limits."""

    verdict: Completeness
    received: int
    duplicates: int
    gap_records: int
    lost_records: int
    unreadable: int
    unaccounted: int
    gateways: tuple[GatewayReport, ...]


def report(account: Account) -> Report:
    gateways = tuple(_gateway(gateway, account.of(gateway.source)) for gateway in account.gateways.values())
    lanes = [lane for gateway in gateways for lane in gateway.streams]
    return Report(
        verdict=_worst(gateway.verdict for gateway in gateways),
        received=sum(lane.received for lane in lanes),
        duplicates=sum(lane.duplicates for lane in lanes),
        gap_records=sum(lane.gap_records for lane in lanes),
        lost_records=sum(lane.lost_records for lane in lanes),
        unreadable=account.unreadable,
        unaccounted=account.unaccounted,
        gateways=gateways,
    )


def _gateway(gateway: GatewayAccount, lanes: list[LaneAccount]) -> GatewayReport:
    age = {epoch: index for index, epoch in enumerate(gateway.epochs)}
    streams = tuple(_lane(lane) for lane in sorted(lanes, key=lambda lane: _place(lane, age)))
    return GatewayReport(
        gateway=gateway.source,
        verdict=_worst(lane.verdict for lane in streams),
        online=gateway.online,
        alarms_standing=gateway.alarms.standing,
        alarms_all=gateway.alarms.snapshot_as_of is not None,
        conditions=gateway.conditions,
        epochs=tuple(EpochReport(epoch, previous) for epoch, previous in gateway.epochs.items()),
        streams=streams,
    )


def _place(account: LaneAccount, age: dict[str, int]) -> tuple[object, ...]:
    """Epochs as they were heard of, streams as they are sent."""
    lane = account.lane
    return age.get(lane.epoch, -1), lane.epoch, _RANK.get(lane.stream, len(_RANK)), lane.stream


def _lane(account: LaneAccount) -> LaneReport:
    verdicts = account.verdicts()
    worst = max(verdicts, key=lambda verdict: verdict.records, default=None)
    marks = account.marks.values()
    complete_to = max((mark.complete_to for mark in marks), default=None)
    lost = tuple(sorted(_lost(account), key=lambda loss: (loss.first, loss.last)))
    return LaneReport(
        stream=account.lane.stream,
        epoch=account.lane.epoch,
        verdict="UNKNOWN" if worst is None else "GAPS" if worst.records else "COMPLETE",
        received=account.received.count,
        duplicates=account.duplicates,
        first=account.received.first,
        last=account.received.last,
        complete_to=complete_to,
        later=account.received.within((complete_to or 0) + 1, account.received.last or 0).count,
        gap_records=worst.records if worst else 0,
        gaps=tuple(worst.gaps)[:GAPS_SHOWN_MAX] if worst else (),
        unplaced=worst.unplaced if worst else 0,
        lost_records=sum(loss.records for loss in lost),
        lost=lost,
        confirmed=account.confirmed.count,
        backlog=max((mark.backlog for mark in marks), default=0),
        live_from=next((mark.live_from for mark in marks if mark.live_from is not None), None),
    )


def _lost(account: LaneAccount) -> Iterable[Loss]:
    """By the watermark's word, and by answers to our own requests where the watermark does not say it too."""
    told = {each for mark in account.marks.values() for each in mark.missing}
    for each in told:
        yield Loss(each.first, each.last, each.records, each.reason)
    for each in account.excuses:
        yield Loss(each.first, each.last, each.records, each.reason)
    for reason, ranges in account.gone.items():
        for first, last in ranges.minus(account.received).minus(sorted((each.first, each.last) for each in told)):
            yield Loss(first, last, last - first + 1, reason)


def _worst(verdicts: Iterable[Completeness]) -> Completeness:
    found = set(verdicts)
    return "GAPS" if "GAPS" in found else "UNKNOWN" if "UNKNOWN" in found or not found else "COMPLETE"


def lines(told: Report, language: Language = "en") -> Iterable[str]:
    """For people, in columns."""
    words = WORDS[language]
    for gateway in told.gateways:
        online = words[{True: "online", False: "offline", None: "status unknown"}[gateway.online]]
        of_those = "alarms standing" if gateway.alarms_all else "alarms standing of those that changed"
        standing = f"{gateway.alarms_standing} {words[of_those]}"
        yield f"{gateway.gateway}: {words[gateway.verdict]}, {online}, {standing}"
        for each in gateway.conditions:
            severity = words.get(each.severity, each.severity)
            yield f"  {severity}: {each.target}: {each.zh if language == 'zh' else each.en} ({each.code})"
        yield f"  {_cell(words['epoch'], -10)} {_cell(words['stream'], -10)}" + _cells(words[name] for name in _COLUMNS)
        for lane in gateway.streams:
            yield from _lane_lines(lane, words)
    counts = {
        "records received": told.received,
        "duplicates": told.duplicates,
        "missing": told.gap_records,
        "lost by the account of the gateway": told.lost_records,
        "messages were no events": told.unreadable,
        "stored beyond the limits of the account": told.unaccounted,
    }
    shown = [f"{count} {words[name]}" for name, count in counts.items() if count or name in _ALWAYS]
    yield f"{words[told.verdict]}: {', '.join(shown)}"


_COLUMNS = ("received", "duplicates", "complete to", "later", "missing", "lost", "confirmed")
_ALWAYS = frozenset({"records received", "duplicates", "missing"})

_CHINESE = {
    "COMPLETE": "完整",
    "GAPS": "有缺失",
    "UNKNOWN": "未知",
    "online": "在线",
    "offline": "离线",
    "status unknown": "状态未知",
    "alarms standing": "条未恢复报警",
    "alarms standing of those that changed": "条未恢复报警（未收到快照，仅含有变化的）",
    "error": "错误",
    "warning": "警告",
    "info": "提示",
    "epoch": "纪元",
    "stream": "流",
    "received": "已收",
    "duplicates": "重复",
    "complete to": "完整至",
    "later": "其后",
    "missing": "缺失",
    "lost": "丢弃",
    "confirmed": "已确认",
    "records received": "条已收",
    "lost by the account of the gateway": "条由网关声明丢弃",
    "messages were no events": "条消息不是事件",
    "stored beyond the limits of the account": "条已存但超出账目上限",
    "never arrived": "从未到达",
    "more, by the count of the gateway": "条（按网关计数）",
    "in": "位于",
    "still to be sent by the gateway": "网关待发",
}
WORDS: dict[Language, dict[str, str]] = {"zh": _CHINESE, "en": {word: word for word in _CHINESE}}


def _lane_lines(lane: LaneReport, words: dict[str, str]) -> Iterable[str]:
    complete_to = "-" if lane.complete_to is None else lane.complete_to
    numbers = (
        lane.received,
        lane.duplicates,
        complete_to,
        lane.later,
        lane.gap_records,
        lane.lost_records,
        lane.confirmed,
    )
    yield f"  {_cell(lane.epoch, -10)} {_cell(lane.stream, -10)}" + _cells(map(str, numbers))
    if lane.gaps:
        more = " …" if len(lane.gaps) == GAPS_SHOWN_MAX else ""
        yield f"    {words['never arrived']}: {', '.join(map(_span, lane.gaps))}{more}"
    if lane.unplaced:
        yield f"    {words['never arrived']}: {lane.unplaced} {words['more, by the count of the gateway']}"
    for loss in lane.lost:
        yield f"    {words['lost']}, {loss.reason}: {loss.records} {words['in']} {_span((loss.first, loss.last))}"
    if lane.backlog:
        yield f"    {words['still to be sent by the gateway']}: {lane.backlog}"


def _cells(texts: Iterable[str]) -> str:
    return "".join(_cell(text, 12) for text in texts)


def _cell(text: str, wide: int) -> str:
    """To the right, or with a negative width to the left; a Chinese character takes two columns."""
    columns = sum(2 if unicodedata.east_asian_width(letter) in "WF" else 1 for letter in text)
    space = " " * (abs(wide) - columns)
    return space + text if wide > 0 else text + space


def _span(span: Range) -> str:
    return f"{span[0]}" if span[0] == span[1] else f"{span[0]}-{span[1]}"
