"""Which alarms stand, whatever order their events and snapshots come in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from consumer_peer import SOURCE, alarm, begin, read, record, snapshot
from hypothesis import given
from hypothesis import strategies as st

from consumer import alarms as alarms_module
from consumer.account import Account
from consumer.events import Unreadable

if TYPE_CHECKING:
    from consumer.alarms import AlarmState

A = "medgas.area/icu-3/o2_p#low"
B = "fire/fire-panel/zone-3#fire"


def transition(sequence: int, body: dict[str, Any], epoch: str = "e1") -> bytes:
    return record("critical", sequence, epoch=epoch, kind="alarm.transition", data=body)


def known(account: Account) -> dict[str, AlarmState]:
    return account.gateways[SOURCE].alarms.known


STORY = [
    transition(1, alarm(A, 1, 1)),
    transition(2, alarm(B, 1, 1)),
    transition(3, alarm(A, 1, 2, state="RTNUN")),
    transition(4, alarm(A, 1, 3, state="NORM", ended=True)),
    transition(5, alarm(B, 1, 2, state="ACKED")),
    transition(6, alarm(A, 2, 1)),
]


@given(st.lists(st.sampled_from(STORY), max_size=12).flatmap(lambda more: st.permutations(STORY + more)))
def test_the_newest_event_of_each_alarm_holds_in_any_order(events: list[bytes]) -> None:
    """Only a newer number within an occurrence, and only a newer occurrence, changes anything."""
    account = Account()
    for event in events:
        account.take(read(event))
    assert {(each.alarm_id, each.occurrence_id, each.n, each.state) for each in known(account).values()} == {
        (A, f"gw-1/{A}/2", 1, "UNACK"),
        (B, f"gw-1/{B}/1", 2, "ACKED"),
    }


@given(st.permutations(STORY), st.integers(0, len(STORY)))
def test_a_snapshot_and_the_events_around_it_agree_in_any_order(events: list[bytes], place: int) -> None:
    """What the snapshot contains already does not undo it, what is newer comes on top."""
    as_of = 4
    told = snapshot(alarm(B, 1, 1), as_of={"critical": as_of})
    account = Account()
    for event in [*events[:place], told, *events[place:]]:
        account.take(read(event))
    standing = {each.alarm_id: each.n for each in known(account).values() if not each.ended}
    assert standing == {A: 1, B: 2}


def test_what_a_snapshot_does_not_name_has_ended() -> None:
    """Its end was missed; but not what was raised after the snapshot."""
    account = Account()
    account.take(read(transition(1, alarm(A, 1, 1))))
    account.take(read(transition(9, alarm(B, 1, 1))))
    account.take(read(snapshot(as_of={"critical": 5})))
    assert {each.alarm_id: each.ended for each in known(account).values()} == {A: True, B: False}
    account.take(read(transition(2, alarm(A, 1, 2))))
    assert known(account)[A].ended


def test_a_snapshot_counts_when_all_its_parts_are_there() -> None:
    """Half of it would end alarms that the other half names; parts of another one do not fill it."""
    account = Account()
    account.take(read(transition(1, alarm(A, 1, 1))))
    account.take(read(transition(2, alarm(B, 1, 1))))
    account.take(read(snapshot(alarm(A, 1, 1), part=1, of=2, as_of={"critical": 2})))
    account.take(read(snapshot(alarm(B, 1, 1), part=2, of=2, as_of={"critical": 3})))
    assert account.gateways[SOURCE].alarms.snapshot_as_of is None
    account.take(read(snapshot(part=1, of=2, as_of={"critical": 3})))
    assert {each.alarm_id: each.ended for each in known(account).values()} == {A: True, B: False}


def test_an_older_snapshot_changes_nothing() -> None:
    """It was on its way for longer than a newer one."""
    account = Account()
    account.take(read(snapshot(alarm(A, 1, 1), as_of={"critical": 9})))
    account.take(read(snapshot(as_of={"critical": 4})))
    assert not known(account)[A].ended


def test_a_later_epoch_wins_though_its_numbers_are_smaller() -> None:
    """A restored backup counts occurrences from where it was; the chain of epochs says what is newer."""
    account = Account()
    account.take(read(transition(40, alarm(A, 9, 2, state="ACKED"))))
    account.take(read(begin("critical", "e2", "e1", 40)))
    account.take(read(transition(2, alarm(A, 3, 1), "e2")))
    assert known(account)[A].occurrence_id.endswith("/3")
    account.take(read(transition(41, alarm(A, 9, 3, state="NORM", ended=True))))
    assert not known(account)[A].ended
    account.take(read(snapshot(epoch="e2", as_of={"critical": 3})))
    assert known(account)[A].ended


def test_what_a_snapshot_of_a_later_epoch_ended_can_come_again_under_any_number() -> None:
    """A gateway out of a backup counts on from there, so an alarm may have a number that was used before."""
    account = Account()
    account.take(read(transition(2, alarm(A, 3, 1))))
    account.take(read(begin("critical", "e2", "e1", 2)))
    account.take(read(snapshot(as_of={"critical": 1}, epoch="e2")))
    assert known(account)[A].ended
    account.take(read(transition(3, alarm(A, 3, 2))))
    assert known(account)[A].ended
    account.take(read(transition(2, alarm(A, 1, 1), "e2")))
    assert not known(account)[A].ended


def test_ended_alarms_are_forgotten_before_there_are_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    """Standing ones never are."""
    monkeypatch.setattr(alarms_module, "ALARMS_MAX", 2)
    account = Account()
    account.take(read(transition(1, alarm("a", 1, 1))))
    account.take(read(transition(2, alarm("b", 1, 1, state="NORM", ended=True))))
    account.take(read(transition(3, alarm("c", 1, 1))))
    account.take(read(transition(4, alarm("d", 1, 1))))
    assert set(known(account)) == {"a", "c", "d"}


@pytest.mark.parametrize(("part", "of"), [(0, 1), (2, 1), (1, 10**9)])
def test_impossible_parts_are_refused(part: int, of: int) -> None:
    """They would wait in memory for ever."""
    with pytest.raises(Unreadable):
        Account().take(read(snapshot(part=part, of=of, as_of={})))
