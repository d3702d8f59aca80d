"""What people on the spot read: the alarms' own texts in both languages, as words and as JSON. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from agent.events import AlarmTransition, Names

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agent.events import Action

LINES_MAX = 20

WORDS: dict[Action, Names] = {
    "raise": Names(zh="报警", en="alarm"),
    "retrigger": Names(zh="再次触发", en="again"),
    "escalate": Names(zh="升级", en="worse"),
    "realarm": Names(zh="仍未解除", en="still standing"),
    "unhide_raise": Names(zh="报警（解除屏蔽）", en="alarm, no longer hidden"),
    "clear": Names(zh="恢复", en="over"),
    "clear_latched": Names(zh="恢复（已锁存）", en="over, latched"),
}
"""What is told at all, and how it is called."""

COLOURS = {"red": "红色", "orange": "橙色", "yellow": "黄色", "blue": "蓝色"}

_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class Message:
    """`payload` is the JSON of a webhook: the same words, and the alarms as `data` of their events."""

    subject: str
    text: str
    payload: bytes


class Payload(msgspec.Struct, frozen=True):
    """What a webhook gets. `more` alarms are not in the list."""

    site: str
    gateway: str
    subject: str
    text: str
    alarms: list[AlarmTransition]
    more: int


def compose(site: str, gateway: str, alarms: Sequence[AlarmTransition], forgotten: int = 0) -> Message:
    """One message for all of them; at most `LINES_MAX` are written out, the newest."""
    shown = list(alarms[-LINES_MAX:])
    more = len(alarms) - len(shown) + forgotten
    count = len(alarms) + forgotten
    subject = (
        f"[{site}/{gateway}] {count} 条关键报警未送达平台 / "
        f"{count} critical {'alarm has' if count == 1 else 'alarms have'} not reached the platform"
    )
    paragraphs = [_paragraph(body) for body in shown]
    if more:
        paragraphs.append(f"另有 {more} 条，见 wardgate alarms / and {more} more, see wardgate alarms")
    text = "\n\n".join(paragraphs) + "\n"
    return Message(subject, text, _encode(Payload(site, gateway, subject, text, shown, more)))


def _paragraph(body: AlarmTransition) -> str:
    action = WORDS[body.action]
    test = "[测试 TEST] " if body.test else ""
    place = "/".join(part for part in (body.place.building, body.place.floor, body.place.space) if part)
    limit = "" if body.limit is None else f" (限值 limit {body.limit:g})"
    unit = "" if body.unit == "1" else f" {body.unit}"
    return "\n".join(
        line
        for line in (
            f"{test}{COLOURS[body.colour]} {action.zh}: {body.text.zh}",
            f"{test}{body.colour} {action.en}: {body.text.en}",
            f"{body.ts_decided}  {body.alarm_id} = {_value(body)}{unit}{limit}",
            place,
            body.advice.zh,
            body.advice.en if body.advice.en != body.advice.zh else "",
        )
        if line
    )


def _value(body: AlarmTransition) -> str:
    return "?" if body.value is None else f"{body.value:g}" if isinstance(body.value, float) else str(body.value)
