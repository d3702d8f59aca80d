"""Raw data to settings types, and the list of what was wrong. Where data come from is `config.layers`, not here."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, TypeVar

from pydantic import BaseModel, TypeAdapter, ValidationError

from config.directory import Directory
from config.wording import mistakes

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from config.document import Key
    from config.errors import Problem
    from config.layers import Source

Model = TypeVar("Model", bound=BaseModel)


class Report:
    """What was found so far. Problems forbid the configuration, warnings do not.

    `later` is what can be judged only when all devices, and so the whole `directory`, are read.
    """

    def __init__(self) -> None:
        self.problems: list[Problem] = []
        self.warnings: list[Problem] = []
        self.directory = Directory()
        self.later: list[Callable[[], None]] = []

    def refuse(
        self,
        source: Source,
        path: Sequence[Key],
        message: str,
        hint: str = "",
        *,
        at_key: bool = False,
        offset: int = 0,
    ) -> None:
        """`offset`: so many characters into the text at `path`."""
        self.problems.append(source.problem(path, message, hint, at_key=at_key, offset=offset))

    def warn(self, source: Source, path: Sequence[Key], message: str, hint: str = "") -> None:
        self.warnings.append(source.problem(path, message, hint))

    def look_for(self, file: Path, source: Source, path: Sequence[Key], hint: str) -> None:
        """Only a warning: the file may be put there later, and `check` may run on another machine.

        What lies behind a folder that this user may not enter may be there.
        """
        try:
            is_there = file.is_file()
        except PermissionError:
            return
        if not is_there:
            self.warn(source, path, f"{file} is not there", hint)


def validate(model: type[Model], source: Source, report: Report, *, template: bool = False) -> Model | None:
    """`source` as `model`, or `None` and a problem for each mistake. A template may leave required fields out."""
    try:
        return model.model_validate(source.data)
    except ValidationError as error:
        details = error.errors(include_url=False)
    told = [detail for detail in details if not (template and detail["type"] == "missing")]
    for mistake in mistakes(told, model, source.data):
        report.refuse(source, mistake.path, mistake.message, mistake.hint, at_key=mistake.at_key)
    return None


def validate_rows(
    model: type[Model], rows: Mapping[str, Source], report: Report, *, template: bool = False
) -> dict[str, Model | None]:
    """All rows in one go, one by one only where one is wrong: that one is `None`. A template's open row is left out."""
    data = {name: row.data for name, row in rows.items()}
    try:
        return dict(_rows(model).validate_python(data))
    except ValidationError:
        pass
    found: dict[str, Model | None] = {}
    for name, row in rows.items():
        told = len(report.problems)
        found[name] = validate(model, row, report, template=template)
        if found[name] is None and len(report.problems) == told:
            del found[name]
    return found


@cache
def _rows(model: type[Model]) -> TypeAdapter[dict[str, Model]]:
    return TypeAdapter(dict[str, model])  # type: ignore[valid-type]  # a type made at run time
