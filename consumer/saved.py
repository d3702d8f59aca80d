"""What a restart of the consumer needs, as rows of JSON: from the account, and back to it. Pure."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from consumer.alarms import AlarmState
from consumer.events import AsOf, Lane
from consumer.lanes import GatewayAccount, LaneAccount
from consumer.ranges import Ranges
from consumer.watermark import Mark, Missing

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Changes:
    """Rows that a restart needs, each by its key; a newer row replaces an older one. Everything in them is JSON."""

    lanes: dict[tuple[str, str, str], Row] = field(default_factory=dict)
    gateways: dict[str, Row] = field(default_factory=dict)
    alarms: dict[tuple[str, str], Row] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.lanes or self.gateways or self.alarms)

    def update(self, newer: Changes) -> None:
        self.lanes.update(newer.lanes)
        self.gateways.update(newer.gateways)
        self.alarms.update(newer.alarms)


def lane_row(account: LaneAccount) -> Row:
    return {
        **asdict(account.lane),
        "received": list(account.received),
        "confirmed": list(account.confirmed),
        "gone": {reason: list(ranges) for reason, ranges in account.gone.items()},
        "marks": {uplink: asdict(mark) for uplink, mark in account.marks.items()},
        "duplicates": account.duplicates,
        "start": account.start,
        "excused": account.excused,
        "final": account.final,
        "excuses": [asdict(each) for each in account.excuses],
    }


def lane_account(row: Row) -> LaneAccount:
    return LaneAccount(
        Lane(row["source"], row["epoch"], row["stream"]),
        Ranges(row["received"]),
        Ranges(row["confirmed"]),
        {reason: Ranges(ranges) for reason, ranges in row["gone"].items()},
        {uplink: _mark(mark) for uplink, mark in row["marks"].items()},
        row["duplicates"],
        row["start"],
        row["excused"],
        row["final"],
        [Missing(**each) for each in row["excuses"]],
    )


def _mark(row: Row) -> Mark:
    return Mark(**(row | {"missing": tuple(Missing(**each) for each in row["missing"])}))


def gateway_row(account: GatewayAccount) -> Row:
    as_of = account.alarms.snapshot_as_of
    return {
        "source": account.source,
        "base": account.base,
        "epochs": account.epochs,
        "marked": account.marked,
        "connection": account.connection,
        "online": account.online,
        "snapshot_as_of": None if as_of is None else asdict(as_of),
    }


def gateway_account(row: Row) -> GatewayAccount:
    account = GatewayAccount(row["source"], row["base"], row["epochs"], row["marked"], row["connection"], row["online"])
    if row["snapshot_as_of"] is not None:
        account.alarms.snapshot_as_of = AsOf(**row["snapshot_as_of"])
    return account


def alarm_row(alarm: AlarmState) -> Row:
    return asdict(alarm)


def alarm_state(row: Row) -> AlarmState:
    return AlarmState(**(row | {"as_of": AsOf(**row["as_of"])}))
