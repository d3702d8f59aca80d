"""Files in `alarms/`: the same alarms for many devices, and which devices a selector means."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pydantic import ValidationError

from config.alarm_files import AlarmsFile, RuleSpec
from config.layers import Layer, Source
from config.validate import validate
from config.wording import near, shown

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from config.alarm_files import SelectSpec
    from config.document import Document
    from config.model import Place
    from config.validate import Report

Traits = dict[str, str]
"""What a selector looks at in one device: `device`, `system`, `profile`, and its place by part."""


def traits(device: str, system: str, profile: str, place: Place) -> Traits:
    """Of one device."""
    return {
        "device": device,
        "system": system,
        "profile": profile,
        "building": place.building,
        "floor": place.floor,
        "space": place.space,
        "risk": place.risk or "",
    }


@dataclass(slots=True)
class Rule:
    """Alarms and what a device must be to get them."""

    name: str
    spec: RuleSpec
    source: Source
    wanted: Mapping[str, frozenset[str]]
    told: set[str] = field(default_factory=set)
    used: bool = False

    def means(self, device: Traits) -> bool:
        return all(device[trait] in values for trait, values in self.wanted.items())


@dataclass(slots=True)
class Rules:
    """All rules of the folder, and every device that they were asked about."""

    report: Report
    rules: list[Rule] = field(default_factory=list)
    met: list[Traits] = field(default_factory=list)

    @classmethod
    def read(cls, files: Iterable[Document], report: Report) -> Rules:
        """Every rule that can be used; what is wrong with the others is reported."""
        rules = [rule for document in files for rule in _rules(document, report)]
        return cls(report, rules)

    def of(self, device: Traits) -> list[Rule]:
        """The rules that mean this device."""
        self.met.append(device)
        found = [rule for rule in self.rules if rule.means(device)]
        for rule in found:
            rule.used = True
        return found

    def check(self) -> None:
        """Once every device was asked about: a rule that means none is a mistake."""
        for rule in self.rules:
            if not rule.used:
                self._blame(rule)

    def _blame(self, rule: Rule) -> None:
        """One value that no device has is told as such, else the whole selector."""
        select = rule.source.part("select")
        for trait, values in rule.wanted.items():
            known = sorted({device[trait] for device in self.met} - {""})
            for value in sorted(values - set(known)):
                path = (trait,) if trait in select.data else ("place", trait)
                self.report.refuse(select, path, f"no device has {trait} {shown(value)}", near(value, known))
                return
        self.report.refuse(select, (), "no device is all of this", "leave a condition out", at_key=True)


def _rules(document: Document, report: Report) -> Iterable[Rule]:
    whole = Source(document.data, (Layer(document),))
    validate(AlarmsFile, whole, report)
    for name, source in whole.mappings("rules"):
        try:
            spec = RuleSpec.model_validate(source.data)
        except ValidationError:
            continue  # told with the whole file
        yield Rule(name, spec, source, _wanted(spec.select))


def _wanted(select: SelectSpec) -> dict[str, frozenset[str]]:
    pairs = [("device", select.device), ("system", select.system), ("profile", select.profile)]
    if select.place is not None:
        pairs += [(part, values) for part, values in select.place]
    return {trait: frozenset(values) for trait, values in pairs if values is not None}
