"""What a running daemon has to do to take over another configuration, and what it can leave alone.

A line goes on without missing a poll unless something about it, its devices or their points is different: alarms, texts
of alarms and computed points are the rules' business and touch no line. What is built once, at the start, cannot be
taken over by a running daemon. Decides only; nothing is stopped or started here.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from config.outline import Fields, Outline

DERIVED = "derived."
"""Fields of a point that is computed begin with this: no driver knows of it."""

TAKEN_OVER = ("maintenance ", "response ")
"""Parts of the gateway's own settings that are rules, and can change while it runs: they begin with this."""


@dataclass(frozen=True, slots=True)
class Renewal:
    """Ids, sorted. `restart` names settings of the gateway that only a new start can take over.

    `renewed` lines are closed and opened again, `kept` ones go on; `ended` alarms are not there any more.
    """

    restart: tuple[str, ...]
    opened: tuple[str, ...]
    closed: tuple[str, ...]
    renewed: tuple[str, ...]
    kept: tuple[str, ...]
    ended: tuple[str, ...]

    @property
    def is_possible(self) -> bool:
        """Whether a running daemon can take it over."""
        return not self.restart


def renewal(before: Outline, after: Outline) -> Renewal:
    """From the configuration that runs to the one that is wanted."""
    old, new = _lines(before), _lines(after)
    both = sorted(old.keys() & new.keys())
    return Renewal(
        restart=tuple(_only_at_start(before["gateway"], after["gateway"])),
        opened=tuple(sorted(new.keys() - old.keys())),
        closed=tuple(sorted(old.keys() - new.keys())),
        renewed=tuple(name for name in both if old[name] != new[name]),
        kept=tuple(name for name in both if old[name] == new[name]),
        ended=tuple(sorted(before["alarm"].keys() - after["alarm"].keys())),
    )


def _only_at_start(before: Mapping[str, Fields], after: Mapping[str, Fields]) -> list[str]:
    names = sorted(before.keys() | after.keys())
    return [name for name in names if before.get(name) != after.get(name) and not name.startswith(TAKEN_OVER)]


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
