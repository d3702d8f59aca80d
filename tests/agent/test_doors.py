"""What a platform may ask by command, answered from a real journal."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest
from past_records import NOW, POINT, batch, transition

from agent.clock import ManualClock
from agent.doors import ANSWER_BYTES_MAX, Evidence, fitted
from agent.events import Actor, EvidenceArgs, EvidenceCommand, rfc3339
from agent.past import Past
from agent.status import EvidenceView, OccurrenceView, SampleView
from agent.uplink.commands import Refused
from buffer.journal import Journal
from buffer.retention import Limits

if TYPE_CHECKING:
    from pathlib import Path


def asked(alarm_id: str, occurrence_id: str | None = None) -> EvidenceCommand:
    args = EvidenceArgs(alarm_id=alarm_id, occurrence_id=occurrence_id)
    who = Actor(type="platform", id="p", role="")
    return EvidenceCommand(cmd_id="c", issued_at=rfc3339(NOW), expires_at=rfc3339(NOW), actor=who, args=args)


async def test_evidence_is_fetched_by_command(tmp_path: Path) -> None:
    """The last occurrence with its transitions, and each value with its time; quality only where it is not good."""
    journal = await Journal.open(tmp_path, Limits(2**26, 3600.0), wall=lambda: NOW)
    await journal.append([transition("alarm", "a", NOW - 100), batch(NOW - 110, 1.5, None)])
    look = Evidence(Past(journal, ManualClock(NOW), [POINT])).answer
    answer = (await look(asked("a"))).args
    assert answer["transitions"] == [{"n": 1, "action": "raise", "time": rfc3339(NOW - 100)}]
    (one,) = answer["evidence"]
    assert one["samples"] == [[rfc3339(NOW - 110), 1.5], [rfc3339(NOW - 109), None, "bad"]]
    assert (answer["occurrence_id"], answer["left_out"], one["point"], one["unit"]) == ("gw/a/1", 0, "m1/u", "V")
    with pytest.raises(Refused, match="nothing of gw/a/7 is kept") as refused:
        await look(asked("a", "gw/a/7"))
    assert refused.value.code == "not_kept"
    (tmp_path / "journal.db").rename(tmp_path / "elsewhere")
    with pytest.raises(Refused, match="try again") as refused:
        await look(asked("a"))
    assert refused.value.code == "busy"
    (tmp_path / "elsewhere").rename(tmp_path / "journal.db")
    await journal.close()


@pytest.mark.parametrize("value", [1.0, "text" * 1000])
def test_an_answer_is_never_too_large(value: float | str) -> None:
    """What is left out is the oldest, and counted."""
    samples = [SampleView(time=rfc3339(NOW + at), value=value, q="good") for at in range(3000)]
    around = [
        EvidenceView(point=f"m1/{name}", unit="V", begin="", end="", complete=True, samples=samples) for name in "ab"
    ]
    answer = fitted(OccurrenceView(alarm_id="a", occurrence_id="gw/a/1", transitions=[], evidence=around))
    assert len(msgspec.json.encode(answer)) <= ANSWER_BYTES_MAX
    first, second = answer["evidence"]
    assert len(first["samples"]) + len(second["samples"]) + answer["left_out"] == 6000
    assert second["samples"][-1] == [rfc3339(NOW + 2999), value]
    assert first["samples"] == [] or len(second["samples"]) == 3000
