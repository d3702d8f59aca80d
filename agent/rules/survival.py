"""One alarm to the bytes that survive a restart, and back. Pure bookkeeping: nothing is decided here."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from agent.rules.chatter import Chatter
from agent.rules.stored import Stored, StoredLane
from agent.rules.timers import Timer

if TYPE_CHECKING:
    from agent.rules.lanes import Lane
    from agent.rules.occurrence import Run


def packed(run: Run, mono: float) -> bytes:
    """Everything of it, with what its delays and timers have served until `mono`."""
    waited_s, bad_s = run.waited.count(mono), run.bad.count(mono)
    return msgspec.json.encode(
        Stored(
            state=run.state,
            occurrence=run.occurrence,
            n=run.n,
            peak=run.peak,
            level=run.level.name if run.level else None,
            raised=run.raised,
            changed=run.changed,
            retriggers=run.retriggers,
            ack_by=run.ack_by,
            ack_at=run.ack_at,
            ack_comment=run.ack_comment,
            lanes=[_stored(lane, mono) for lane in run.lanes],
            action=run.action,
            prev_state=run.prev_state,
            began=run.began,
            read_at=run.read_at,
            ack_scope=run.ack_scope,
            by_bad=run.by_bad,
            waited_s=waited_s if run.waited.is_running else None,
            reminded=run.reminded,
            bad_s=bad_s if run.bad.is_running else None,
            overlay=run.told_overlay,
            told_in_test=run.told_in_test,
            shelving=run.shelving,
            out_of_service=run.out_of_service,
            flood=run.flood,
        )
    )


def unpack(run: Run, raw: bytes) -> None:
    """As it was packed. A level that the configuration no longer has is forgotten."""
    stored = msgspec.json.decode(raw, type=Stored)
    run.state, run.occurrence, run.n = stored.state, stored.occurrence, stored.n
    run.peak, run.raised, run.changed = stored.peak, stored.raised, stored.changed
    run.retriggers = stored.retriggers
    run.action, run.prev_state, run.began = stored.action, stored.prev_state, stored.began or stored.changed
    run.read_at = stored.read_at or stored.changed
    run.ack_by, run.ack_at, run.ack_comment = stored.ack_by, stored.ack_at, stored.ack_comment
    run.ack_scope = stored.ack_scope
    run.by_bad, run.reminded = stored.by_bad, stored.reminded
    run.waited, run.bad = _restored(stored.waited_s), _restored(stored.bad_s)
    run.told_overlay, run.told_in_test = stored.overlay, stored.told_in_test
    run.shelving, run.out_of_service = stored.shelving, stored.out_of_service
    run.flood = stored.flood
    by_name = {lane.name: lane for lane in run.lanes}
    for old in stored.lanes:
        lane = by_name.get(old.name)
        if lane is not None:
            lane.on, lane.turning, lane.elapsed_s, lane.since = old.on, old.turning, old.elapsed_s, old.since
            lane.chatter = Chatter(old.chatter, old.held) if lane.chatter is not None else None
    run.level = run.top
    run.at_rest = False


def _stored(lane: Lane, mono: float) -> StoredLane:
    """With what its delay has served by now. The lane itself waits with that until its value is confirmed."""
    served_s = 0.0 if lane.mark is None else max(0.0, mono - lane.mark)
    counted = (lane.chatter.count, lane.chatter.holds) if lane.chatter is not None else ()
    return StoredLane(lane.name, lane.on, lane.turning, lane.elapsed_s + served_s, lane.since, *counted)


def _restored(served_s: float | None) -> Timer:
    return Timer() if served_s is None else Timer(served_s, is_running=True)
