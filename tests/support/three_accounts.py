"""Three accounts of the same run, held against each other: the consumer's report, the gateway's own, the field's.

A sentence for each disagreement, an empty list where there is none. What the field served is compared by `accounting`;
here it is about records: how many there are, who has them, and who says so.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from accounting import Account, LaneKey

Report = dict[str, Any]
"""What `wardgate consume --json` printed."""


@dataclass(frozen=True, slots=True)
class GatewaysOwn:
    """What the gateway's journal holds after its end.

    `last` is the last sequence of each lane, `unsettled` what still waits for its confirmation, `confirmed_at_rest` how
    many records its status called confirmed when nothing was under way any more, `lost` what it says it had to drop.
    """

    last: Mapping[LaneKey, int]
    unsettled: int
    confirmed_at_rest: int
    standing: Mapping[str, str]
    lost: Mapping[LaneKey, int] = field(default_factory=dict)


def disagreements(report: Report, own: GatewaysOwn, found: Account, standing: Mapping[str, str]) -> list[str]:
    """`found` is what the consumer's file holds, `standing` the alarms that stand by its account."""
    return [
        *_verdict(report),
        *_lanes(report, own, {lane: len(records) for lane, records in found.lanes.items()}),
        *_confirmations(report, own),
        *_standing(own.standing, standing),
    ]


def _verdict(report: Report) -> Iterator[str]:
    if report["verdict"] != "COMPLETE":
        yield f"the consumer's report says {report['verdict']}"
    for what in ("gap_records", "unreadable", "unaccounted"):
        if report[what]:
            yield f"the consumer's report has {report[what]} {what}"
    if len(report["gateways"]) != 1:
        yield f"the consumer's report knows {len(report['gateways'])} gateways"


def _lanes(report: Report, own: GatewaysOwn, stored: Mapping[LaneKey, int]) -> Iterator[str]:
    """Every record that the gateway numbered is with the consumer, below its watermark and in its file, or named."""
    told = {(lane["epoch"], lane["stream"]): lane for lane in _streams(report)}
    for key in sorted(told.keys() | own.last.keys() | stored.keys()):
        lane = told.get(key, {"received": 0, "complete_to": None, "lost_records": 0})
        lost = own.lost.get(key, 0)
        counts = {
            "the gateway's last sequence": own.last.get(key, 0),
            "the watermark": lane["complete_to"],
            "received and lost by the report": lane["received"] + lane["lost_records"],
            "in the consumer's file, or lost by the gateway's account": stored.get(key, 0) + lost,
        }
        if len(set(counts.values())) > 1:
            yield f"{'/'.join(key)}: " + ", ".join(f"{what} {count}" for what, count in counts.items())
        if lane["lost_records"] != lost:
            yield f"{'/'.join(key)}: lost {lane['lost_records']} by the report, {lost} by the gateway's account"


def _confirmations(report: Report, own: GatewaysOwn) -> Iterator[str]:
    """The gateway counts nothing as confirmed that the consumer did not confirm, nor forgets what it has confirmed."""
    confirmed = sum(lane["confirmed"] for lane in _streams(report))
    settled = sum(own.last.values()) - own.unsettled
    if confirmed > settled:
        yield f"{confirmed} confirmed by the report, {settled} settled by the gateway"
    if confirmed < own.confirmed_at_rest:
        yield f"{confirmed} confirmed by the report, {own.confirmed_at_rest} by the gateway's status before its end"


def _standing(own: Mapping[str, str], consumer: Mapping[str, str]) -> Iterator[str]:
    for alarm in sorted(own.keys() | consumer.keys()):
        if own.get(alarm) != consumer.get(alarm):
            yield f"{alarm}: stands as {own.get(alarm)} at the gateway, as {consumer.get(alarm)} at the consumer"


def _streams(report: Report) -> list[dict[str, Any]]:
    return [lane for gateway in report["gateways"] for lane in gateway["streams"]]


def alarm_disagreements(raised: Iterable[str], reached: Iterable[str]) -> list[str]:
    """Alarms raised more or less often than their limits were reached by what was served."""
    surplus, lack = Counter(raised), Counter(reached)
    return [f"{alarm}: raised although never reached, or twice" for alarm in sorted(surplus - lack)] + [
        f"{alarm}: reached and never raised" for alarm in sorted(lack - surplus)
    ]
