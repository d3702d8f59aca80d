"""What a running daemon has to do to take over another configuration, and what it can leave alone.

A line goes on without missing a poll unless something about it, its devices or their points is different: alarms, texts
of alarms and computed points are the rules' business and touch no line. What is built once, at the start, cannot be
taken over by a running daemon. Decides only; nothing is stopped or started here.
"""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from config.outline import Fields, Outline

FIRST_WORD = re.compile("[ .]")

DERIVED = "derived."
"""Fields of a point that is computed begin with this: no driver knows of it."""

TAKEN_OVER = frozenset(
    {
        "http",
        "journal",
        "maintenance",
        "name",
        "notify",
        "platform_commands",
        "response",
        "roles",
        "time_zone",
        "uplink",
    }
)
"""Settings of the gateway that can change while it runs, by their first word; but for `AT_START` among them."""

AT_START = frozenset({"journal.path"})

WHOLE = frozenset({"gateway", "journal"})
"""Parts of the outline that are told field by field: no part of the gateway is built from all of one."""


@dataclass(frozen=True, slots=True)
class Renewal:
    """Ids, sorted. `restart` names settings of the gateway that only a new start can take over, `settings` those that
    this one does.

    `renewed` lines are closed and opened again, `kept` ones go on; `ended` alarms are not there any more.
    """

    restart: tuple[str, ...]
    opened: tuple[str, ...]
    closed: tuple[str, ...]
    renewed: tuple[str, ...]
    kept: tuple[str, ...]
    ended: tuple[str, ...]
    settings: tuple[str, ...] = ()

    @property
    def is_possible(self) -> bool:
        """Whether a running daemon can take it over."""
        return not self.restart


def renewal(before: Outline, after: Outline) -> Renewal:
    """From the configuration that runs to the one that is wanted."""
    old, new = _lines(before), _lines(after)
    both = sorted(old.keys() & new.keys())
    changed = sorted(_changed(before["gateway"], after["gateway"]))
    return Renewal(
        restart=tuple(name for name in changed if not _is_taken_over(name)),
        opened=tuple(sorted(new.keys() - old.keys())),
        closed=tuple(sorted(old.keys() - new.keys())),
        renewed=tuple(name for name in both if old[name] != new[name]),
        kept=tuple(name for name in both if old[name] == new[name]),
        ended=tuple(sorted(before["alarm"].keys() - after["alarm"].keys())),
        settings=tuple(name for name in changed if _is_taken_over(name)),
    )


def _changed(before: Mapping[str, Fields], after: Mapping[str, Fields]) -> Iterator[str]:
    """As they are called in gateway.yaml: `site`, `journal.keep_s`, `uplink main`."""
    for part in before.keys() | after.keys():
        old, new = before.get(part, {}), after.get(part, {})
        if part in WHOLE:
            prefix = "" if part == "gateway" else f"{part}."
            yield from (prefix + field for field in old.keys() | new.keys() if old.get(field) != new.get(field))
        elif before.get(part) != after.get(part):
            yield part


def _is_taken_over(name: str) -> bool:
    return FIRST_WORD.split(name)[0] in TAKEN_OVER and name not in AT_START


def _lines(outline: Outline) -> dict[str, dict[str, Fields]]:
    """All that each line, its driver and what is noted of its devices are built from, by a name for each part."""
    found: dict[str, dict[str, Fields]] = {name: {"": fields} for name, fields in outline["line"].items()}
    line_of = {device: fields["line"] for device, fields in outline["device"].items()}
    for device, fields in outline["device"].items():
        found[line_of[device]][device] = fields
    points: dict[str, dict[str, Fields]] = defaultdict(dict)
    for name, fields in outline["point"].items():
        if not any(field.startswith(DERIVED) for field in fields):
            points[line_of[name.partition("/")[0]]][name] = fields
    return {name: {**parts, **points[name]} for name, parts in found.items()}
