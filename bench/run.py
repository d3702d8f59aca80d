"""`make bench`: every row of the speed table, each figure beside its limit. Exit code 1 where one is missed.

.venv/bin/python bench/run.py [--only ROW]… [--quick] [--write]

The machine should be idle: the figures are CPU seconds and milliseconds of this machine, not ratios. `--quick` measures
for a third of the time and leaves the journal of 5 GB out; `--write` puts the table into docs/develop.md.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import backtest
import bacnet
import bounds
import disk
import drain
import gateway
import held_commit
import journal
import modbus_decode
import modbus_field
import opcua
import rules
import start
from figures import Figure, number, show
from gateway import Load

if TYPE_CHECKING:
    from collections.abc import Callable

NET = "127.61.7"
TABLE = Path(__file__).parents[1] / "docs" / "develop.md"
BEGIN, END = "<!-- bench -->\n", "<!-- /bench -->\n"


def whole(quick: bool) -> list[Figure]:
    return gateway.run(Load(seconds=_seconds(quick), is_promised=True), NET)


def whole_few_changing(quick: bool) -> list[Figure]:
    return gateway.run(Load(changing=4, seconds=_seconds(quick)), NET)


def whole_default_window(quick: bool) -> list[Figure]:
    return gateway.run(Load(window="1s", seconds=_seconds(quick)), NET)


def sustained(quick: bool) -> list[Figure]:
    """A hair below what is asked for: the two ends of the run cut polls in two."""
    return gateway.run(Load(poll_s=0.1, window="1s", seconds=_seconds(quick), points_s_min=99_000), NET)


def beyond(quick: bool) -> list[Figure]:
    return gateway.run(
        Load(devices=240, poll_s=0.05, window="1s", seconds=_seconds(quick), points_s_min=100_000, late_polls_min=1),
        NET,
    )


def _seconds(quick: bool) -> float:
    return 5.0 if quick else 15.0


ROWS: dict[str, tuple[str, Callable[[bool], list[Figure]]]] = {
    "whole": ("The whole way: 100 devices x 100 registers at 1 s, all changing, window 20 ms", whole),
    "whole-few": ("The same, 4 % changing", whole_few_changing),
    "whole-window": ("The same, all changing, default window of 1 s", whole_default_window),
    "sustained": ("The whole way: 100,000 points a second, all changing", sustained),
    "beyond": ("The whole way, asked for 480,000 points a second: slower polls, and nothing lost", beyond),
    "rules": ("The rules, all points changing each second", lambda _: rules.figures()),
    "journal": ("Journal, 200 values a record", lambda _: journal.figures()),
    "disk": ("Journal, bytes on disk", lambda quick: disk.figures(quick=quick)),
    "backtest": ("A backtest of a day through two sets of rules", lambda quick: backtest.figures(quick=quick)),
    "drain": ("A backlog to the broker, 200 values a record", lambda _: drain.figures()),
    "start": ("Start with a backlog of which nothing is acknowledged", lambda quick: start.figures(big=not quick)),
    "bounds": ("What it takes of the machine", lambda quick: bounds.figures(quick=quick)),
    "held-commit": ("A disk that does not answer", lambda _: held_commit.figures()),
    "modbus-field": (
        "Modbus up to the reading, by the lines of the daemon",
        lambda quick: modbus_field.figures(quick=quick),
    ),
    "bacnet": ("BACnet, values and flags of 100 objects, 20 in a request", lambda quick: bacnet.figures(quick=quick)),
    "opcua": ("OPC UA, 1,000 values that change ten times a second", lambda quick: opcua.figures(quick=quick)),
    "modbus": ("Modbus, 100 registers in one block, beside the bare library", lambda _: modbus_decode.figures()),
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", action="append", choices=ROWS, help="may be given several times")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    if options.write and (options.quick or options.only):
        parser.error("--write needs all rows at their full length")
    table: dict[str, list[Figure]] = {}
    missed = []
    for row in options.only or ROWS:
        title, measure = ROWS[row]
        print(f"\n{title}  ({row})", flush=True)
        table[title] = measure(options.quick)
        missed += [row] if show(table[title]) else []
    if options.write:
        write(table)
    if missed:
        print(f"\nmissed: {', '.join(missed)}")
    return 1 if missed else 0


def write(table: dict[str, list[Figure]]) -> None:
    """Between the two marks of the document."""
    before, _, rest = TABLE.read_text(encoding="utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    lines = [f"Python {platform.python_version()}, {os.cpu_count()} cores.\n", "\n"]
    lines += ["| figure | measured | limit |\n", "| --- | --- | --- |\n"]
    for title, figures in table.items():
        lines.append(f"| **{title}** | | |\n")
        for each in figures:
            limit = f"{each.limit_words}{', missed' if each.is_missed else ''}"
            lines.append(f"| {each.name} | {number(each.value)} {each.unit} | {limit} |\n")
    TABLE.write_text(before + BEGIN + "".join(lines) + END + after, encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
