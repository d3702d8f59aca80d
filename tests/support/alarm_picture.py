"""The picture of the alarm states in the documentation, drawn from the table that the rules run on.

`make diagram` writes it; a test holds the committed one against what would be drawn today. A row of the table between
two states for which nobody has laid a line is an error: so nothing is in the table and not in the picture.
"""

from __future__ import annotations

import sys
from html import escape
from typing import TYPE_CHECKING, NamedTuple

from agent.rules.machine import SILENT, STATES, TABLE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agent.events import AlarmState
    from agent.rules.machine import Row, Trigger

WIDTH, HEIGHT = 1000, 640
BOX_WIDTH, BOX_HEIGHT = 190, 84
LINE_HEIGHT = 15


class Box(NamedTuple):
    """Where a state stands, its colours, and what it says to a person."""

    x: int
    y: int
    fill: str
    zh: str
    en: str


class Way(NamedTuple):
    """A line from one state to another, and where its words stand."""

    path: str
    x: int
    y: int
    anchor: str = "middle"


BOXES: dict[AlarmState, Box] = {
    "NORM": Box(40, 262, "#d9f2e0", "正常", "normal"),
    "UNACK": Box(390, 80, "#f8c9c9", "报警，未确认", "active, nobody has seen it"),
    "ACKED": Box(770, 80, "#fbdcb6", "报警，已确认", "active, somebody is on it"),
    "RTNUN": Box(390, 262, "#fbf1b3", "已恢复，未确认", "over, nobody has seen it"),
    "LTUNK": Box(390, 460, "#e3d5f3", "已恢复，锁存未确认", "over, latched, not seen"),
    "LTACK": Box(770, 460, "#e8e4f0", "已恢复，锁存已确认", "over, latched, seen"),
}
WAYS: dict[tuple[AlarmState, AlarmState], Way] = {
    ("NORM", "UNACK"): Way("M 135 262 L 135 122 L 390 122", 145, 140, "start"),
    ("UNACK", "ACKED"): Way("M 580 98 L 770 98", 675, 92),
    ("ACKED", "UNACK"): Way("M 770 132 L 580 132", 675, 150),
    ("UNACK", "RTNUN"): Way("M 440 164 L 440 262", 432, 214, "end"),
    ("RTNUN", "UNACK"): Way("M 500 262 L 500 164", 508, 250, "start"),
    ("RTNUN", "NORM"): Way("M 390 304 L 230 304", 291, 298),
    ("ACKED", "NORM"): Way("M 865 80 L 865 40 L 85 40 L 85 262", 480, 33),
    ("UNACK", "LTUNK"): Way("M 405 164 L 350 190 L 350 490 L 390 490", 342, 400, "end"),
    ("LTUNK", "UNACK"): Way("M 560 460 L 610 430 L 610 200 L 560 164", 618, 400, "start"),
    ("LTUNK", "LTACK"): Way("M 580 516 L 770 516", 675, 534),
    ("LTACK", "UNACK"): Way("M 800 460 L 800 330 L 575 164", 806, 350, "start"),
    ("ACKED", "LTACK"): Way("M 925 164 L 925 460", 919, 260, "end"),
    ("LTACK", "NORM"): Way("M 865 544 L 865 584 L 135 584 L 135 346", 480, 578),
}
WORDS: dict[Trigger, str] = {
    "true": "条件成立 it is so",
    "false": "条件消失 it is over",
    "up": "升级 a worse level",
    "down": "降级 a better level",
    "ack": "确认 acknowledged",
    "reset": "复位 reset",
    "overdue": "确认超时 late",
    "realarm": "重复报警 calls again",
    "bad": "来源丢失 nobody knows (fail_safe)",
    "usable": "来源恢复 it is known again",
}
SHOWN_AGAIN: Trigger = "unhide"


def drawn() -> list[Row]:
    """What an alarm that asks for an acknowledgement does.

    What changes nothing for anybody is left out, and that the configuration may take it away in every state.
    """
    left_out = ("overlay", "removed")
    return [
        row
        for row in TABLE
        if row.ack_required is not False and row.action not in SILENT and row.trigger not in left_out
    ]


def picture() -> str:
    """The whole of it as SVG."""
    body = "\n".join([*_lines(), *_boxes(), *_footer()])
    font = 'font-family="sans-serif" font-size="12"'
    return f"""<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" {font}>
<title>报警状态图 The states of an alarm</title>
<defs><marker id="tip" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="8" markerHeight="8" orient="auto">\
<path d="M 0 0 L 8 4 L 0 8 z" fill="#444"/></marker></defs>
<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>
{body}
</svg>
"""


def _lines() -> Iterator[str]:
    between: dict[tuple[AlarmState, AlarmState], list[Row]] = {}
    for row in drawn():
        if row.state != row.to and row.trigger != SHOWN_AGAIN:
            between.setdefault((row.state, row.to), []).append(row)
    for ends in between:
        yield f'<path d="{WAYS[ends].path}" fill="none" stroke="#444" stroke-width="1.4" marker-end="url(#tip)"/>'
    for ends, rows in between.items():
        way = WAYS[ends]
        for number, words in enumerate(dict.fromkeys(_words(row) for row in rows)):
            yield _text(way.x, way.y + number * LINE_HEIGHT, words, anchor=way.anchor)


def _words(row: Row) -> str:
    if row.latching is None:
        return WORDS[row.trigger]
    return f"{WORDS[row.trigger]} ({'锁存 latching' if row.latching else '不锁存 not latching'})"


def _boxes() -> Iterator[str]:
    for state in STATES:
        box = BOXES[state]
        middle = box.x + BOX_WIDTH // 2
        yield (
            f'<rect x="{box.x}" y="{box.y}" width="{BOX_WIDTH}" height="{BOX_HEIGHT}" rx="8" fill="{box.fill}" '
            'stroke="#444"/>'
        )
        yield _text(middle, box.y + 20, state, weight="bold", size=15)
        yield _text(middle, box.y + 37, box.zh, halo=False)
        yield _text(middle, box.y + 52, box.en, halo=False)
        stays = dict.fromkeys(
            WORDS[row.trigger].split()[0]
            for row in drawn()
            if row.state == row.to == state and row.trigger != SHOWN_AGAIN
        )
        if stays:
            yield _text(middle, box.y + 72, "↻ " + " · ".join(stays), size=10, halo=False)


def _footer() -> Iterator[str]:
    """What happens to an alarm that was hidden, once it is shown again."""
    rows = [row for row in drawn() if row.trigger == SHOWN_AGAIN]
    kinds = {None: "不再隐藏 shown again:", False: "其中不锁存 not latching:", True: "其中锁存 latching:"}
    x = 40
    for latching, words in kinds.items():
        ways = [f"{row.state} → {row.to}" for row in rows if row.latching is latching]
        yield _text(x, 610, words, anchor="start", weight="bold", size=11)
        yield _text(x, 627, ",  ".join(ways), anchor="start", size=10)
        x += 310


def _text(
    x: int, y: int, words: str, *, anchor: str = "middle", weight: str = "normal", size: int = 12, halo: bool = True
) -> str:
    """With a halo, so that a line behind it does not disturb."""
    style = f'text-anchor="{anchor}" font-weight="{weight}" font-size="{size}"'
    outline = ' stroke="#fff" stroke-width="4" paint-order="stroke"' if halo and weight == "normal" else ""
    return f'<text x="{x}" y="{y}" {style} fill="#222"{outline}>{escape(words)}</text>'


if __name__ == "__main__":
    sys.stdout.write(picture())
