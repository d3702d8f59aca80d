"""The account against a model of sets: whatever order, doubles, epochs, losses and restarts there are."""

from __future__ import annotations

import contextlib
import json
import re
from dataclasses import dataclass, field
from typing import Any

import pytest
from consumer_peer import (
    BASE,
    SOURCE,
    begin,
    encode,
    envelope,
    lost,
    mark,
    projection,
    read,
    record,
    status,
    watermark,
)
from hypothesis import given
from hypothesis import strategies as st

from consumer import account as account_module
from consumer import lanes as lanes_module
from consumer.account import Account
from consumer.events import Lane, Unreadable
from consumer.report import LaneReport, lines, report
from consumer.requests import wanted
from consumer.saved import Changes

LAST = 30

numbers = st.sets(st.integers(1, LAST), max_size=12)


@dataclass
class World:
    """What happened in one stream: `sent` of it passes the filter, `given_up` will never come, the rest may arrive."""

    sent: set[int]
    given_up: set[int]
    arrivals: list[int]
    complete_to: int
    restarts: set[int] = field(default_factory=set)

    @property
    def due(self) -> set[int]:
        """What was handed over up to the mark."""
        return {number for number in self.sent - self.given_up if number <= self.complete_to}


@st.composite
def worlds(draw: st.DrawFn, *, filtered: bool = False) -> World:
    sent = draw(numbers) if filtered else set(range(1, LAST + 1))
    given_up = draw(numbers) & sent
    pool = sorted(sent - given_up)
    arrivals = draw(st.lists(st.sampled_from(pool), max_size=60)) if pool else []
    return World(sent, given_up, arrivals, draw(st.integers(0, LAST)), draw(st.sets(st.integers(0, 60), max_size=3)))


def missing_of(world: World) -> list[dict[str, Any]]:
    """One open range, as a gateway tells it."""
    below = {number for number in world.given_up if number <= world.complete_to}
    return [lost(min(below), max(below), len(below))] if below else []


def again(account: Account) -> Account:
    """The account after a restart: through JSON, as a file keeps it."""
    saved = account.changes()
    texts = [json.dumps(list(rows.items())) for rows in (saved.lanes, saved.gateways, saved.alarms)]
    lanes, gateways, alarms = (json.loads(text) for text in texts)
    return Account(
        Changes(
            {tuple(key): row for key, row in lanes},
            dict(gateways),
            {tuple(key): row for key, row in alarms},
        )
    )


def run(world: World, told: bytes) -> LaneReport:
    """The report of the only stream after the world and its watermark."""
    account = Account()
    for index, number in enumerate(world.arrivals):
        if index in world.restarts:
            account = again(account)
        account.take(read(record("telemetry", number)))
    account.take(read(told))
    return the_lane(again(account))


def the_lane(account: Account) -> LaneReport:
    ((lane,),) = (gateway.streams for gateway in report(account).gateways)
    return lane


@given(worlds())
def test_without_a_filter_every_gap_has_its_number(world: World) -> None:
    """Received, duplicates and what lacks agree with sets, in any order and across restarts."""
    missing = missing_of(world)
    lane = run(world, watermark(mark("telemetry", world.complete_to, missing=missing)))
    arrived = set(world.arrivals)
    assert lane.received == len(arrived)
    assert lane.duplicates == len(world.arrivals) - len(arrived)
    absent = world.due - arrived
    assert lane.gap_records == len(absent)
    told = {number for first, last in lane.gaps for number in range(first, last + 1)}
    inside = range(missing[0]["first"], missing[0]["last"] + 1) if missing else range(0)
    assert told == absent - set(inside)
    assert lane.unplaced == len(absent & set(inside))
    assert lane.later == len({number for number in arrived if number > world.complete_to})
    assert lane.verdict == ("GAPS" if absent else "COMPLETE")
    assert lane.lost_records == sum(each["records"] for each in missing)


@given(worlds(filtered=True))
def test_with_a_filter_the_count_tells_what_lacks(world: World) -> None:
    """The gateway says how many, not which: no gap is invented and none is overlooked."""
    told = mark("telemetry", world.complete_to, missing=missing_of(world), count=len(world.due))
    lane = run(world, watermark(told))
    assert lane.gap_records == len(world.due - set(world.arrivals))


@given(worlds(), st.sampled_from([False, True]))
def test_what_is_asked_for_again_holds_all_that_lacks(world: World, filtered: bool) -> None:
    """A resend of it closes every gap."""
    if filtered:
        world.sent = {number for number in world.sent if number % 3}
        world.arrivals = [number for number in world.arrivals if number in world.sent]
        world.given_up &= world.sent
    account = Account()
    for number in world.arrivals:
        account.take(read(record("telemetry", number)))
    told = mark("telemetry", world.complete_to, missing=missing_of(world), count=len(world.due))
    account.take(read(watermark(told)))
    (lane,) = account.lanes.values()
    asked = wanted(lane)
    assert world.due - set(world.arrivals) <= {number for span in asked for number in range(span[0], span[1] + 1)}
    for number in world.due:
        account.take(read(record("telemetry", number)))
    assert the_lane(account).verdict == "COMPLETE"
    assert not wanted(lane)


def test_before_the_first_watermark_nothing_is_known() -> None:
    """A hole is no gap yet, and no hole is no proof."""
    account = Account()
    account.take(read(record("alarm", 7)))
    assert report(account).verdict == "UNKNOWN"
    assert report(Account()).verdict == "UNKNOWN"
    account.take(read(watermark(mark("alarm", 6, missing=[lost(1, 6)]))))
    assert report(account).verdict == "COMPLETE"


def test_one_uplinks_count_does_not_excuse_another() -> None:
    """Two uplinks with different filters speak of one stream: each is held to its own word."""
    account = Account()
    account.take(read(record("alarm", 2)))
    account.take(read(watermark(mark("alarm", 3), uplink="all")))
    account.take(read(watermark(mark("alarm", 3, count=1), uplink="red-only")))
    lane = the_lane(account)
    assert lane.gaps == ((1, 1), (3, 3))


def test_overlapping_losses_are_counted_together() -> None:
    """One open range for each reason: they may lie across each other."""
    missing = [lost(1, 9, 4, "full"), lost(5, 12, 3, "refused")]
    account = Account()
    for number in (3, 6, 9, 10, 12):
        account.take(read(record("alarm", number)))
    account.take(read(watermark(mark("alarm", 12, missing=missing))))
    assert the_lane(account).verdict == "COMPLETE"
    account.take(read(watermark(mark("alarm", 12, missing=[lost(1, 9, 4, "full"), lost(5, 12, 2, "refused")]))))
    lane = the_lane(account)
    assert (lane.verdict, lane.gaps, lane.unplaced) == ("GAPS", (), 1)


def test_epochs_are_chained_and_the_end_of_one_is_held_against_it() -> None:
    """The next epoch names the last sequence: what the gateway has settled and forgotten may still lack here."""
    account = Account()
    for payload in (begin("alarm", "e1", None, None), record("alarm", 2), record("alarm", 4)):
        account.take(read(payload))
    account.take(read(watermark(mark("alarm", 2))))
    account.take(read(begin("alarm", "e2", "e1", 4)))
    account.take(read(watermark(mark("alarm", 1, epoch="e2"))))
    (gateway,) = report(account).gateways
    assert [(epoch.epoch, epoch.previous) for epoch in gateway.epochs] == [("e1", None), ("e2", "e1")]
    old, new = gateway.streams
    assert (old.epoch, old.verdict, old.gaps) == ("e1", "GAPS", ((3, 3),))
    assert (new.epoch, new.verdict) == ("e2", "COMPLETE")
    account.take(read(record("alarm", 3)))
    assert report(account).verdict == "COMPLETE"


def test_an_epoch_that_was_missed_as_a_whole_is_a_gap() -> None:
    """Its name is in the chain, its records never came."""
    account = Account()
    account.take(read(begin("alarm", "e1", None, None)))
    account.take(read(begin("alarm", "e3", "e2", 5)))
    account.take(read(watermark(mark("alarm", 1, epoch="e3"), mark("alarm", 1, epoch="e1"))))
    told = {lane.epoch: lane for lane in report(account).gateways[0].streams}
    assert told["e2"].gap_records == 5


def test_the_first_epoch_that_is_heard_of_owes_nothing_of_those_before() -> None:
    """A consumer that comes to an old gateway does not miss what was before its time."""
    account = Account()
    account.take(read(begin("alarm", "e7", "e6", 5000)))
    account.take(read(watermark(mark("alarm", 1, epoch="e7"))))
    assert report(account).verdict == "COMPLETE"


def test_from_now_expects_nothing_that_was_sent_before() -> None:
    """Without a filter and with one; but everything that comes after."""
    account = Account(from_now=True)
    account.take(read(record("alarm", 90)))
    account.take(read(watermark(mark("alarm", 91), mark("state", 50), mark("telemetry", 400, count=40))))
    told = {lane.stream: lane for lane in report(account).gateways[0].streams}
    assert (told["alarm"].gaps, told["state"].verdict, told["telemetry"].verdict) == (
        ((91, 91),),
        "COMPLETE",
        "COMPLETE",
    )
    account.take(read(watermark(mark("alarm", 91), mark("state", 52), mark("telemetry", 410, count=42))))
    told = {lane.stream: lane for lane in report(account).gateways[0].streams}
    assert (told["state"].gaps, told["telemetry"].unplaced) == (((51, 52),), 2)


def test_what_the_gateway_has_no_more_is_lost_and_no_gap() -> None:
    """Its answer to our request counts as much as its watermark, until the record comes after all."""
    account = Account()
    account.take(read(watermark(mark("alarm", 3))))
    lane = account.lanes[Lane(SOURCE, "e1", "alarm")]
    lane.give_up("not_kept", 1, 3)
    told = the_lane(account)
    assert (told.verdict, told.lost_records, told.lost[0].reason) == ("COMPLETE", 3, "not_kept")
    account.take(read(record("alarm", 2)))
    assert the_lane(account).lost_records == 2


def test_a_duplicate_is_confirmed_anew() -> None:
    """Whoever sends again does not know that it was confirmed."""
    account = Account()
    for number in (1, 2, 3):
        account.take(read(record("alarm", number)))
    (lane,) = account.lanes.values()
    lane.confirmed.add(1, 3)
    assert not lane.to_confirm()
    account.take(read(record("alarm", 2)))
    assert list(lane.to_confirm()) == [(2, 2)]
    lane.confirmed.add(2, 2)
    account.take(read(watermark(mark("alarm", 3, confirmed_to=1))))
    assert list(lane.to_confirm()) == [(2, 3)]


def test_an_older_will_does_not_hide_a_newer_birth() -> None:
    """The number of the connection decides, not the order of arrival."""
    account = Account()
    account.take(read(status("online", 7)))
    account.take(read(status("offline", 6)))
    assert report(account).gateways[0].online is True
    account.take(read(status("offline", 7)))
    assert report(account).gateways[0].online is False


def test_beyond_the_limits_gaps_may_be_too_many_but_never_too_few(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the account cannot hold is stored, counted apart, and never taken for received."""
    monkeypatch.setattr(lanes_module, "RANGES_MAX", 3)
    account = Account()
    assert [account.take(read(record("alarm", number))) for number in (1, 3, 5, 7, 6)] == [True] * 5
    account.take(read(watermark(mark("alarm", 7))))
    told = the_lane(account)
    assert (told.received, told.gaps) == (4, ((2, 2), (4, 4), (7, 7)))
    assert report(account).unaccounted == 1
    monkeypatch.setattr(account_module, "LANES_MAX", 1)
    assert account.take(read(record("state", 1)))
    assert report(account).unaccounted == 2
    monkeypatch.setattr(account_module, "GATEWAYS_MAX", 1)
    other = json.loads(record("state", 1)) | {"source": "/site/h01/gw/gw-2/stream/state"}
    assert account.take(read(encode(other)))
    assert report(account).unaccounted == 3


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"\xff\xfe",
        b"null",
        b'"text"',
        b"[" * 100_000,
        b'{"id": "\\ud800"}',
        encode(envelope("alarm.transition", {}) | {"dataschema": "elsewhere"}),
        encode(envelope("alarm.transition", {}) | {"data": []}),
        encode(envelope("alarm.transition", {}) | {"sequence": "0000000000000001", "epoch": "e1"}),
        encode(json.loads(record("alarm", 1)) | {"sequence": "-1"}),
        encode(json.loads(record("alarm", 1)) | {"sequence": 1}),
        encode(json.loads(record("alarm", 1)) | {"sequence": "9" * 4400}),
        encode(json.loads(record("alarm", 1)) | {"epoch": ""}),
        b'{"id":"x\\uD800"}',
        watermark({"stream": "alarm"}),
        watermark(mark("alarm", -1)),
        watermark(mark("alarm", 1, count=True)),
        watermark(mark("alarm", 1, missing=[{"records": 1}], count=1)),
        watermark(mark("alarm", 1), uplink=""),
        encode(envelope("alarm.snapshot", {"part": 1, "of": 1, "alarms": []})),
        encode(envelope("gateway.status", {"state": "online", "connection": "1"})),
        encode(envelope("gateway.health", {"conditions": [{"code": "line_down"}]})),
    ],
)
def test_what_is_no_event_is_refused_and_changes_nothing(payload: bytes) -> None:
    """One kind of error for all of it."""
    account = Account()
    with pytest.raises(Unreadable):
        account.take(read(payload))
    assert not account.lanes


def test_the_newest_health_of_a_gateway_is_in_the_report() -> None:
    """What holds no more is gone with the next one; in the language of who reads it."""
    title = {"zh": "线路中断", "en": "Line down"}
    condition = {"code": "line_down", "severity": "error", "target": "rs485-1", "title": title}
    account = Account()
    assert not account.take(read(projection("gateway.health", {"conditions": [condition]})))
    assert "  error: rs485-1: Line down (line_down)" in lines(report(account))
    assert "  错误: rs485-1: 线路中断 (line_down)" in lines(report(account), "zh")
    account.take(read(projection("gateway.health", {"conditions": []})))
    assert report(account).gateways[0].conditions == ()


def test_a_record_with_a_body_that_makes_no_sense_still_has_its_number() -> None:
    """It was received: asking for it for ever would not make it better."""
    account = Account()
    assert account.take(read(record("alarm", 1, kind="alarm.transition", data={"n": "one"})))
    account.take(read(watermark(mark("alarm", 1))))
    assert report(account).verdict == "COMPLETE"
    assert report(account).unreadable == 1
    assert "`text` is missing" in account.complaint


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(
                    [
                        "uplink",
                        "streams",
                        "stream",
                        "epoch",
                        "complete_to",
                        "missing",
                        "as_of",
                        "part",
                        "of",
                        "alarms",
                        "n",
                    ]
                ),
                inner,
                max_size=6,
            )
        ),
        max_leaves=20,
    ),
    st.sampled_from(["stream.watermark", "alarm.snapshot", "gateway.status", "alarm.transition"]),
)
def test_no_body_breaks_the_account(data: object, kind: str) -> None:
    """It is taken or refused."""
    account = Account()
    with contextlib.suppress(Unreadable):
        account.take(read(encode(envelope(kind, {"x": data} if not isinstance(data, dict) else data))))
    list(lines(report(account)))


def test_the_topic_is_where_commands_go(monkeypatch: pytest.MonkeyPatch) -> None:
    """Root, site and gateway, whatever stands behind them."""
    account = Account()
    account.take(read(record("alarm", 1), BASE + "alarm/red/medgas-area/icu-3"))
    assert account.gateways[SOURCE].base == BASE


def test_the_report_says_everything_in_both_languages() -> None:
    """One line for each stream, one for each loss and hole, one for all."""
    account = Account()
    account.refuse("nonsense")
    account.take(read(status()))
    for number in (1, 4, 4, 9):
        account.take(read(record("alarm", number)))
    account.take(read(watermark(mark("alarm", 8, missing=[lost(5, 6)], backlog=3), mark("telemetry", 9, count=2))))
    last = "GAPS: 3 records received, 1 duplicates, 6 missing, 2 lost by the account of the gateway"
    last += ", 1 messages were no events"
    english, chinese = list(lines(report(account))), list(lines(report(account), "zh"))
    assert english == [
        "/site/h01/gw/gw-1: GAPS, online, 0 alarms standing of those that changed",
        "  epoch      stream        received  duplicates complete to       later     missing        lost   confirmed",
        "  e1         alarm                3           1           8           1           4           2           0",
        "    never arrived: 2-3, 7-8",
        "    lost, full: 2 in 5-6",
        "    still to be sent by the gateway: 3",
        "  e1         telemetry            0           0           9           0           2           0           0",
        "    never arrived: 2 more, by the count of the gateway",
        last,
    ]
    assert len(chinese) == len(english)
    assert (
        chinese[1]
        == "  纪元       流                已收        重复      完整至        其后        缺失        丢弃      已确认"
    )
    assert not re.search(r"[a-z]{4,} [a-z]{4,}", "".join(chinese))
