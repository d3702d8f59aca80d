"""The live view: what a status snapshot, the points and a few counters look like on a terminal.

Rendering only. It sees what any operator sees through the control client, plus what the demo's own subscriber counted;
it asks nobody and keeps nothing but how values moved.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rich.align import Align
from rich.console import Group
from rich.layout import Layout
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from agent.cli import show

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from rich.console import RenderableType

    from agent.cli.words import Words
    from agent.events import Value
    from agent.status import AlarmView, DeviceView, LineView, PointView, Status, UplinkView

FRESH_S = 1.2
"""How long a value that moved stands out."""
NEWS_S = 15.0
"""How long a state that changed is told first."""
GONE_S = 8.0
"""How long an alarm that ended is still shown."""
ALARM_ROWS = 6
"""So many alarms have room, whatever the number of devices."""

ROOMY_ROWS = 30
ROOMY_COLUMNS = 100
CELL_COLUMNS = 17
"""What a value with name and unit is padded to, so values of several devices stand below each other."""
BADGE_COLUMNS = 10
LABEL_COLUMNS = 64
"""What a device's row needs beside its numbers: id, name, and some room for states."""
HEADER_ROWS = 2
FOOTER_ROWS = 2
BORDER_ROWS = 2
ROWS_WITH_ADVICE = 2
SPARKS = "▁▂▃▄▅▆▇█"
SPARK_SPAN_S = 24
COLOURS = ("red", "orange", "yellow", "blue")
INKS = {"red": "bright_red", "orange": "dark_orange", "yellow": "yellow", "blue": "bright_blue"}
STATES = {
    "NORM": "normal",
    "UNACK": "unacknowledged",
    "ACKED": "acknowledged",
    "RTNUN": "returned",
    "LTUNK": "latched",
    "LTACK": "latched, acknowledged",
}
"""The states of an alarm, as people say them."""
OVERLAYS = {"OOSRV": "out of service", "DSUPR": "suppressed", "SHLVD": "shelved"}
"""What hides an alarm, in the same way."""
UNACKNOWLEDGED = ("UNACK", "RTNUN", "LTUNK")
KEYS = (
    ("b", "broker"),
    ("s", "silence"),
    ("m", "mains"),
    ("f", "fire"),
    ("o", "oxygen"),
    ("a", "ack all"),
    ("q", "quit"),
)


@dataclass(slots=True)
class Trace:
    """How one point moved: its value, when and which way it last changed, and how often."""

    value: Value
    changed: float = -1e9
    direction: int = 0
    moves: int = 0


@dataclass(slots=True)
class Memory:
    """What the view remembers between frames. `mono` below is any monotonic time in seconds."""

    traces: dict[tuple[str, str], Trace] = field(default_factory=dict)
    alarms: dict[str, AlarmView] = field(default_factory=dict)
    gone: dict[str, tuple[AlarmView, float]] = field(default_factory=dict)

    def note(self, points: Iterable[PointView], alarms: Iterable[AlarmView], mono: float) -> None:
        for point in points:
            self._note_point(point, mono)
        now = {alarm.occurrence_id: alarm for alarm in alarms}
        for occurrence, alarm in self.alarms.items():
            if occurrence not in now:
                self.gone[occurrence] = (alarm, mono)
        self.gone = {key: kept for key, kept in self.gone.items() if mono - kept[1] < GONE_S and key not in now}
        self.alarms = now

    def _note_point(self, point: PointView, mono: float) -> None:
        key = (point.device, point.point)
        trace = self.traces.get(key)
        if trace is None:
            self.traces[key] = Trace(point.value)
        elif point.value != trace.value:
            trace.direction = _direction(trace.value, point.value)
            trace.value, trace.changed, trace.moves = point.value, mono, trace.moves + 1

    def of(self, point: PointView) -> Trace:
        return self.traces.get((point.device, point.point)) or Trace(point.value)


def _direction(old: Value, new: Value) -> int:
    if isinstance(old, (int, float)) and isinstance(new, (int, float)):
        return (new > old) - (new < old)
    return 0


@dataclass(frozen=True, slots=True)
class Scene:
    """One frame's worth. `rates` are events per second, oldest first; `note` is the one sentence below everything."""

    status: Status | None
    points: Sequence[PointView]
    rates: Sequence[float]
    values_per_s: float
    received: int
    note: Text
    mono: float


def render(scene: Scene, memory: Memory, words: Words, columns: int, rows: int) -> RenderableType:
    """The whole screen. Fits 80x24; has room for more from 100x30 on."""
    if scene.status is None:
        return Align.center(scene.note, vertical="middle", height=rows)
    room = rows - HEADER_ROWS - FOOTER_ROWS - 2 * BORDER_ROWS - ALARM_ROWS
    count = len(scene.status.devices)
    roomy = columns >= ROOMY_COLUMNS and room >= count + len(scene.status.lines) and rows >= ROOMY_ROWS
    devices = _devices(scene, memory, words, columns=columns, roomy=roomy, most=room)
    device_rows = BORDER_ROWS + min(room, count + (len(scene.status.lines) if roomy else 0))
    alarm_rows = rows - HEADER_ROWS - FOOTER_ROWS - device_rows
    alarms = _alarms(scene, scene.status, memory, words, rows=alarm_rows, roomy=roomy)
    body = Layout()
    body.split_column(
        Layout(_header(scene, scene.status, words, columns), size=HEADER_ROWS),
        Layout(devices, size=device_rows),
        Layout(alarms, minimum_size=BORDER_ROWS + 1),
        Layout(Group(_one_line(scene.note), _keys(words)), size=FOOTER_ROWS),
    )
    return body


# --- header -----------------------------------------------------------------------------------------------------------


def _header(scene: Scene, status: Status, words: Words, columns: int) -> RenderableType:
    up_s = int(show.seconds_between(status.started, status.now))
    left = Text.assemble((" wardgate ", "bold black on bright_cyan"), "  ", (words.of(status.name), "bold"))
    left.append(f"  {status.site}/{status.gateway}", "dim")
    right = Text()
    for uplink in status.uplinks:
        right.append_text(_uplink(uplink, words))
        right.append("   ")
    right.append(f"{words('uptime')} {up_s // 60:02d}:{up_s % 60:02d}   {show.local_time(status.now)}")
    return Group(_two_ends(left, right), _two_ends(_flow(scene, words, columns), _journal(status, words)))


def _uplink(uplink: UplinkView, words: Words) -> Text:
    style = show.STYLES.get(uplink.state, "")
    return Text.assemble(("● ", style), f"{words('uplink')} ", (words(uplink.state), style))


def _flow(scene: Scene, words: Words, columns: int) -> Text:
    rate = scene.rates[-1] if scene.rates else 0.0
    text = Text.assemble(" ", (f"{rate:5.1f}", "bold"), (f" {words('events/s')} ", "dim"))
    if columns >= ROOMY_COLUMNS:
        text.append(_sparks(scene.rates), "cyan")
        text.append(f"  {scene.values_per_s:,.0f}", "bold")
        text.append(f" {words('values/s')}", "dim")
    return text.append(f"  {scene.received:,} {words('received')}", "dim")


def _sparks(rates: Sequence[float]) -> str:
    shown = rates[-SPARK_SPAN_S:]
    top = max([*shown, 1.0])
    return "".join(SPARKS[round(rate / top * (len(SPARKS) - 1))] for rate in shown).rjust(SPARK_SPAN_S)


def _journal(status: Status, words: Words) -> Text:
    kept = status.journal
    records = sum(stream.records for stream in kept.streams.values())
    waiting = sum(sum(uplink.waiting.values()) for uplink in status.uplinks)
    text = Text.assemble((f"{words('journal')} ", "dim"), (f"{records:,}", "bold"), f" {words('records')}  ")
    text.append(f"{show.size(kept.size_bytes)}  ")
    text.append(f"{words('to send')} ", "dim")
    text.append(f"{waiting:,}", "bold yellow" if waiting > sum(up.in_flight for up in status.uplinks) else "bold green")
    return text if kept.error is None else text.append(f"  {words.said(kept.error)}", "bold red")


# --- devices ----------------------------------------------------------------------------------------------------------


def _devices(scene: Scene, memory: Memory, words: Words, *, columns: int, roomy: bool, most: int) -> Panel:
    """Every device below its line, or as many devices as there is room for, those that need somebody first."""
    assert scene.status is not None
    table = Table.grid(padding=(0, 1), expand=True)
    table.add_column(no_wrap=True, width=14)
    table.add_column(no_wrap=True, max_width=26 if roomy else 14, overflow="ellipsis")
    table.add_column(no_wrap=True, ratio=1, overflow="ellipsis")
    by_device = _grouped(scene.points)
    by_need = sorted(scene.status.devices, key=lambda device: device.state == "online")
    left_out = 0 if roomy else max(0, len(by_need) - most)
    known = {device.id: device for device in by_need[: len(by_need) - left_out - (left_out > 0)]}
    for line in scene.status.lines:
        if roomy:
            table.add_row(*_line(line, words))
        for device in (known[name] for name in line.devices if name in known):
            values = _values(device, by_device.get(device.id, []), memory, words, scene.mono, columns)
            name = Text(words.of(device.name), style="dim" if device.state == "offline" else "")
            table.add_row(_named(device, indent=2 if roomy else 0), name, values)
    if left_out:
        table.add_row("", "", Text(f"+{left_out + 1}", style="bright_black"))
    online = sum(device.state == "online" for device in scene.status.devices)
    title = f"[bold]{words('devices')}[/] {online}/{len(scene.status.devices)} {words('online')}"
    return Panel(table, title=title, title_align="left", border_style="bright_black", padding=(0, 1))


def _grouped(points: Iterable[PointView]) -> dict[str, list[PointView]]:
    groups: dict[str, list[PointView]] = {}
    for point in points:
        groups.setdefault(point.device, []).append(point)
    return groups


def _line(line: LineView, words: Words) -> tuple[Text, Text, Text]:
    style = show.STYLES.get(line.state, "")
    about = Text(f"{line.protocol}  {line.endpoint}", style="bright_black")
    if line.state != "up":
        about.append(f"  {words.said(line.error) if line.error else words(line.state)}", style)
    return Text.assemble(("▪ ", style), (line.id, "bright_black")), Text(words.of(line.name), "bright_black"), about


def _named(device: DeviceView, indent: int) -> Text:
    style = show.STYLES.get(device.state, "")
    return Text.assemble(" " * indent, ("● ", style), (device.id, "bold cyan"))


def _values(
    device: DeviceView, points: Sequence[PointView], memory: Memory, words: Words, mono: float, columns: int
) -> Text:
    if device.state == "offline":
        text = Text.assemble((words("offline"), "bold red"), f"  {words.said(device.reason)}")
        return text.append(f"  {words('last ok')} {show.local_time(device.last_ok)}", "dim")
    text = Text(no_wrap=True, overflow="ellipsis")
    for point in _telling(points, memory, count=max(2, (columns - LABEL_COLUMNS) // CELL_COLUMNS)):
        text.append_text(_measured(point, memory.of(point), mono, words))
    states = [point for point in points if _is_state(point)]
    news = [point for point in states if mono - memory.of(point).changed < NEWS_S]
    for point in sorted(news, key=lambda point: point.value is False):
        text.append_text(_state(point, words, "bold yellow" if point.value else "yellow"))
    for point in states:
        if point not in news and point.value is not False:
            text.append_text(_state(point, words, "dim"))
    return text or Text(words("all quiet"), style="dim green")


def _is_state(point: PointView) -> bool:
    return isinstance(point.value, (bool, str)) and point.q != "bad"


def _state(point: PointView, words: Words, style: str) -> Text:
    if isinstance(point.value, bool):
        return Text(f"{point.point} ✓  " if point.value else f"{point.point} ✗  ", style=style)
    return Text(f"{point.point} {words(str(point.value))}  ", style=style)


def _telling(points: Sequence[PointView], memory: Memory, count: int) -> list[PointView]:
    """Numbers that say most: those that move before those that stand, a new unit before a repeated one."""
    numbers = [point for point in points if not _is_state(point) and (point.value is not None or point.q == "bad")]
    numbers.sort(key=lambda point: (memory.of(point).moves == 0, point.unit == "1"))
    by_unit: dict[str, PointView] = {}
    for point in numbers:
        by_unit.setdefault(point.unit, point)
    first = list(by_unit.values())
    rest = [point for point in numbers if point not in first]
    chosen = (first + rest)[:count]
    return [point for point in points if point in chosen]


def _measured(point: PointView, trace: Trace, mono: float, words: Words) -> Text:
    if point.q == "bad":
        return Text.assemble((f"{point.point} ", "dim"), (f"— {words(point.qr)}  ", "red"))
    fresh = mono - trace.changed < FRESH_S
    arrow = {1: "↑", -1: "↓"}.get(trace.direction, " ") if fresh else " "
    ink = "yellow" if point.q == "uncertain" else ("bold bright_white" if fresh else "")
    text = Text.assemble((f"{point.point} ", "dim"), (show.value(point.value), ink))
    text.append(f" {show.unit(point.unit)}", "dim").append(arrow, "cyan")
    text.pad_right(max(1, CELL_COLUMNS - text.cell_len))
    return text


# --- alarms -----------------------------------------------------------------------------------------------------------


def _alarms(scene: Scene, status: Status, memory: Memory, words: Words, *, rows: int, roomy: bool) -> Panel:
    table = Table.grid(padding=(0, 1), expand=True)
    table.add_column(no_wrap=True, width=BADGE_COLUMNS)
    table.add_column(no_wrap=True, width=8)
    table.add_column(no_wrap=True, justify="right", width=6)
    table.add_column(no_wrap=True, ratio=1, overflow="ellipsis")
    table.add_column(no_wrap=True, justify="right", max_width=24)
    table.add_column(no_wrap=True, max_width=16, overflow="ellipsis")
    room = rows - BORDER_ROWS
    with_advice = roomy and ROWS_WITH_ADVICE * len(status.alarms) + len(memory.gone) <= room
    shown = status.alarms if with_advice or len(status.alarms) <= room else status.alarms[: room - 1]
    for alarm in shown:
        table.add_row(*_alarm(alarm, status, words, roomy=roomy))
        if with_advice:
            table.add_row("", "", "", _advice(alarm, words), "", "")
    if len(shown) < len(status.alarms):
        table.add_row("", "", "", Text(f"+{len(status.alarms) - len(shown)}", style="bold"), "", "")
    for alarm, mono in memory.gone.values():
        table.add_row(*_gone(alarm, scene.mono - mono, words))
    if not table.rows:
        table.add_row("", "", "", Text(words("no alarms"), style="green"), "", "")
    title = Text.assemble((words("alarms"), "bold"), *_counts(status.alarms, words))
    worst = min((COLOURS.index(alarm.colour) for alarm in status.alarms if _is_active(alarm)), default=None)
    edge = "bright_black" if worst is None else INKS[COLOURS[worst]]
    return Panel(table, title=title, title_align="left", border_style=edge, padding=(0, 1))


def _is_active(alarm: AlarmView) -> bool:
    return alarm.state in {"UNACK", "ACKED"} and not alarm.hidden


def _counts(alarms: Sequence[AlarmView], words: Words) -> Iterator[tuple[str, str]]:
    for colour in COLOURS:
        count = sum(alarm.colour == colour and not alarm.hidden for alarm in alarms)
        if count:
            yield f"  {count} {words(colour)}", INKS[colour]


def _alarm(alarm: AlarmView, status: Status, words: Words, *, roomy: bool) -> tuple[Text, ...]:
    """An active alarm stands on its colour; one that has returned keeps the colour in its letters only."""
    ink = INKS[alarm.colour]
    badge = Text(f" {words(alarm.colour)} {alarm.level or ''}", show.STYLES[alarm.colour] if _is_active(alarm) else ink)
    badge.truncate(BADGE_COLUMNS, pad=True)
    text = Text(words.of(alarm.text), style=f"bold {ink}" if _is_active(alarm) else ink)
    if roomy and words.other(alarm.text):
        text.append(f"  {words.other(alarm.text)}", "dim")
    return (
        badge,
        Text(show.local_time(alarm.raised), "dim"),
        Text(show.age(show.seconds_between(alarm.raised, status.now), decimals=0)),
        text,
        _cause(alarm, words),
        Text(words(_standing(alarm)), style="bold" if alarm.state in UNACKNOWLEDGED and not alarm.hidden else "dim"),
    )


def _standing(alarm: AlarmView) -> str:
    return OVERLAYS[alarm.overlay[0]] if alarm.overlay else STATES[alarm.state]


def _advice(alarm: AlarmView, words: Words) -> Text:
    return Text(f"→ {words.of(alarm.advice)}" if words.of(alarm.advice) else "", style="italic dim")


def _cause(alarm: AlarmView, words: Words) -> Text:
    value = words(show.value(alarm.value)) if isinstance(alarm.value, bool) else show.value(alarm.value)
    text = Text(f"{value} {show.unit(alarm.unit)}".rstrip())
    if alarm.limit is not None:
        text.append(f" ({show.value(alarm.limit)})", "dim")
    return text


def _gone(alarm: AlarmView, ago_s: float, words: Words) -> tuple[Text, ...]:
    badge = Text(f" {words(alarm.colour)}".rstrip(), style=f"strike {INKS[alarm.colour]}")
    text = Text(words.of(alarm.text), style="strike dim")
    return (
        badge,
        Text(show.local_time(alarm.raised), "dim"),
        Text(""),
        text,
        Text(""),
        Text(f"✓ {words('cleared')} {ago_s:.0f} s", "green"),
    )


# --- footer -----------------------------------------------------------------------------------------------------------


def _keys(words: Words) -> Text:
    text = Text(" ", no_wrap=True, overflow="crop")
    for key, meaning in KEYS:
        text.append(f" {key} ", "bold black on bright_white")
        text.append(f" {words(meaning)}  ")
    return text


def _one_line(text: Text) -> Text:
    line = Text(" ", no_wrap=True, overflow="ellipsis")
    return line.append_text(text)


def _two_ends(left: Text, right: Text) -> Table:
    table = Table.grid(expand=True)
    table.add_column(no_wrap=True, ratio=1, overflow="ellipsis")
    table.add_column(no_wrap=True, justify="right")
    table.add_row(left, right.append(" "))
    return table
