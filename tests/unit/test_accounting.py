"""The judge is judged: each check of `accounting` finds what it is there for, and nothing where nothing is wrong."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from accounting import Arrival, Sample, Served, account, arrivals, compare, never_served, samples, schema_faults

if TYPE_CHECKING:
    from pathlib import Path

POINT = ("m1", "r0")
T0 = 1_763_694_907.412


def record(sequence: int, *values: Any, stream: str = "telemetry", order: int = 0) -> Arrival:
    """A batch of one point, one value a second."""
    rows = [{"p": "r0", "dt": n * 1000, "v": value, "why": "change"} for n, value in enumerate(values)]
    event = {
        "specversion": "1.0",
        "source": f"/site/h01/gw/gw-1/stream/{stream}",
        "id": f"gw-1-e1-{stream}-{sequence:016d}",
        "epoch": "e1",
        "time": "2025-11-21T03:15:07.412Z",
        "recordedtime": "2025-11-21T03:15:07.455Z",
        "sequence": f"{sequence:016d}",
        "type": "wardgate.telemetry.batch.v1",
        "clockstate": "synced",
        "test": False,
        "datacontenttype": "application/json",
        "subject": "energy/m1",
        "dataschema": "/schemas/telemetry.batch/1.0",
        "data": {
            "device": "m1",
            "system": "energy",
            "meta_ver": "c-1",
            "t0": "2025-11-21T03:15:07.412Z",
            "samples": rows,
        },
    }
    return Arrival(order, 0.0, "telemetry/energy/m1", retain=False, payload=json.dumps(event), event=event)


def renamed(arrival: Arrival, epoch: str) -> Arrival:
    """The same record in another epoch."""
    event = {**arrival.event, "epoch": epoch, "id": arrival.event["id"].replace("-e1-", f"-{epoch}-")}
    return replace(arrival, event=event, payload=json.dumps(event))


def begin(sequence: int, epoch: str, previous: str | None) -> Arrival:
    arrival = renamed(record(sequence), epoch)
    data = {"stream": "telemetry", "epoch": epoch, "prev_epoch": previous}
    return replace(arrival, event={**arrival.event, "type": "wardgate.stream.begin.v1", "data": data})


def transition(sequence: int, n: int, action: str, *, ended: bool = False) -> Arrival:
    arrival = record(sequence, stream="critical")
    data = {"occurrence_id": "gw-1/a#b/1", "n": n, "action": action, "ended": ended}
    event = {**arrival.event, "type": "wardgate.alarm.transition.v1", "data": data}
    return Arrival(0, 0.0, "alarm", retain=False, payload=json.dumps(event), event=event)


def test_a_whole_stream_has_no_fault_and_equal_duplicates_are_counted() -> None:
    """At least once is what was promised."""
    found = account([record(1, 7), record(2, 8), record(1, 7)], {("e1", "telemetry"): 2})
    assert found.faults == []
    assert found.duplicates == 1
    assert [sample.value for sample in samples(found)[POINT]] == [7, 8]


def test_a_gap_an_end_that_is_missing_and_a_stream_that_never_came_are_found() -> None:
    """Against the gateway's own account of its last sequences."""
    found = account([record(1), record(3)], {("e1", "telemetry"): 4, ("e1", "critical"): 1})
    assert found.faults == [
        "telemetry: 2 of 4 never arrived, such as [2, 4]",
        "critical: 1 of 1 never arrived, such as [1]",
    ]


def test_one_id_with_two_contents_and_an_id_of_another_record_are_found() -> None:
    """A sequence that was used twice can never be told from a duplicate otherwise."""
    stranger = record(2)
    stranger.event["id"] = record(9).event["id"]
    found = account([record(1, 7), record(1, 8), stranger], {("e1", "telemetry"): 2})
    assert found.faults == [
        "gw-1-e1-telemetry-0000000000000001 came twice with different contents",
        "gw-1-e1-telemetry-0000000000000009 does not name its epoch, stream and sequence",
    ]


def test_a_record_that_the_gateway_does_not_know_of_is_found() -> None:
    """Its journal was lost, or somebody else speaks in its name."""
    assert account([record(1), record(2)], {("e1", "telemetry"): 1}).faults == [
        "telemetry: [2] arrived beyond the gateway's own last, 1"
    ]


def test_what_a_new_epoch_sends_before_the_rest_of_the_old_one_is_told_apart() -> None:
    """Live values come before the backlog of the epoch that a silent disk has ended; each is counted by itself."""
    later = [begin(1, "e2", "e1"), renamed(record(2, 30), "e2"), begin(1, "e1", None), record(2, 10), record(3, 20)]
    own = {("e1", "telemetry"): 3, ("e2", "telemetry"): 2}
    found = account(later, own)
    assert found.faults == []
    assert [sample.value for sample in samples(found)[POINT]] == [10, 20, 30]
    assert account(later, {**own, ("e2", "telemetry"): 1}).faults == [
        "telemetry: [2] arrived beyond the gateway's own last, 1"
    ]
    assert len(account(later, {("e1", "telemetry"): 3}).faults) == 1


def test_an_alarm_that_is_raised_twice_or_goes_on_after_its_end_is_found() -> None:
    """Within one occurrence."""
    twice = account([transition(1, 1, "raise"), transition(2, 1, "raise")], {("e1", "critical"): 2})
    assert any("not raised once and first" in fault for fault in twice.faults)
    ended = [transition(1, 1, "raise"), transition(2, 2, "clear", ended=True), transition(3, 3, "retrigger")]
    assert any("goes on after its end" in fault for fault in account(ended, {("e1", "critical"): 3}).faults)


def test_lost_and_invented_values_are_told_apart_and_a_kill_excuses_only_what_was_fresh() -> None:
    """Served 1 2 3 4, said 1 3 5: only 4 was the last before the gateway's end, be it soon or late."""
    said = samples(account([record(1, 1, 3, 5)], {("e1", "telemetry"): 1}))
    served = {POINT: [Served(at, at) for at in (1.0, 2.0, 3.0, 4.0)]}
    found = compare(said, served)
    assert found.lost == [(POINT, 2.0), (POINT, 4.0)]
    assert len(found.invented) == 1
    assert found.excuse([40.0]).lost == [(POINT, 2.0)]
    assert found.excuse([2.5]).lost == [(POINT, 4.0)]
    assert found.excuse([3.5]).lost == found.lost
    assert compare(said, {POINT: [Served(0.0, value) for value in (1, 1, 3, 3, 5)]}).faults == []


def test_a_value_before_it_was_served_and_a_bad_one_that_has_a_value_are_found() -> None:
    """A truth value is no number, and a scaled number may differ in its last digit."""
    served = {POINT: [Served(T0, 0.3), Served(T0, True), Served(T0 + 9, 7)]}

    def judge(value: Any, quality: str = "good") -> int:
        return len(never_served({POINT: [Sample(T0 + 1, value, quality, "")]}, served))

    assert [judge(0.1 + 0.2), judge(True), judge(None, "bad")] == [0, 0, 0]
    assert [judge(7), judge(1), judge(0.31, "uncertain"), judge(0.3, "bad")] == [1, 1, 1, 1]


def test_an_event_that_breaks_its_schema_is_found_in_any_sample() -> None:
    """Also where only one of many samples is of the wrong kind."""
    assert schema_faults([record(1, 7, 8.5, True, None)]) == []
    assert len(schema_faults([record(1, 7, 8, [9])])) == 1


def test_the_file_of_the_receiver_is_read_in_order_without_cleared_topics(tmp_path: Path) -> None:
    """An empty retained message clears its topic and is no event."""
    file = tmp_path / "received.jsonl"
    lines = [
        {"t": 1.0, "topic": "a", "retain": False, "payload": "{}"},
        {"t": 2.0, "topic": "b", "retain": True, "payload": ""},
    ]
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert [arrival.topic for arrival in arrivals(file)] == ["a"]
