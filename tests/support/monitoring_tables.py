"""The tables in `docs/monitoring.md`, made from the code; run as a program it writes them anew."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from agent.health import TABLE as CONDITIONS
from agent.metrics.table import TABLE as METRICS

if TYPE_CHECKING:
    from collections.abc import Iterable

PAGE = Path(__file__).parents[2] / "docs" / "monitoring.md"


def page(text: str) -> str:
    """The page with its tables as they should be."""
    return _filled(_filled(text, "metrics", _metrics()), "conditions", _conditions())


def _filled(text: str, mark: str, rows: Iterable[str]) -> str:
    before, begin, rest = text.partition(f"<!-- {mark}:")
    line, _, rest = rest.partition("\n")
    _, end, after = rest.partition(f"<!-- /{mark} -->")
    return f"{before}{begin}{line}\n{chr(10).join(rows)}\n{end}{after}"


def _metrics() -> Iterable[str]:
    yield "| metric | kind | labels | |"
    yield "| --- | --- | --- | --- |"
    for metric in METRICS:
        labels = ", ".join(f"`{label}`" for label in metric.labels)
        yield f"| `{metric.name}` | {metric.kind} | {labels} | {metric.meaning} |"


def _conditions() -> Iterable[str]:
    yield "| code | | what it is | what to do |"
    yield "| --- | --- | --- | --- |"
    for code, kind in CONDITIONS.items():
        title, todo = (f"{text.en}<br>{text.zh}" for text in (kind.title, kind.todo))
        yield f"| `{code}` | {kind.severity} | {title} | {todo} |"


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
