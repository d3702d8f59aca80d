"""The page `docs/packs.md`, made from the packs themselves. `python tests/support/pack_table.py` writes it anew."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from config import yaml12
from config.folder import SHIPPED_PACKS, shipped_packs

PAGE = Path(__file__).parents[2] / "docs" / "packs.md"
HEAD = """# The alarm packs

<!-- Made from config/alarm_packs by `python tests/support/pack_table.py`; a test compares. -->

每个系统一个报警包：限值、回差、延时、颜色、文字和处置建议。限值是起点，由现场工程师核对；
标 † 的报警取决于现场，确认后才投入（`confirmed_by`）。用法见 [alarms.md](alarms.md#packs)。

One pack for each system: limits, deadbands, delays, colours, texts and advice to begin with; how to use them is in
[alarms.md](alarms.md#packs). Limits are for a site engineer to check. **✚** is life safety, **⚿** latches, **†**
depends on the site and does not run until somebody confirms it. *Optional* alarms are left out where the device
lacks the point; a missing point of any other is a mistake. `{n}` is any number or name. The basis of a limit is
*verified* (read in the source), *secondary* (as others quote it), *unverified* (general knowledge) or *experience*
(a default of ours).
"""
COLUMNS = ("alarm", "point", "when", "for", "colour", "basis")
SHORT = {"engineering default": "ours"}


def page() -> str:
    """The whole page."""
    return "\n".join([HEAD, *(_pack(name) for name in shipped_packs())])


def _pack(name: str) -> str:
    text = (SHIPPED_PACKS / f"{name}.yaml").read_text(encoding="utf-8")
    data, _ = yaml12.load(text)
    said = " ".join(line.removeprefix("# ") for line in text.splitlines() if line.startswith("#"))
    rows = [_row(key, row) for key, row in data["alarms"].items()]
    lines = [("", *COLUMNS), ("", *("---" for _ in COLUMNS)), *(("", *row) for row in rows)]
    table = "\n".join(" | ".join(cells).strip() + " |" for cells in lines)
    return f"## {name} {data['name']['zh']}\n\n{data['name']['en']}. {said}\n\n{table}\n"


def _row(key: str, row: dict[str, Any]) -> tuple[str, ...]:
    marks = [mark for mark, field in (("✚", "life_safety"), ("⚿", "latching"), ("†", "depends_on")) if row.get(field)]
    point = row.get("point", ", ".join(row.get("needs", [])))
    shown = " or ".join(f"`{one}`" for one in point) if isinstance(point, list) else f"`{point}`"
    optional = " *optional*" if row.get("optional") else ""
    basis = f"{SHORT.get(row['basis']['source'], row['basis']['source'])}, {row['basis']['status']}"
    return (
        " ".join([f"`{key}`", *marks]),
        shown + optional,
        _when(row),
        row.get("on_delay", ""),
        _colour(row["colour"]),
        basis.removeprefix("ours, "),
    )


def _when(row: dict[str, Any]) -> str:
    """The condition, as a person says it."""
    unit = f" {row['unit']}" if "unit" in row else ""
    parts = [f"{row['mean']} mean"] if "mean" in row else []
    if "limit" in row:
        parts.append(", ".join(f"{level} {limit:g}" for level, limit in row["limit"].items()) + unit)
    if "state" in row:
        states = row["state"] if isinstance(row["state"], list) else [row["state"]]
        parts.append(" or ".join(str(state).lower() if isinstance(state, bool) else str(state) for state in states))
    if "counter" in row:
        parts.append("stands still" if "still" in row["counter"] else "runs backwards")
        parts += [row["counter"]["still"]] if "still" in row["counter"] else []
    if "expression" in row:
        parts.append(f"`{row['expression']}`".replace("|", "\\|"))
    if "when" in row:
        parts.append(f"while `{row['when']}`")
    return " ".join(parts)


def _colour(colour: str | dict[str, str]) -> str:
    return colour if isinstance(colour, str) else ", ".join(f"{level} {name}" for level, name in colour.items())


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
