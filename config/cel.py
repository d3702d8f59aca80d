"""CEL, the language of expressions: the one home of its library, which is loaded when the first expression is compiled.

Every number is a floating one here, `400` means what `400.0` means, so that nobody has to know the difference.
"""

from __future__ import annotations

import math
import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from config.model import PointType

CelValue = float | bool | str
Types = tuple[tuple[str, "PointType"], ...]
"""Variables and what kind of point each stands for."""

ENVIRONMENTS_MAX = 256
"""Devices of one profile share one."""

_ERROR = re.compile(r"ERROR: <input>:(\d+):(\d+): (.*)")
_CONFIG = "extensions:\n- name: math\n"
_RESULTS: dict[str, PointType] = {
    "BOOL": "bool",
    "DOUBLE": "number",
    "INT": "number",
    "UINT": "number",
    "STRING": "string",
}


class CelMistake(Exception):
    """What the type checker says first, and where: `line` and `column` from 1."""

    def __init__(self, what: str, line: int, column: int) -> None:
        super().__init__(what)
        self.what = what
        self.line = line
        self.column = column


class Program:
    """One checked expression. `gives` is the kind of its result: number, bool or string; anything else is its name."""

    def __init__(self, compiled: Any) -> None:
        self._compiled = compiled
        name = str(compiled.return_type())
        self.gives: str = _RESULTS.get(name, name.lower())

    def value(self, known: dict[str, CelValue]) -> CelValue | None:
        """The result, or `None` where what is missing in `known` decides it, or where it is no finite value."""
        result = self._compiled.eval(data=known)
        found = result.value()
        if isinstance(found, bool):
            return found
        if isinstance(found, (int, float)):
            return float(found) if math.isfinite(found) else None
        is_text = isinstance(found, str) and str(result.type()) == "STRING"  # an error is a text of another type
        return found if is_text else None


def compiled(text: str, types: Types) -> Program:
    """Check `text` against its variables. Raises `CelMistake`."""
    try:
        return Program(_environment(types).compile(text))
    except RuntimeError as error:  # what the library raises for every mistake in an expression
        match = _ERROR.search(str(error))
        if match is None:
            raise CelMistake(str(error).partition("\n")[0], 1, 1) from None
        raise CelMistake(match[3].strip(), int(match[1]), int(match[2])) from None


@lru_cache(ENVIRONMENTS_MAX)
def _environment(types: Types) -> Any:
    from cel_expr_python import cel  # noqa: PLC0415 (only who writes expressions pays for it)

    kinds = {"number": cel.Type.DOUBLE, "integer": cel.Type.DOUBLE, "bool": cel.Type.BOOL}
    variables = {name: kinds.get(kind, cel.Type.STRING) for name, kind in types}
    return cel.NewEnv(config=cel.NewEnvConfigFromYaml(_CONFIG), variables=variables)
