"""Whatever happens to an alarm, in whatever order: what has to be true of everything that was ever said of it."""

from __future__ import annotations

from contextlib import suppress
from itertools import groupby, pairwise
from typing import TYPE_CHECKING

from alarm_bench import LAST_KNOWN, LOST, OVER_RANGE, Bench
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from agent.rules import Refused
from agent.rules.machine import ACTIVE, SILENT, TABLE

if TYPE_CHECKING:
    from agent.events import AlarmTransition
    from drivers.contract import Quality

MOVES = {(row.state, row.to, row.action) for row in TABLE if row.action not in SILENT}
VALUES = (410.0, 363.0, 350.0, 330.0, 310.0, 485.0)
SECONDS = (0.0, 1.0, 4.0, 12.0, 61.0, 700.0, 4000.0)


def replayed(bodies: list[AlarmTransition]) -> list[tuple[str, str, bool]]:
    """What a receiver of the log holds at its end: at most one alarm here."""
    held: dict[str, tuple[int, int, AlarmTransition]] = {}
    for body in bodies:
        age = (int(body.occurrence_id.rpartition("/")[2]), body.n)
        if age > held.get(body.alarm_id, (0, 0, body))[:2]:
            held[body.alarm_id] = (*age, body)
    return [(body.occurrence_id, body.state, body.hidden) for _, _, body in held.values()]


class AlarmLife(RuleBasedStateMachine):
    """One alarm of three levels with every kind of timer."""

    @initialize(
        latching=st.booleans(),
        ack=st.booleans(),
        fail_safe=st.booleans(),
        shelvable=st.booleans(),
        delay_s=st.sampled_from([0.0, 5.0]),
    )
    def begin(self, latching: bool, ack: bool, fail_safe: bool, shelvable: bool, delay_s: float) -> None:
        self.bench = Bench(
            wall=2e9,
            shelvable=shelvable,
            latching=latching,
            ack=ack,
            fail_safe=fail_safe,
            stale_after_s=20.0,
            realarm_s=3600.0,
            on_delay_s=delay_s,
            off_delay_s=delay_s,
        )
        self.told: list[AlarmTransition] = []
        self.jumped_s = 0.0

    @rule(value=st.sampled_from(VALUES), seconds=st.sampled_from(SECONDS))
    def value_is_good(self, value: float, seconds: float) -> None:
        self.bench.read(value, after_s=seconds)
        self.bench.wait(0.0)  # what became due in between, as the pipeline does

    @rule(value=st.sampled_from(VALUES), quality=st.sampled_from([OVER_RANGE, LAST_KNOWN]))
    def value_is_doubtful(self, value: float, quality: Quality) -> None:
        before = self.bench.run.state
        seen = self.bench.read(value, quality, after_s=1.0)
        assert all(body.state in ACTIVE or body.action in ("unhide", "overlay") for body in seen), "doubt never clears"
        assert seen or self.bench.run.state == before

    @rule()
    def value_is_lost(self) -> None:
        seen = self.bench.read(None, LOST, after_s=1.0)
        assert all(body.action not in ("clear", "clear_latched", "deescalate") for body in seen)

    @rule()
    def value_is_the_same(self) -> None:
        self.bench.unchanged(after_s=1.0)

    @rule(seconds=st.sampled_from(SECONDS))
    def time_passes(self, seconds: float) -> None:
        self.bench.wait(seconds)

    @rule(what=st.sampled_from(["ack", "reset", "unshelve", "take_out", "put_back"]))
    def operator_acts(self, what: str) -> None:
        with suppress(Refused):
            getattr(self.bench, what)()

    @rule(for_s=st.sampled_from([-1.0, 0.5, 600.0, 1800.0, 9000.0]))
    def operator_shelves(self, for_s: float) -> None:
        with suppress(Refused):
            self.bench.shelve(for_s)

    @rule(for_s=st.sampled_from([-1.0, 30.0, 900.0]), is_test=st.booleans())
    def maintenance_begins(self, for_s: float, is_test: bool) -> None:
        with suppress(Refused):
            self.bench.maintain(for_s, is_test=is_test)

    @rule()
    def maintenance_ends(self) -> None:
        for name in list(self.bench.rules.maintenance.entries):
            self.bench.end_maintenance(name)

    @rule(jump_s=st.sampled_from([-1e6, -5.0, 5.0, 1e6]))
    def clock_is_set(self, jump_s: float) -> None:
        self.bench.wall += jump_s

    @rule(is_saved=st.booleans(), seconds=st.sampled_from(SECONDS), clock_known=st.booleans())
    def gateway_is_killed(self, is_saved: bool, seconds: float, clock_known: bool) -> None:
        if is_saved:
            self.bench.save()
        before, has_ends = self.bench.snapshot(), self.bench.run.is_hidden or self.bench.run.told_in_test
        self.told += self.bench.bodies
        self.bench = self.bench.restarted(after_s=seconds, clock_known=clock_known)
        seen = self.bench.wait(0.0)
        assert has_ends or not seen
        if not seen and self.said:
            after = self.bench.snapshot()
            assert (after.state, after.n, after.occurrence_id) == (before.state, before.n, before.occurrence_id)
            assert (after.overlay, after.colour, after.ack) == (before.overlay, before.colour, before.ack)

    @property
    def said(self) -> list[AlarmTransition]:
        return self.told + self.bench.bodies

    @invariant()
    def every_event_is_a_row(self) -> None:
        for body in self.said:
            assert (body.prev_state, body.state, body.action) in MOVES

    @invariant()
    def the_states_are_a_chain(self) -> None:
        for before, after in pairwise(self.said):
            assert after.prev_state == before.state
        if self.said:
            assert self.said[-1].state == self.bench.run.state

    @invariant()
    def occurrences_have_one_raise_and_one_end(self) -> None:
        by_occurrence = groupby(self.said, lambda body: body.occurrence_id)
        occurrences = [(name, list(bodies)) for name, bodies in by_occurrence]
        assert len({name for name, _ in occurrences}) == len(occurrences)
        for number, (name, bodies) in enumerate(occurrences):
            assert [body.n for body in bodies] == list(range(1, len(bodies) + 1))
            raises = [body for body in bodies if body.action == "raise"]
            ends = [body for body in bodies if body.ended and body.prev_state != "NORM"]
            never_raised = name.endswith("/0")
            assert len(raises) == (0 if never_raised else 1)
            is_over = number < len(occurrences) - 1 or self.bench.run.state == "NORM"
            assert len(ends) == (1 if is_over and not never_raised else 0)

    @invariant()
    def an_acknowledgement_never_changes_the_condition(self) -> None:
        for body in self.said:
            if body.action == "ack":
                assert (body.prev_state in ACTIVE) == (body.state in ACTIVE)

    @invariant()
    def nobody_is_late_with_what_is_hidden(self) -> None:
        for body in self.said:
            assert body.hidden == bool(body.overlay) == bool(body.overlay_info)
            called = body.action in ("ack_overdue", "realarm")
            assert not (body.hidden and (called or body.action in ("unhide", "unhide_raise")))
            assert not (body.test and called)

    @invariant()
    def what_must_never_be_hidden_is_not(self) -> None:
        if not self.bench.alarm.shelvable:
            assert all(body.overlay in ([], ["OOSRV"]) for body in self.said)

    @invariant()
    def a_test_that_is_over_is_told(self) -> None:
        if self.said and not self.bench.rules.maintenance.entries and not self.bench.run.is_hidden:
            assert not self.said[-1].test

    @invariant()
    def a_replay_of_the_log_gives_the_same_state(self) -> None:
        run = self.bench.run
        held = [(run.occurrence_id("gw"), run.state, run.is_hidden)]
        assert replayed(self.said) == (held if self.said else [])

    @precondition(lambda self: self.bench.run.shelving is not None)
    @invariant()
    def nothing_is_shelved_for_longer_than_allowed(self) -> None:
        shelving = self.bench.run.shelving
        assert shelving is not None
        assert shelving.until - shelving.since <= 1801.0


AlarmLife.TestCase.settings = settings(max_examples=120, stateful_step_count=30, deadline=None, derandomize=True)
test_1_alarm_life = AlarmLife.TestCase
