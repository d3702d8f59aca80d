"""Every row of the state table, played through the rules as they run: the tests are made from the table itself."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING

import pytest
from alarm_bench import ALARM, LOST, Bench

from agent.rules import Refused
from agent.rules.machine import ACTIVE, LATCHED, STATES, TABLE, Guards, Row, transition

if TYPE_CHECKING:
    from collections.abc import Callable

    from agent.events import AlarmState, AlarmTransition
    from agent.rules.machine import Trigger

NORMAL, LOW, LOWER = 410.0, 350.0, 310.0
STALE_S = 30.0
REALARM_S = 3600.0
OVERDUE_S = 1800.0
"""Of yellow, which level L is."""


def name(row: Row) -> str:
    guards = [
        f"{'' if wanted else 'not-'}{guard}"
        for guard, wanted in zip(Guards._fields, row[4:], strict=True)
        if wanted is not None
    ]
    return "-".join([row.state, row.trigger, row.to, str(row.action), *guards])


def brought_to(state: AlarmState, *, low: float = LOW, by_bad: bool = False) -> Bench:
    """An alarm in this state, on the way that leads there."""
    bench = Bench(latching=state in LATCHED, fail_safe=True, stale_after_s=STALE_S, realarm_s=REALARM_S)
    bench.read(NORMAL)
    if by_bad:
        bench.read(None, LOST)
        bench.wait(STALE_S)
    elif state != "NORM":
        bench.read(low)
    if state in ("ACKED", "LTACK"):
        bench.ack()
    if state not in ("NORM", *ACTIVE):
        bench.read(NORMAL)
    assert bench.run.state == state
    return bench


def prepared(row: Row) -> Bench:
    """In the row's state, with the row's guards: a new configuration came with a restart, so every pair can be."""
    low = LOWER if row.trigger == "down" else LOW
    by_bad = row.trigger == "usable"
    bench = brought_to(row.state, low=low, by_bad=by_bad)
    if row.trigger == "unhide" or (row.trigger == "removed" and row.state == "NORM"):
        bench.shelve()
    bench.save()
    wanted = {"latching": row.latching, "ack": row.ack_required, "fail_safe": row.fail_safe}
    bench = bench.restarted(**{key: value for key, value in wanted.items() if value is not None})
    value = low if row.state in ACTIVE else NORMAL
    assert (bench.wait(0) if by_bad else bench.read(value)) == []
    if row.is_over is False:
        bench.read(None, LOST)
    return bench


def _restart(bench: Bench) -> list[AlarmTransition]:
    bench.rules = bench.restarted().rules
    return bench.wait(0)


PULLS: dict[Trigger, Callable[[Bench], list[AlarmTransition]]] = {
    "true": lambda bench: bench.read(LOW),
    "false": lambda bench: bench.read(NORMAL),
    "up": lambda bench: bench.read(LOWER),
    "down": lambda bench: bench.read(LOW),
    "ack": Bench.ack,
    "reset": Bench.reset,
    "overdue": lambda bench: bench.wait(OVERDUE_S),
    "realarm": lambda bench: bench.wait(REALARM_S),
    "overlay": Bench.shelve,
    "unhide": Bench.unshelve,
    "bad": lambda bench: bench.read(None, LOST) + bench.wait(STALE_S),
    "usable": lambda bench: bench.read(LOW),
    "restart": _restart,
    "removed": lambda bench: bench.renewed(without=True),
}
"""What makes it happen."""


@pytest.mark.parametrize("row", TABLE, ids=name)
def test_1_every_row_of_the_table(row: Row) -> None:
    """From its state, on its trigger, the alarm is in the state that the row says, and says so once."""
    bench = prepared(row)
    if row.action == "refused":
        with pytest.raises(Refused, match=f"is {row.state}: it can be reset once"):
            PULLS[row.trigger](bench)
        assert bench.run.state == row.to
        return
    seen = PULLS[row.trigger](bench)
    assert ALARM not in bench.rules if row.trigger == "removed" else bench.run.state == row.to
    if row.action in ("hold", "snapshot"):
        assert seen == []
        assert not bench.run.known
        return
    (event,) = seen
    assert (event.action, event.prev_state, event.state) == (row.action, row.state, row.to)
    assert event.ended == (row.to == "NORM")
    assert event.hidden == (row.trigger == "overlay")
    assert event.signal == ("source_bad" if row.trigger == "bad" else "process")


MOVED_BY_THE_CONDITION = [row for row in TABLE if row.trigger in ("true", "false", "up", "down", "ack")]


@pytest.mark.parametrize("row", MOVED_BY_THE_CONDITION, ids=name)
def test_1_hidden_alarms_move_on_and_say_so_as_hidden(row: Row) -> None:
    """Behind its overlay the state moves as the row says; the event is marked hidden."""
    bench = prepared(row)
    bench.shelve()
    (event,) = PULLS[row.trigger](bench)
    assert (event.action, event.state, event.hidden, event.overlay) == (row.action, row.to, True, ["SHLVD"])


@pytest.mark.parametrize("row", [row for row in TABLE if row.trigger == "unhide"], ids=name)
def test_an_overlay_that_ends_under_another_shows_nothing(row: Row) -> None:
    """Only the last overlay that goes shows the alarm."""
    bench = prepared(row)
    bench.take_out()
    (event,) = bench.unshelve()
    assert (event.action, event.state, event.hidden, event.overlay) == ("overlay", row.state, True, ["OOSRV"])
    (event,) = bench.put_back()
    assert (event.action, event.state, event.hidden) == (row.action, row.to, False)


@pytest.mark.parametrize("state", STATES)
def test_1_a_restart_changes_nothing_and_says_nothing(state: AlarmState) -> None:
    """The snapshot after it is the one before it, but for what is not known yet of the value."""
    before = brought_to(state)
    before.save()
    after = before.restarted(after_s=3600.0)
    assert after.wait(0) == []
    told, found = before.snapshot(), after.snapshot()
    unknown = {"value", "q", "qr", "condition_known"}
    fields = set(told.__struct_fields__) - unknown
    assert {each: getattr(found, each) for each in fields} == {each: getattr(told, each) for each in fields}


def test_no_two_rows_apply_at_once() -> None:
    """For each state, trigger and kind of alarm there is one row at most, and `transition` finds it."""
    for row in TABLE:
        for guards in (Guards(*values) for values in product((False, True), repeat=len(Guards._fields))):
            fits = [each for each in TABLE if each[:2] == row[:2] and each.fits(guards)]
            assert len(fits) <= 1
            assert transition(row.state, row.trigger, guards) == (fits[0] if fits else None)


def test_1_the_table_is_that_of_the_standard() -> None:
    """Each line of the written table, without its guards."""
    written = """
        NORM true UNACK raise, NORM true ACKED raise, UNACK ack ACKED ack, UNACK false RTNUN clear,
        UNACK false LTUNK clear_latched, ACKED false NORM clear, ACKED false LTACK clear_latched, RTNUN ack NORM ack,
        RTNUN true UNACK retrigger, LTUNK true UNACK retrigger, LTACK true UNACK retrigger, LTUNK ack LTACK ack,
        LTUNK reset LTUNK refused, LTACK reset NORM reset, LTACK reset LTACK refused, UNACK up UNACK escalate,
        ACKED up UNACK escalate, UNACK overdue UNACK ack_overdue, UNACK down UNACK deescalate,
        ACKED down ACKED deescalate, ACKED realarm UNACK realarm, UNACK unhide UNACK unhide_raise,
        ACKED unhide UNACK unhide_raise, RTNUN unhide NORM unhide, LTUNK unhide NORM unhide, LTACK unhide NORM unhide,
        RTNUN unhide LTUNK unhide_latched, LTUNK unhide LTUNK unhide_latched, LTACK unhide LTUNK unhide_latched,
        NORM unhide NORM unhide, NORM bad UNACK raise, UNACK usable UNACK cause_changed,
        ACKED usable ACKED cause_changed
    """
    lines = {tuple(line.split()) for line in written.split(",")}
    lines |= {(state, "overlay", state, "overlay") for state in STATES}
    lines |= {(state, "bad", state, "hold") for state in STATES}
    lines |= {(state, "restart", state, "snapshot") for state in STATES}
    lines |= {(state, "removed", "NORM", "removed") for state in STATES}
    assert lines <= {row[:4] for row in TABLE}
    without = {row[:4] for row in TABLE if row.ack_required is False}
    assert {row[:4] for row in TABLE} - lines <= without, "what is added is for alarms that ask for no acknowledgement"
