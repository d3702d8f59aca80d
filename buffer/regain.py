"""The disk is back: bring the file in line with what this process has told others meanwhile, and go on there.

Always true afterwards:
- A record that nobody was told of is not in the file: a commit that failed, or that nobody waited for any longer, may
  be on disk nevertheless, while its records went into the volatile epoch under other names.
- A record that others were told of and that is not in the file any more is counted as lost.
- What was volatile has the names that it had, and the state is the one that was handed over last.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from buffer.chunk import Packer, Unpacker
from buffer.database import transaction
from buffer.epoch import DISK_BACK, LOG_DAMAGED
from buffer.errors import JournalDamaged
from buffer.ledger import Kept, Lane

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from buffer.ledger import Ledger
    from buffer.memory import Held
    from buffer.store import Store, Stored

LAST_STEP_CHUNKS = 100
"""The rest of what is in memory goes to disk in one step, during which appends wait, once it is no more than this."""


@dataclass(frozen=True, slots=True)
class Handover:
    """What is to be written: chunks by stream, and the state that changed.

    `whole_state` is for a file that has lost it; None where this process never knew all of it.
    """

    epoch: str
    held: Sequence[tuple[str, Held]]
    state: Mapping[str, bytes | None]
    whole_state: Mapping[str, bytes] | None


def regain(
    store: Store, live: Ledger, hand_over: Callable[[Mapping[str, int], bool], Handover], incident: str
) -> Stored:
    """Write what is in memory and begin a new epoch.

    `store` was just loaded with a ledger of its own; from here on it has the `live` one. `hand_over` gives what memory
    holds behind the sequences that are written, by stream; from its last call on appends wait. `incident` is the reason
    of what happened to the file, empty where nothing did. Gives what is to be published of the new epoch. Raises
    `sqlite3.Error`; then nobody was told anything, and all of it can be tried again with a new store.
    """
    epoch = hand_over({}, False).epoch
    written = written_of(store, epoch)
    if reconcile(store, live, epoch) and not incident:
        incident = LOG_DAMAGED
    store.ledger = live
    if incident:
        store.account_for_holes(incident, but=epoch)
    while len(rest := hand_over(written, False).held) > LAST_STEP_CHUNKS:
        with transaction(store.connection):
            put_held(store, live, epoch, rest)
        written |= {stream: held.last for stream, held in rest}
    last = hand_over(written, True)
    with transaction(store.connection):
        put_held(store, live, epoch, last.held)
        for lane in [lane for lane in live.lanes() if lane.epoch == epoch]:
            store.add_lane(lane, durable=False)  # Memory may have kept nothing of it.
            live.put(lane, recount(store, lane, live.kept(lane).next))
        if incident and last.whole_state is not None:
            store.connection.execute("DELETE FROM state")
            store.put_state(last.whole_state)
        store.put_state(last.state)
        live.touch()
        store.put_ledger()
        return store.put_epoch(store.unused_name(), incident or DISK_BACK)


def written_of(store: Store, epoch: str) -> dict[str, int]:
    """The last sequence that is on disk of each stream of an epoch, from an attempt that came to nothing."""
    rows = store.connection.execute(
        """SELECT stream, max(last_seq) FROM chunk JOIN lane ON lane.id = chunk.lane JOIN epoch ON epoch.id = lane.epoch
        WHERE epoch.name = ? GROUP BY stream""",
        (epoch,),
    )
    return dict(rows.fetchall())


def reconcile(store: Store, live: Ledger, volatile: str) -> bool:
    """Take out what nobody was told of, enter what is missing; `volatile` is the epoch that is in memory still.

    Gives whether the file ends before what others were told of.
    """
    told = live.lanes()
    behind = False
    with transaction(store.connection):
        for lane, kept in store.ledger.lanes().items():
            if lane not in told:
                store.delete_lane(store.lane_ids.pop(lane))
            elif kept.next > told[lane].next:
                behind |= not cut(store, store.lane_ids[lane], told[lane].next)
        for lane, kept in told.items():
            if lane.epoch != volatile:
                behind |= store.ledger.kept(lane).next < kept.next
                store.add_lane(lane)
                live.put(lane, recount(store, lane, kept.next))
        store.connection.execute("DELETE FROM epoch WHERE id NOT IN (SELECT epoch FROM lane)")
    return behind


def cut(store: Store, lane_id: int, following: int) -> bool:
    """Inside a transaction: take out of a lane everything from a sequence on; False where more was lost with it."""
    store.connection.execute("DELETE FROM chunk WHERE lane = ? AND first_seq >= ?", (lane_id, following))
    row = store.connection.execute(
        "SELECT id, first_seq, last_seq, recorded_ms, raw_bytes, blob FROM chunk WHERE lane = ? AND last_seq >= ?",
        (lane_id, following),
    ).fetchone()
    if row is None:
        return True
    chunk_id, first, last, recorded_ms, raw_bytes, blob = row
    try:
        entries = Unpacker().unpack(blob, raw_bytes, last - first + 1, recorded_ms)
    except JournalDamaged:
        store.delete([chunk_id])
        return False
    store.replace(chunk_id, first, Packer().pack(entries[: following - first]))
    return True


def put_held(store: Store, live: Ledger, epoch: str, held: Sequence[tuple[str, Held]]) -> None:
    """Inside a transaction: chunks of the volatile epoch, as they were in memory.

    The lanes end where others were told that they do, because this may be the last that the process does.
    """
    for stream, each in held:
        lane_id = store.add_lane(Lane(epoch, stream), durable=False)
        store.put_rows(lane_id, each.first, [each.chunk])
    for lane in {Lane(epoch, stream) for stream, _ in held}:
        recount(store, lane, live.kept(lane).next)


def recount(store: Store, lane: Lane, following: int) -> Kept:
    """Inside a transaction: the totals of a lane as its chunks say."""
    lane_id = store.lane_ids[lane]
    row = store.connection.execute(
        """SELECT coalesce(min(first_seq), ?), coalesce(sum(last_seq - first_seq + 1), 0),
            coalesce(sum(raw_bytes), 0), coalesce(sum(length(blob)), 0) FROM chunk WHERE lane = ?""",
        (following, lane_id),
    ).fetchone()
    kept = Kept(following, *row)
    store.put_kept(lane_id, kept)
    return kept
