"""Builds of the gateway with one thing wrong each. They exist to show that the checks of the acceptance tests see it.

A build is the product, changed from outside while it starts: `environment` makes the interpreter call one of the
functions below before anything else. No switch in the product itself.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agent.envelope import splice
from agent.rules import Rules
from agent.uplink import delivery
from agent.uplink.delivery import Delivery
from agent.uplink.feed import Feed
from agent.uplink.handover import Handover
from buffer.journal import Journal

if TYPE_CHECKING:
    from collections.abc import Iterable

    from buffer.ledger import Lane, Span
    from buffer.record import Draft, Record

Mutation = Callable[[], None]

ROOT = Path(__file__).parents[2]
VICTIM = 12
"""The telemetry record, counted from the start of the process, to which it happens."""


def nothing() -> None:
    """The build as it is: what is said of it would be said of any."""


def drops_a_row_before_it_is_stored() -> None:
    telemetry = count(1)
    append: Callable[..., Any] = Journal.append

    def dropping(journal: Journal, drafts: Iterable[Draft], *state: Any) -> Any:
        kept = [draft for draft in drafts if draft.stream != "telemetry" or next(telemetry) != VICTIM]
        return append(journal, kept, *state)

    patch(Journal, "append", dropping)


def drops_a_row_on_its_way() -> None:
    telemetry = count(1)
    take = Feed.take

    def skipping(*arguments: Any, **options: Any) -> Record | None:
        record = take(*arguments, **options)
        if record is not None and record.stream == "telemetry" and next(telemetry) == VICTIM:
            record = take(*arguments, **options)
        return record

    patch(Feed, "take", skipping)


def reuses_a_sequence() -> None:
    telemetry = count(1)

    def renumbering(record: Record, *rest: Any) -> bytes:
        if record.stream == "telemetry" and next(telemetry) == VICTIM:
            record = replace(record, sequence=record.sequence - 1)
        return splice(record, *rest)

    patch(delivery, "splice", renumbering)


def settles_without_puback() -> None:
    send = Delivery._send_record

    def settling(self: Delivery, record: Record, now: float) -> int | None:
        mid = send(self, record, now)
        self._batch.accept(record)
        return mid

    patch(Delivery, "_send_record", settling)


def settles_without_confirmation() -> None:
    take = Handover.take

    def settling(self: Handover, lane: Lane, spans: Iterable[Span], *rest: Any) -> None:
        found = list(spans)
        take(self, lane, found, *rest)
        self.confirm(lane, found)

    patch(Handover, "take", settling)


def forgets_its_alarms() -> None:
    build = Rules.build

    def forgetting(config: Any, _state: Any, **clock: Any) -> Rules:
        return build(config, {}, **clock)

    patch(Rules, "build", forgetting)


patch = setattr
"""Not by assignment: what is assigned is a bit wrong, and a type checker would say so."""


def environment(folder: Path, mutation: Mutation) -> dict[str, str]:
    """What the gateway must find in its environment to be that build. `folder` is for two small files."""
    folder.mkdir()
    shutil.copy(__file__, folder / "mutants.py")
    (folder / "sitecustomize.py").write_text(f"import mutants\nmutants.{mutation.__name__}()\n")
    return {"PYTHONPATH": os.pathsep.join((str(folder), str(ROOT)))}
