"""A serial line that is asked for more than its time is refused before it runs; one without reserve is warned of."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from agent.accept import accept, plan
from agent.bus import share_of
from agent.clock import ManualClock
from config.errors import ConfigInvalid

if TYPE_CHECKING:
    from pathlib import Path

SERIAL = "protocol: modbus, serial: /dev/serial/by-id/usb-1, baud: 9600, timeout: 1s"
NETWORK = "protocol: modbus, host: 127.0.0.1"


def written(folder: Path, devices: int, *, poll: str = "1s", line: str = SERIAL) -> Path:
    """So many devices on one line, each with 60 registers in one request."""
    points = "".join(f"      r{n}: {{register: {n}, poll: {poll}}}\n" for n in range(60))
    parts = (
        f"  m-{n}:\n    line: one\n    system: energy\n    address: {{unit: {n}}}\n    points:\n{points}"
        for n in range(1, devices + 1)
    )
    (folder / "devices").mkdir()
    gateway = "site: h01\ngateway: gw-1\nuplinks: {main: {brokers: [mqtt://127.0.0.1]}}\n"
    (folder / "gateway.yaml").write_text(gateway, encoding="utf-8")
    (folder / "lines.yaml").write_text(f"lines:\n  one: {{{line}}}\n", encoding="utf-8")
    (folder / "devices" / "all.yaml").write_text("devices:\n" + "".join(parts), encoding="utf-8")
    return folder


def share(folder: Path) -> float:
    config, (driver,) = plan(folder, ManualClock())
    return share_of(config.lines[0], driver)


def test_a_line_that_cannot_do_it_is_refused(tmp_path: Path) -> None:
    """At its place in lines.yaml, with what it needs of what there is, and what to write instead."""
    folder = written(tmp_path, 12)
    needed = share(folder)
    assert needed > 1.2  # 12 devices with 125 bytes of answer at 9600 baud
    with pytest.raises(ConfigInvalid) as caught:
        accept(folder, ManualClock())
    (problem,) = caught.value.problems
    assert (problem.file, problem.line, problem.field) == ("lines.yaml", 2, "lines.one")
    assert problem.message == f"needs {needed:.2g} s of its 1 s cycle"
    assert "poll less often" in problem.hint


def test_a_line_without_reserve_is_warned_of(tmp_path: Path) -> None:
    """It works as long as no answer is lost."""
    folder = written(tmp_path, 5)
    assert 0.8 < share(folder) <= 1.0
    config, _ = accept(folder, ManualClock())
    (warning,) = (each for each in config.warnings if "cycle" in each.message)
    assert (warning.file, warning.line) == ("lines.yaml", 2)
    assert "too little is left" in warning.message


def test_slower_polls_need_less_of_it(tmp_path: Path) -> None:
    """In proportion to their interval; then nobody is told anything."""
    folder = written(tmp_path, 12, poll="10s")
    assert share(folder) < 0.3
    config, _ = accept(folder, ManualClock())
    assert not [each for each in config.warnings if "cycle" in each.message]


def test_a_network_is_not_judged(tmp_path: Path) -> None:
    """How long its devices take for an answer is not known beforehand."""
    assert share(written(tmp_path, 12, line=NETWORK)) == 0.0
