"""What is deleted, and when. Runs in the writer's thread, in small steps between commits; no asyncio, no queue.

In this order, a step at a time, each step one transaction:
1. what every cursor has settled and is older than `keep_s`;
2. over a size limit: what every cursor has settled, oldest first, in the order of `drop_order`;
3. still over it: what is not settled, oldest first, in the same order; each cursor that still waited for it gets it
   counted as lost.
Epochs of which nothing is left go as well, but for the newest `EPOCHS_KEPT` and those of which something is lost.

The limits: that of the whole; that of all streams but the `reserved` ones, which leaves those their reserve; and the
share of a single stream. So telemetry never costs an alarm, and nothing that somebody waits for goes while something
else can.

The size that counts is that of the pages in use, plus room for the write-ahead log. The clock may jump: a jump forward
can only cost history that everybody has settled.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from buffer.database import WAL_BYTES_MAX, transaction
from buffer.errors import JournalDamaged
from buffer.ledger import Kept
from buffer.plausible import are_counts
from buffer.store import TRANSACTION_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from buffer.ledger import Lane, Span
    from buffer.store import Store

    Victim = tuple[int, int, int, int, int, int]
    """Columns of a chunk: id, first_seq, last_seq, recorded_ms, raw_bytes, size of the blob."""

STEP_CHUNKS = 64
STEP_BYTES = 1024 * 1024
SLACK_BYTES_MAX = 4 * 1024 * 1024
VACUUM_PAGES = 500
"""About 10 ms of work at a time."""

EPOCHS_KEPT = 100
STEP_EPOCHS = 16
AGE_EVERY_S = 10.0
NEVER_MS = 2**62

MEMORY_BYTES = 32 * 1024 * 1024

SIZE_MIN_BYTES = 1_000_000

REASON_SIZE = "size_limit"
REASON_SHARE = "share_limit"
REASON_DAMAGED = "damaged"


@dataclass(frozen=True, slots=True)
class Limits:
    """How much is kept. `drop_order`: what goes first; a stream that is not named goes after all that are.

    `urgent` streams do not wait for a disk that does not answer. `memory_max_bytes` are held while there is no disk.
    All streams but the `reserved` ones together leave `reserve` of the size free; `shares` are the most that a single
    stream may have of it; `ages_s` says for single streams how long settled records are kept, instead of `keep_s`.
    """

    size_max_bytes: int
    keep_s: float
    drop_order: tuple[str, ...] = ("telemetry", "state", "audit", "alarm", "critical")
    urgent: tuple[str, ...] = ("alarm", "critical")
    memory_max_bytes: int = MEMORY_BYTES
    reserved: tuple[str, ...] = ("critical", "alarm", "audit")
    reserve: float = 0.1
    shares: Mapping[str, float] = field(default_factory=dict)
    ages_s: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.size_max_bytes < SIZE_MIN_BYTES:
            raise ValueError(f"size_max_bytes is {self.size_max_bytes}, the least is {SIZE_MIN_BYTES}")

    def rank(self, stream: str) -> int:
        """Its worth: what goes first has 0."""
        return self.drop_order.index(stream) if stream in self.drop_order else len(self.drop_order)

    @property
    def used_max_bytes(self) -> int:
        """Pages in use at which dropping begins: the write-ahead log must fit beside them."""
        return self.size_max_bytes - min(2 * WAL_BYTES_MAX, self.size_max_bytes // 4)

    @property
    def slack_bytes(self) -> int:
        """How much below that it goes at most, so that a full journal does not trim at every commit."""
        return min(SLACK_BYTES_MAX, self.size_max_bytes // 64)

    @property
    def checkpoint_bytes(self) -> int:
        """How large the write-ahead log may grow before it is moved into the file."""
        return min(WAL_BYTES_MAX // 4, self.size_max_bytes // 8)


@dataclass(frozen=True, slots=True)
class Quota:
    """What some streams may have together: those that are named, or all but those."""

    bytes_max: int
    reason: str
    streams: tuple[str, ...]
    are_named: bool

    def concerns(self, stream: str) -> bool:
        return (stream in self.streams) is self.are_named


def quotas(limits: Limits) -> list[Quota]:
    whole = limits.used_max_bytes
    return [
        Quota(whole, REASON_SIZE, (), are_named=False),
        Quota(round(whole * (1 - limits.reserve)), REASON_SIZE, limits.reserved, are_named=False),
        *(
            Quota(round(whole * share), REASON_SHARE, (stream,), are_named=True)
            for stream, share in limits.shares.items()
        ),
    ]


class Retention:
    """Deletes behind, or at the limit in front of, the cursors of one store."""

    def __init__(self, store: Store, limits: Limits) -> None:
        self._store = store
        self._page_bytes = self._pragma("page_size")
        self.renew(limits)

    def renew(self, limits: Limits) -> None:
        """From the next step on these count."""
        self._limits = limits
        self._age_due = 0.0
        self._over: set[Quota] = set()
        self._quotas = quotas(limits)

    def step(self) -> bool:
        """One transaction's worth of work; whether there was any, so there may be more.

        Raises `sqlite3.Error` and `JournalDamaged`.
        """
        return self._by_age() or self._by_size() or self._shrink()

    def mend(self, lane: Lane, first: int, last: int) -> None:
        """Give up a chunk that a reader found damaged, if it is for this connection too.

        Raises `JournalDamaged` and `sqlite3.Error` where more than its content is damaged.
        """
        for victim in list(self._victims(lane, (first, last), NEVER_MS, STEP_BYTES)):
            if not self._store.is_sound(victim[0], lane, (first, last)):
                self._store.ledger.drop(lane, first, last, REASON_DAMAGED)
                self._delete(lane, [victim])

    def _by_age(self) -> bool:
        if time.monotonic() < self._age_due:
            return False
        now_ms = self._store.now_ms()
        for lane in self._lanes():
            keep_s = self._limits.ages_s.get(lane.stream, self._limits.keep_s)
            if self._trim_settled(lane, now_ms - int(keep_s * 1000), STEP_BYTES):
                return True
        if self._store.forget_epochs(EPOCHS_KEPT, STEP_EPOCHS):
            return True
        self._age_due = time.monotonic() + AGE_EVERY_S
        return False

    def _by_size(self) -> bool:
        used = (self._pragma("page_count") - self._pragma("freelist_count")) * self._page_bytes
        if used < min(quota.bytes_max for quota in self._quotas) - self._limits.slack_bytes:
            return False
        lanes = self._lanes()
        return any(self._enforce(quota, lanes, used) for quota in self._quotas)

    def _enforce(self, quota: Quota, lanes: list[Lane], used: int) -> bool:
        mine = [lane for lane in lanes if quota.concerns(lane.stream)]
        if len(mine) < len(lanes):  # What pages hold whose records is not known; the sizes of the blobs tell roughly.
            used = round(used * self._stored(mine) / max(1, self._stored(lanes)))
        slack = min(self._limits.slack_bytes, quota.bytes_max // 16)  # A small share must not be all slack.
        allowed = quota.bytes_max - (slack if quota in self._over else 0)
        if used <= allowed:
            self._over.discard(quota)
            return False
        self._over.add(quota)
        size = min(STEP_BYTES, used - allowed)  # No more than it must be: this may be somebody's data.
        return any(self._trim_settled(lane, NEVER_MS, size) for lane in mine) or any(
            self._drop(lane, size, quota.reason) for lane in mine
        )

    def _stored(self, lanes: Iterable[Lane]) -> int:
        return sum(self._store.ledger.kept(lane).stored_bytes for lane in lanes)

    def _shrink(self) -> bool:
        """Give free pages back to the file system once they are a quarter of the file."""
        free, pages = self._pragma("freelist_count"), self._pragma("page_count")
        if free * 4 < pages or free * self._page_bytes < self._limits.slack_bytes:
            return False
        # Trap: `execute` would free one single page for each call.
        self._store.connection.executescript(f"PRAGMA incremental_vacuum({VACUUM_PAGES})")
        self._store.written_bytes += VACUUM_PAGES * self._page_bytes
        return self._pragma("freelist_count") < free

    def _lanes(self) -> list[Lane]:
        """Those that hold something, in the order in which they give it up; older epochs of a stream first."""
        kept = [
            lane for lane, kept in self._store.ledger.lanes().items() if kept.records and lane in self._store.lane_ids
        ]
        return sorted(kept, key=lambda lane: self._limits.rank(lane.stream))

    def _trim_settled(self, lane: Lane, before_ms: int, size: int) -> bool:
        for span in self._store.ledger.settled_by_all(lane):
            victims = list(self._victims(lane, span, before_ms, size))
            if victims:
                self._delete(lane, victims)
                return True
        return False

    def _drop(self, lane: Lane, size: int, reason: str) -> bool:
        kept = self._store.ledger.kept(lane)
        victims = list(self._victims(lane, (kept.first, kept.next - 1), NEVER_MS, size))
        if not victims:
            raise JournalDamaged("what is to be dropped is not there")
        self._store.ledger.drop(lane, victims[0][1], victims[-1][2], reason)
        self._delete(lane, victims)
        return True

    def _victims(self, lane: Lane, span: Span, before_ms: int, size: int) -> Iterator[Victim]:
        """The oldest chunks that lie wholly in the span and were stored before `before_ms`: about `size` bytes.

        Raises `JournalDamaged` for a row that was never written like that.
        """
        first, last = span
        for row in self._store.connection.execute(
            """SELECT id, first_seq, last_seq, recorded_ms, raw_bytes, length(blob) FROM chunk
            WHERE lane = ? AND last_seq BETWEEN ? AND ? AND first_seq >= ? ORDER BY last_seq LIMIT ?""",
            (self._store.lane_ids[lane], first, last, first, STEP_CHUNKS),
        ):
            if not all(isinstance(value, int) for value in row):
                raise JournalDamaged("a row that was never written")
            if not are_counts(*row):
                raise JournalDamaged("a chunk that was never written")
            if row[3] >= before_ms or size <= 0:
                return
            size -= row[5]
            yield row

    def _delete(self, lane: Lane, victims: Iterable[Victim]) -> None:
        store = self._store
        old = store.ledger.kept(lane)
        with transaction(store.connection):
            store.delete([victim[0] for victim in victims])
            first = store.first_kept(store.lane_ids[lane])
            kept = Kept(
                old.next,
                old.next if first is None else first,
                old.records - sum(last - first + 1 for _, first, last, *_ in victims),
                old.raw_bytes - sum(victim[4] for victim in victims),
                old.stored_bytes - sum(victim[5] for victim in victims),
            )
            store.put_kept(store.lane_ids[lane], kept)
            store.put_ledger()
        store.ledger.put(lane, kept)
        store.written_bytes += TRANSACTION_BYTES

    def _pragma(self, name: str) -> int:
        (value,) = self._store.connection.execute(f"PRAGMA {name}").fetchone()
        return int(value)
