"""`make bench`: every row of the speed table, each against its limit. Exit code 1 where a limit is missed.

The machine should be idle: the figures are CPU seconds and milliseconds of this machine, not ratios. `--quick` measures
for a third of the time; `--big` adds the start with a journal of 5 GB.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

from gateway import Load, run

HERE = Path(__file__).parent
NET = "127.61.7"
ROWS = (
    Load("100 devices x 100 registers at 1 s, all changing"),
    Load("the same, 4 % changing", changing=4),
    Load("all changing, default window of 1 s", window="1s"),
)
LIMITS = {
    "CPU s per million points": 5.0,
    "p50 ms": 50.0,
    "p99 ms": 100.0,
    "RSS peak MB": 110.0,
    "first values s": 5.0,
}
"""Of the first row: the promise. The others are shown for comparison."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--big", action="store_true")
    options = parser.parse_args()
    seconds = 5.0 if options.quick else 15.0
    missed = []
    for number, load in enumerate(ROWS):
        row = run(Load(load.name, load.devices, load.changing, seconds, load.window), NET)
        print(f"\n{row.pop('row')}  (telemetry window {load.window})")
        for name, figure in row.items():
            limit = LIMITS.get(name) if number == 0 else None
            verdict = "" if limit is None else f"   limit {limit:g}" + ("" if float(figure) <= limit else "   MISSED")
            print(f"  {name:<26}{figure:>12}{verdict}", flush=True)
            missed += [name] if "MISSED" in verdict else []
    big = ("--big",) if options.big else ()
    for script, *more in (
        ("journal.py",),
        ("drain.py",),
        ("start.py", *big),
        ("held_commit.py",),
        ("modbus_decode.py",),
    ):
        print(f"\n{script}", flush=True)
        done = subprocess.run([sys.executable, str(HERE / script), *more], check=False)
        missed += [script] if done.returncode else []
    if missed:
        print(f"\nmissed: {', '.join(missed)}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
