"""From what pydantic says to what a facility engineer can act on: which key, what was found, what to write instead.

A found value is repeated, because people search for it, except where it may be a secret. Places are paths into the
data; files and lines are not known here.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import UnionType
from typing import TYPE_CHECKING, Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel

from config.alarm_files import ALARM_KEY
from config.document import FULL_WIDTH
from config.errors import ConcealedError
from config.fields import DOTTED_ID, HOST_NAME, ID, TOPIC_ROOT, TYPE_PREFIX

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo
    from pydantic_core import ErrorDetails

    from config.document import Key, Path

FOUND_LENGTH_MAX = 60
CHOICES_MAX = 40
MISSING = "missing"

_SECRET_KEY = re.compile(r"pass|secret|token|credential", re.IGNORECASE)
_PATTERNS = {
    ID: ("not an id", "use 1 to 40 of a-z 0-9 _ -"),
    DOTTED_ID: ("not an id", "use 1 to 40 of a-z 0-9 _ -, in parts joined by dots"),
    ALARM_KEY: ("not an id", "use 1 to 40 of a-z 0-9 _ -"),
    TOPIC_ROOT: ("not a topic", "write parts joined by /, without # + and blanks, such as wardgate/v1"),
    HOST_NAME: ("not a host name", "write a name as in the certificate, without a scheme and a port"),
    TYPE_PREFIX: ("not a prefix", "write parts that each end in a dot, such as wardgate."),
}
_KINDS = {
    "int_type": ("not a whole number", "write a whole number"),
    "int_from_float": ("not a whole number", "write a whole number"),
    "int_parsing": ("not a whole number", "write a whole number"),
    "float_type": ("not a number", "write a number"),
    "finite_number": ("not a number", "write a number"),
    "bool_type": ("not true or false", "write true or false"),
    "string_type": ("not a text", "put it into quotes"),
    "path_type": ("not a path", "put it into quotes"),
    "model_type": ("not a mapping", "write KEY: VALUE lines"),
    "dict_type": ("not a mapping", "write KEY: VALUE lines"),
    "list_type": ("not a list", "write [A, B]"),
    "tuple_type": ("not a list", "write [A, B]"),
}
_BOUNDS = {
    "greater_than_equal": ("too low", "ge", "write {} or more"),
    "less_than_equal": ("too high", "le", "write {} or less"),
    "greater_than": ("too low", "gt", "write more than {}"),
    "less_than": ("too high", "lt", "write less than {}"),
}
_LENGTHS = {
    "too_short": ("too short", "write {min_length} or more items"),
    "too_long": ("too long", "write {max_length} items at most"),
    "string_too_short": ("too short", "write {min_length} or more characters"),
    "string_too_long": ("too long", "write {max_length} characters at most"),
}


@dataclass(frozen=True, slots=True)
class Mistake:
    """One mistake in the data. `at_key`: the key itself is wrong, not its value; `meant` is the key it may mean."""

    path: Path
    message: str
    hint: str
    at_key: bool = False
    meant: str = ""


def mistakes(details: Iterable[ErrorDetails], model: type[BaseModel], raw: Any) -> list[Mistake]:
    """What pydantic found when it validated `raw` as `model`, one mistake for each place.

    Where a field allows several types, pydantic reports each; only the one that went deepest is meant.
    """
    found: dict[Path, Mistake] = {}
    alternatives: set[Path] = set()
    for detail in details:
        path, skipped = _written(detail["loc"], raw)
        if detail["type"] == "missing":
            path = (*path, detail["loc"][-1])
        if path not in found:
            found[path] = _mistake(detail, path, model)
            alternatives.update([path] if skipped else ())
    shorter = {path[:size] for path in found for size in range(len(path))}
    meant = {(*mistake.path[:-1], mistake.meant) for mistake in found.values() if mistake.meant}
    return [
        mistake
        for path, mistake in found.items()
        if path not in alternatives & shorter and not (mistake.message == MISSING and path in meant)
    ]


def closest(name: object, known: Iterable[str]) -> str:
    """The one that was probably meant, or nothing."""
    return next(iter(difflib.get_close_matches(str(name), list(known), n=1)), "")


def near(name: object, known: Iterable[str]) -> str:
    """`did you mean …?`, or what there is to choose from."""
    choices = list(dict.fromkeys(known))
    match = closest(name, choices)
    if match:
        return f"did you mean {match}?"
    if not choices:
        return "there is none yet"
    return "write one of " + ", ".join(choices[:CHOICES_MAX]) + (", …" if len(choices) > CHOICES_MAX else "")


def shown(value: object) -> str:
    """A found value, short and on one line; mappings and lists by their kind only, because they may hold anything."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Mapping):
        return "a mapping"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return "a list"
    text = repr(value)
    return text if len(text) <= FOUND_LENGTH_MAX else text[:FOUND_LENGTH_MAX] + "…"


def _written(loc: Sequence[Key], raw: Any) -> tuple[Path, bool]:
    """The part of pydantic's location that is in the data, and whether names of types were skipped."""
    path: list[Key] = []
    skipped = False
    for part in loc:
        children = raw.items() if isinstance(raw, dict) else enumerate(raw) if isinstance(raw, list) else ()
        child = next(((name, value) for name, value in children if str(name) == str(part)), None)
        if child is not None:
            path.append(child[0])
            raw = child[1]
        elif part != "[key]":
            skipped = True
    return tuple(path), skipped


def _mistake(detail: ErrorDetails, path: Path, model: type[BaseModel]) -> Mistake:
    if detail["type"] == "missing":
        return Mistake(path, MISSING, _what_to_write(model, path))
    if detail["type"] == "extra_forbidden":
        hint, meant = _known_key(model, path)
        return Mistake(path, "unknown key", hint, at_key=True, meant=meant)
    what, hint = _explained(detail)
    field, colon, rest = what.partition(": ")
    if colon and any(field in fields_of(one) for one in _models(model, path)):
        return Mistake((*path, field), rest, hint)
    at_key = detail["loc"][-1:] == ("[key]",)
    if not _may_be_told(detail, path):
        return Mistake(path, what, hint, at_key)
    found = shown(detail["input"])
    return Mistake(path, what if found in what else f"found {found}, {what}", hint, at_key)


def _may_be_told(detail: ErrorDetails, path: Path) -> bool:
    """Whether the value found is worth telling, and no secret."""
    error = detail.get("ctx", {}).get("error")
    whole = isinstance(detail["input"], (Mapping, list)) and detail["type"] not in _KINDS
    return not whole and not isinstance(error, ConcealedError) and not any(_SECRET_KEY.search(str(key)) for key in path)


def _explained(detail: ErrorDetails) -> tuple[str, str]:
    """What is wrong, without the value found, and what to write."""
    name, context = detail["type"], detail.get("ctx", {})
    if name == "value_error":
        what, _, hint = str(context["error"]).partition("; ")
        return what, hint
    if name in _BOUNDS:
        what, bound, hint = _BOUNDS[name]
        return what, hint.format(_bound(context[bound], detail["input"]))
    if name in _KINDS or name in _LENGTHS:
        what, hint = _KINDS.get(name) or _LENGTHS[name]
        return what, hint.format_map(context)
    if name == "string_pattern_mismatch":
        return _PATTERNS.get(context["pattern"], ("not of the right form", f"it has to match {context['pattern']}"))
    if name in {"literal_error", "enum"}:
        return "not one of the choices", near(detail["input"], re.findall(r"'([^']*)'", context["expected"]))
    return detail["msg"][:1].lower() + detail["msg"][1:], "see wardgate schema"


def _bound(bound: float, found: object) -> str:
    """A bound as the person wrote the value: a text that becomes a number is a size or a duration."""
    if not isinstance(found, str):
        return f"{bound:g}"
    return f"{bound / 1e6:g} MB" if found.endswith("B") else f"{bound:g} s"


def _what_to_write(model: type[BaseModel], path: Path) -> str:
    name = str(path[-1])
    fields = [found for one in _models(model, path[:-1]) for key, found in fields_of(one).items() if key == name]
    field = fields[0] if fields else None
    return f"write {name}: " + (field.description if field and field.description else "…")


def _known_key(model: type[BaseModel], path: Path) -> tuple[str, str]:
    """What to write instead of an unknown key, and the key that it seems to mean."""
    key = str(path[-1])
    wide = next((sign for sign in key if sign in FULL_WIDTH), None)
    if wide is not None:
        return f"write {FULL_WIDTH[wide]!r} instead of the full-width {wide!r}", key.partition(wide)[0]
    if " " in key:
        return "put a text that holds a comma into quotes", ""
    known = [name for one in _models(model, path[:-1]) for name in fields_of(one)]
    return near(key, known), closest(key, known)


def fields_of(model: type[BaseModel]) -> dict[str, FieldInfo]:
    """The fields of a model by the names that they have in a file."""
    return {field.alias or name: field for name, field in model.model_fields.items()}


def _models(kind: Any, path: Path) -> list[type[BaseModel]]:
    """The models that may stand at `path` inside a value of type `kind`."""
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        if not path:
            return [kind]
        field = fields_of(kind).get(str(path[0]))
        return _models(field.annotation, path[1:]) if field else []
    origin, parts = get_origin(kind), get_args(kind)
    if origin in {dict, list, tuple}:
        return _models(parts[-1], path[1:]) if path else []
    inner = parts[:1] if origin is Annotated else parts if origin in {Union, UnionType} else ()
    return [model for part in inner for model in _models(part, path)]
