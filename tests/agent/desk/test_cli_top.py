"""The live view as it is drawn: fits its terminal, in both languages, and says what moves."""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING

import msgspec
import pytest
from fake_desk import alarm, device, point, status
from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from agent.cli.top import GONE_S, Memory, Scene, render
from agent.cli.words import Words
from agent.events import Names

if TYPE_CHECKING:
    from agent.status import AlarmView, PointView, Status

replace = msgspec.structs.replace


def many_alarms(count: int) -> list[AlarmView]:
    return [
        replace(alarm(), occurrence_id=str(n), text=Names(zh=f"报警{n}", en=f"Trouble {n}"), colour="orange")
        for n in range(count)
    ]


def busy(alarms: int = 3) -> Status:
    devices = [replace(device(f"dev-{n}"), line="lv") for n in range(8)]
    line = replace(status().lines[0], devices=[each.id for each in devices])
    return replace(status(), devices=devices, lines=[line], alarms=[alarm(), *many_alarms(alarms - 1)])


def values(reading: float) -> list[PointView]:
    return [
        view
        for n in range(8)
        for view in (
            point(f"dev-{n}", "u_ab", reading + n),
            point(f"dev-{n}", "i_a", None, q="bad", qr="sensor_fault", unit="A"),
            point(f"dev-{n}", "t", 21.5, q="uncertain", qr="range_suspect", unit="Cel"),
            point(f"dev-{n}", "run", reading > 400, unit="1"),
        )
    ]


def drawn(
    now: Status, memory: Memory, *, columns: int = 120, rows: int = 36, mono: float = 0.0, lang: str = "en"
) -> list[str]:
    """The screen as lines of text."""
    scene = Scene(now, memory_points(memory, mono), [1.0, 4.0, 2.0], 12.0, 345, Text("next: fire"), mono)
    console = Console(file=io.StringIO(), record=True, width=columns, height=rows, force_terminal=True)
    console.print(render(scene, memory, Words("zh" if lang == "zh" else "en"), columns, rows))
    return console.export_text().splitlines()


def memory_points(memory: Memory, mono: float) -> list[PointView]:
    reading = 402.0 if mono >= 1 else 398.0
    shown = values(reading)
    memory.note(shown, [], mono)
    return shown


@pytest.mark.parametrize("lang", ["en", "zh"])
@pytest.mark.parametrize(("columns", "rows"), [(80, 24), (120, 36), (200, 60)])
def test_every_line_fits_the_terminal(columns: int, rows: int, lang: str) -> None:
    """As many lines as the terminal has, none wider, with devices, alarms and keys all there."""
    screen = drawn(busy(), Memory(), columns=columns, rows=rows, lang=lang)
    assert len(screen) == rows
    assert max(map(cell_len, screen)) <= columns
    text = "\n".join(screen)
    assert all(f"dev-{n}" in text for n in range(8))
    assert ("Fire in zone 3" if lang == "en" else "三区火警") in text
    assert not re.search(r"(红|red) +…", text)
    assert ("quit" if lang == "en" else "退出") in screen[-1]


def test_a_value_that_moved_shows_which_way() -> None:
    """An arrow stands beside a fresh change, and goes."""
    memory = Memory()
    before = drawn(busy(), memory)
    after = drawn(busy(), memory, mono=1.0)
    later = drawn(busy(), memory, mono=9.0)
    assert not any("↑" in line for line in before)
    assert sum("u_ab 402" in line and "V↑" in line for line in after) >= 1
    assert not any("V↑" in line for line in later)


def test_a_bad_value_is_never_a_number() -> None:
    """A failed sensor is a dash with its reason."""
    assert sum("i_a — sensor_fault" in line for line in drawn(busy(), Memory())) == 8


def test_a_state_that_changed_is_told() -> None:
    """A switch that came on is beside the numbers."""
    memory = Memory()
    assert not any("run ✓" in line for line in drawn(busy(), memory))
    assert sum("run ✓" in line for line in drawn(busy(), memory, mono=1.0)) == 8


def test_an_offline_device_shows_its_reason_instead_of_old_values() -> None:
    """Nothing that is no longer known looks as if it were."""
    now = busy()
    gone = replace(now.devices[0], state="offline", reason="no answer within 2 s")
    (line,) = [line for line in drawn(replace(now, devices=[gone, *now.devices[1:]]), Memory()) if "dev-0" in line]
    assert "offline  no answer within 2 s" in line
    assert "u_ab" not in line


def test_more_alarms_than_rows_are_counted() -> None:
    """The worst are shown, and how many are not."""
    text = "\n".join(drawn(busy(alarms=40), Memory(), rows=24, columns=80))
    assert "Fire in zone 3" in text
    shown = sum(f"Trouble {n} " in text for n in range(40))
    assert f"+{39 - shown}" in text


def test_an_alarm_that_ended_is_shown_for_a_while() -> None:
    """It leaves crossed out, and then altogether."""
    memory = Memory()
    memory.note([], [alarm()], 0.0)
    memory.note([], [], 1.0)
    quiet = replace(busy(), alarms=[])
    assert any("Fire in zone 3" in line and "cleared" in line for line in drawn(quiet, memory, mono=1.5))
    assert not any("Fire in zone 3" in line for line in drawn(quiet, memory, mono=1.5 + GONE_S))


def test_before_the_first_status_there_is_a_note() -> None:
    """An empty screen still says what is going on."""
    scene = Scene(None, [], [], 0.0, 0, Text("starting"), 0.0)
    console = Console(file=io.StringIO(), record=True, width=80, height=24, force_terminal=True)
    console.print(render(scene, Memory(), Words("en"), 80, 24))
    assert "starting" in console.export_text()


def test_more_devices_than_rows_are_counted_and_alarms_keep_their_room() -> None:
    """As many as fit, how many are not shown, and the alarms below."""
    text = "\n".join(drawn(busy(alarms=3), Memory(), rows=20, columns=80))
    shown = sum(f"dev-{n}" in text for n in range(8))
    assert 1 <= shown < 8
    assert f"+{8 - shown}" in text
    assert "Fire in zone 3" in text


def test_a_hidden_alarm_says_what_hides_it_and_is_not_counted() -> None:
    """It stands there, in words, and calls nobody."""
    shelved = replace(alarm(), overlay=["SHLVD"], hidden=True)
    lines = drawn(replace(status(), alarms=[shelved]), Memory())
    (row,) = [line for line in lines if "Fire in zone 3" in line]
    assert "shelved" in row
    assert not any("1 red" in line for line in lines)
