"""One alarm as written to one alarm as the rules read it, and every way in which it cannot work on its point."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from config.conditions import condition, gate, unit
from config.judgement import Limit, colours_of
from config.model import COLOURS, Alarm, Basis, Evidence, Text
from config.texts import named, text_of

if TYPE_CHECKING:
    from config.files import AlarmSpec
    from config.judgement import Condition
    from config.layers import Source
    from config.model import Colour, Place, Point
    from config.validate import Report


OF_DEVICE = Text("离线", "does not answer")
"""What an alarm without a point says of its device, where nothing is written."""


@dataclass(frozen=True, slots=True)
class Owner:
    """The device that an alarm is written at."""

    device: str
    system: str
    name: Text
    place: Place


def alarm(key: str, spec: AlarmSpec, owner: Owner, point: Point | None, source: Source, report: Report) -> Alarm:
    """The alarm; with a problem in `report` for each thing that is wrong with it. No point: it is about the device."""
    judged = condition(spec, owner.device, point, source, report)
    judged = _one_step_up(judged) if owner.place.risk == "red" else judged
    never = _never_hidden(spec, owner, judged)
    if never and spec.shelvable:
        report.refuse(source, ("shelvable",), f"{never} is never shelved", "leave shelvable out")
    if "stale_after" in spec.model_fields_set and spec.on_bad == "hold":
        report.refuse(
            source, ("stale_after",), "nothing happens then", "write on_bad: fail_safe beside it, or remove it"
        )
    _check_fire(spec, owner, source, report)
    subject = point.name if point else OF_DEVICE if spec.offline else Text(key, key)
    default = Text(f"{owner.name.zh} {subject.zh}", f"{owner.name.en} {subject.en}")
    return Alarm(
        id=f"{owner.system}/{owner.device}{'/' + point.id if point else ''}#{key}",
        key=key,
        device=owner.device,
        system=owner.system,
        point=point.id if point else "",
        condition=judged,
        text=_filled(text_of(spec.text, default), owner, subject),
        advice=_filled(text_of(spec.advice, Text("", "")), owner, subject),
        unit=unit(spec, point),
        when=gate(spec, owner.device, source, report),
        place=owner.place,
        on_delay_s=spec.on_delay,
        off_delay_s=spec.off_delay,
        life_safety=spec.life_safety,
        ack_required=spec.ack,
        latching=spec.latching,
        shelvable=not never if spec.shelvable is None else spec.shelvable,
        fail_safe=spec.on_bad == "fail_safe",
        stale_after_s=spec.stale_after,
        realarm_s=spec.realarm_after,
        evidence=Evidence(spec.evidence.pre, spec.evidence.post),
        basis=Basis(spec.basis.source, spec.basis.status) if spec.basis else None,
        signal=spec.signal,
        depends_on=named(spec.depends_on, "") if spec.depends_on else None,
    )


def _check_fire(spec: AlarmSpec, owner: Owner, source: Source, report: Report) -> None:
    """Of a fire panel there is a mirror: what it shows begins and ends there, and nowhere else."""
    if owner.system != "fire":
        if spec.signal is not None:
            report.refuse(source, ("signal",), f"only fire panels have it, this is {owner.system}", "remove it")
        return
    if spec.latching:
        report.refuse(source, ("latching",), "the fire panel latches by itself, and is reset there", "remove it")
    if spec.when is not None and not spec.life_safety:
        report.refuse(source, ("when",), "an alarm of the fire system always counts", "remove it")


def _never_hidden(spec: AlarmSpec, owner: Owner, judged: Condition) -> str:
    """What it is that forbids hiding this alarm, or nothing."""
    if spec.life_safety:
        return "a life-safety alarm"
    if owner.system == "fire":
        return "an alarm of the fire system"
    if owner.system.startswith("medgas.") and "red" in colours_of(judged):
        return "a red alarm of the medical gas supply"
    return ""


def _one_step_up(judged: Condition) -> Condition:
    """In a space of the red risk grade everything is one colour worse; red stays red."""
    if isinstance(judged, Limit):
        return replace(judged, levels=tuple(replace(level, colour=_worse(level.colour)) for level in judged.levels))
    return replace(judged, colour=_worse(judged.colour))


def _worse(colour: Colour) -> Colour:
    return COLOURS[max(0, COLOURS.index(colour) - 1)]


def _filled(text: Text, owner: Owner, point: Text) -> Text:
    """A sentence that may serve many devices, for this one."""
    if "{" not in text.zh + text.en:
        return text
    zh = text.zh.replace("{device}", owner.name.zh).replace("{point}", point.zh)
    return Text(zh, text.en.replace("{device}", owner.name.en).replace("{point}", point.en))
