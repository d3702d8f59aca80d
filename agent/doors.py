"""What a platform may ask of the gateway by command, beyond what its uplink itself can do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from agent.control.desk import Refusal
from agent.events import EvidenceCommand
from agent.uplink.commands import Refused
from agent.uplink.errands import Done

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agent.events import Command
    from agent.past import Past
    from agent.status import EvidenceView, OccurrenceView, SampleView
    from agent.uplink.errands import Door

SAMPLES_MAX = 4096
ANSWER_BYTES_MAX = 60 * 1024
"""With the envelope around it an answer stays below 64 KiB."""


def doors(past: Past) -> Mapping[str, Door]:
    """By verb."""
    return {"evidence": Evidence(past).answer}


class Evidence:
    """An occurrence of an alarm with every value around its beginning and end."""

    def __init__(self, past: Past) -> None:
        self._past = past

    async def answer(self, command: Command) -> Done:
        """Raises `Refused`."""
        assert isinstance(command, EvidenceCommand), "that is its shape"
        asked = command.args
        try:
            found = await self._past.of_occurrence(asked.alarm_id, asked.occurrence_id)
        except Refusal as refusal:
            raise Refused("busy", str(refusal)) from refusal
        if found is None:
            raise Refused("not_kept", f"nothing of {asked.occurrence_id or asked.alarm_id} is kept any more")
        return Done("the evidence is in args", fitted(found))


def fitted(found: OccurrenceView) -> dict[str, Any]:
    """As large as an answer may be; what does not fit is the oldest, and counted."""
    most = SAMPLES_MAX
    while len(msgspec.json.encode(answer := _answer(found, most))) > ANSWER_BYTES_MAX and most:
        most //= 2
    return answer


def _answer(found: OccurrenceView, most: int) -> dict[str, Any]:
    evidence: list[dict[str, Any]] = []
    left = most
    for one in reversed(found.evidence):
        shown = one.samples[-left:] if left else []
        left -= len(shown)
        evidence.insert(0, _evidence(one, shown))
    return {
        "alarm_id": found.alarm_id,
        "occurrence_id": found.occurrence_id,
        "transitions": [{"n": row.n, "action": row.action, "time": row.time} for row in found.transitions[-most:]],
        "evidence": evidence,
        "left_out": sum(len(one.samples) for one in found.evidence) - (most - left),
    }


def _evidence(one: EvidenceView, shown: list[SampleView]) -> dict[str, Any]:
    return {
        "point": one.point,
        "unit": one.unit,
        "begin": one.begin,
        "end": one.end,
        "complete": one.complete,
        "samples": [[each.time, each.value] if each.q == "good" else [each.time, each.value, each.q] for each in shown],
    }
