"""What `check --latency` prints: how long each alarm can take at worst, and whether that is soon enough."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import msgspec

from agent.cli import show
from agent.cli.show import Cell
from agent.cli.words import Words

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agent.cli.options import Language
    from agent.latency import Latency

Verdict = Literal["in time", "too late", "late beside a dead device"]
STYLES: dict[Verdict, str] = {"too late": "red", "late beside a dead device": "yellow"}


class LatencyView(msgspec.Struct, frozen=True):
    """One row as `--json` prints it; what cannot happen to an alarm is null."""

    alarm_id: str
    life_safety: bool
    budget_s: float
    on_delay_s: float
    poll_s: float | None
    healthy_s: float
    lost_answer_s: float | None
    dead_neighbour_s: float | None
    verdict: Verdict


def view(latency: Latency) -> LatencyView:
    return LatencyView(
        alarm_id=latency.alarm.id,
        life_safety=latency.alarm.life_safety,
        budget_s=latency.budget_s,
        on_delay_s=latency.alarm.on_delay_s,
        poll_s=latency.poll_s,
        healthy_s=round(latency.healthy_s, 3),
        lost_answer_s=_rounded(latency.lost_s),
        dead_neighbour_s=_rounded(latency.neighbour_s),
        verdict=_verdict(latency),
    )


def _rounded(length_s: float | None) -> float | None:
    return None if length_s is None else round(length_s, 3)


def _verdict(latency: Latency) -> Verdict:
    if latency.is_over:
        return "too late"
    return "late beside a dead device" if latency.is_over_beside_a_dead_neighbour else "in time"


def tell(views: Sequence[LatencyView], lang: Language) -> None:
    """The nearest to its budget, or the farthest beyond it, first."""
    say = Words(lang)
    headings = ("alarm", "budget", "poll", "healthy line", "one answer lost", "dead neighbour", "verdict")
    rows = sorted(views, key=lambda one: -one.healthy_s / one.budget_s)
    show.table(
        [say(heading) for heading in headings],
        [
            [
                one.alarm_id,
                _seconds(one.budget_s),
                say("reports") if one.poll_s is None else _seconds(one.poll_s),
                _seconds(one.healthy_s),
                _seconds(one.lost_answer_s),
                _seconds(one.dead_neighbour_s),
                Cell(say(one.verdict), STYLES.get(one.verdict, "")),
            ]
            for one in rows
        ],
    )


def _seconds(length_s: float | None) -> str:
    return "—" if length_s is None else f"{length_s:.3g} s"
