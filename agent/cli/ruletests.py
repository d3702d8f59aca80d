"""What `check --rule-tests` prints: each test, and where it fails, what was expected and what came."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from agent.cli import show
from agent.cli.words import Words

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from agent.cli.options import Language
    from agent.rehearsal import Came, Outcome
    from config.rule_tests import Expected


class EventView(msgspec.Struct, frozen=True):
    at_s: float
    alarm_id: str
    action: str
    level: str | None
    colour: str | None


class RefusalView(msgspec.Struct, frozen=True):
    at_s: float
    reason: str


class TestView(msgspec.Struct, frozen=True):
    """One test as `--json` prints it; `missing` was expected and did not come, `unexpected` came all the same."""

    file: str
    line: int
    name: str
    ok: bool
    missing: list[EventView]
    unexpected: list[EventView]
    refused: list[RefusalView]


def view(outcome: Outcome) -> TestView:
    return TestView(
        file=outcome.test.file,
        line=outcome.test.line,
        name=outcome.test.name,
        ok=outcome.is_well,
        missing=[_event(at_s, expected) for at_s, expected in outcome.missing],
        unexpected=[_event(came.at_s, came) for came in outcome.unexpected],
        refused=[RefusalView(at_s, reason) for at_s, reason in outcome.refused],
    )


def _event(at_s: float, event: Expected | Came) -> EventView:
    return EventView(round(at_s, 3), event.alarm, event.action, event.level, event.colour)


def tell(tests: Sequence[TestView], lang: Language) -> None:
    """A line for each test, and below it what was not as it should be."""
    say = Words(lang)
    for test in tests:
        show.line(f"{say('ok' if test.ok else 'FAILED')}  {test.file}:{test.line} {test.name}")
        for what, event in _flaws(test):
            show.line(f"    {say(what)}  {show.duration(event.at_s)}  {_words(event)}")
        for refusal in test.refused:
            show.line(f"    {say('refused')}  {show.duration(refusal.at_s)}  {refusal.reason}")
    failed = sum(not test.ok for test in tests)
    show.line(say("{} tests, {} failed").format(len(tests), failed))


def _flaws(test: TestView) -> Iterator[tuple[str, EventView]]:
    both = [("expected", event) for event in test.missing] + [("came", event) for event in test.unexpected]
    yield from sorted(both, key=lambda pair: pair[1].at_s)


def _words(event: EventView) -> str:
    return " ".join(word for word in (event.alarm_id, event.action, event.level, event.colour) if word)
