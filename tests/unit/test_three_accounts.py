"""The judge of the restart matrix is judged: each way in which the accounts may differ is told, and none is made up."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from typing import Any

import pytest
from accounting import Account, Arrival
from three_accounts import GatewaysOwn, alarm_disagreements, disagreements

LANE = ("e1", "telemetry")
ALARM = "energy/m1/r0#high"
OWN = GatewaysOwn({LANE: 3}, unsettled=1, confirmed_at_rest=2, standing={ALARM: "gw-1/a/1"})


def found(records: int = 3) -> Account:
    """What the consumer's file holds."""
    lanes: dict[tuple[str, str], dict[int, Arrival]] = defaultdict(dict)
    lanes[LANE] = {n: Arrival(n, 0.0, "t", retain=False, payload="", event={}) for n in range(1, records + 1)}
    return Account(lanes)


def report(**changes: Any) -> dict[str, Any]:
    """A complete one; `changes` of the whole or of its one lane."""
    lane: dict[str, Any] = {"epoch": "e1", "stream": "telemetry", "received": 3, "complete_to": 3, "confirmed": 2}
    lane["lost_records"] = 0
    whole: dict[str, Any] = {"verdict": "COMPLETE", "gap_records": 0, "unreadable": 0, "unaccounted": 0}
    lane |= {key: value for key, value in changes.items() if key in lane}
    whole |= {key: value for key, value in changes.items() if key not in lane}
    return whole | {"gateways": [{"streams": [lane]}]}


def test_equal_accounts_are_not_accused() -> None:
    """What the gateway said after its last confirmation may wait for the next."""
    assert disagreements(report(), OWN, found(), OWN.standing) == []


@pytest.mark.parametrize(
    "change",
    [
        {"verdict": "UNKNOWN"},
        {"gap_records": 1},
        {"unreadable": 1},
        {"unaccounted": 1},
        {"received": 2},
        {"complete_to": 2},
        {"complete_to": None},
        {"confirmed": 3},
        {"confirmed": 1},
    ],
    ids=str,
)
def test_each_flaw_of_a_report_is_told(change: dict[str, Any]) -> None:
    """One sentence for each."""
    assert len(disagreements(report(**change), OWN, found(), OWN.standing)) == 1


def test_what_the_gateway_names_as_lost_is_no_disagreement_unless_the_report_has_other_figures() -> None:
    """Also not where it says that more is lost than is missing."""
    own = replace(OWN, lost={LANE: 1})
    assert disagreements(report(received=2, lost_records=1), own, found(2), OWN.standing) == []
    assert len(disagreements(report(received=2, lost_records=1), OWN, found(2), OWN.standing)) == 2
    assert len(disagreements(report(), own, found(), OWN.standing)) == 2


def test_what_a_report_lacks_or_the_file_does_not_hold_is_told() -> None:
    """A lane that only one side knows, a record too few or too many, a gateway that was never heard of."""
    other = replace(OWN, last={LANE: 3, ("e2", "telemetry"): 1}, unsettled=2)
    assert len(disagreements(report(), other, found(), OWN.standing)) == 1
    for records in (2, 4):
        assert len(disagreements(report(), OWN, found(records), OWN.standing)) == 1
    nobody = report() | {"gateways": []}
    assert len(disagreements(nobody, OWN, found(), OWN.standing)) == 3


def test_alarms_that_stand_on_one_side_only_are_told() -> None:
    """Also one that stands on both sides for different reasons."""
    for standing in ({}, {ALARM: "gw-1/a/2"}, {**OWN.standing, "other": "gw-1/b/1"}):
        assert len(disagreements(report(), OWN, found(), standing)) == 1


def test_alarms_raised_too_often_or_not_at_all_are_told() -> None:
    """Each by its name."""
    assert alarm_disagreements(["a", "b"], ["b", "a"]) == []
    assert alarm_disagreements(["a", "a"], ["a", "b"]) == [
        "a: raised although never reached, or twice",
        "b: reached and never raised",
    ]
