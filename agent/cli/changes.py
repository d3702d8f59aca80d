"""What `check --diff` prints: what applying a configuration would change, against the one that runs or ran last."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import msgspec

from agent.cli.config_history import entries
from agent.cli.words import Words
from agent.control.client import DaemonAbsent, NotDone
from agent.events import rfc3339
from agent.renewal import renewal
from config.difference import differences
from config.errors import ConfigInvalid
from config.kept import KeptUnreadable
from config.load import load
from config.outline import Kind, outline
from drivers import registry

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from agent.cli.options import Language
    from agent.control.client import Client
    from config.difference import Difference, FieldChange
    from config.kept import Kept
    from config.model import Config
    from config.outline import Outline


class FieldView(msgspec.Struct, frozen=True):
    """Null is where the field is not written and its default holds."""

    field: str
    before: str | None
    after: str | None


class ChangedView(msgspec.Struct, frozen=True):
    id: str
    fields: list[FieldView]


class KindView(msgspec.Struct, frozen=True):
    """All that differs of one kind; a point's id is `device/point`."""

    kind: Kind
    added: list[str]
    removed: list[str]
    changed: list[ChangedView]


class Compared(msgspec.Struct, frozen=True):
    """With what: the configuration of the running daemon, or the last one that ran, `since` when."""

    source: Literal["running", "kept"]
    version: str
    since: str | None = None


class ChangesView(msgspec.Struct, frozen=True):
    """What `check --diff --json` prints; kinds without a difference are there, too.

    `restart` are settings that a running daemon cannot take over, `renewed` lines that a reload opens anew, `settings`
    those of the gateway that it takes over.
    """

    version: str
    against: Compared
    changes: list[KindView]
    restart: list[str]
    renewed: list[str]
    settings: list[str]


def compare(config: Config, daemon: Client) -> ChangesView:
    """Raises `ControlError` where there is nothing to compare with, or it must not be seen."""
    before, against = _earlier(config, daemon)
    after = outline(config)
    changes, plan = [_view(each) for each in differences(before, after)], renewal(before, after)
    return ChangesView(config.version, against, changes, list(plan.restart), list(plan.renewed), list(plan.settings))


def _earlier(config: Config, daemon: Client) -> tuple[Outline, Compared]:
    try:
        running = daemon.configuration()
    except DaemonAbsent:
        return _kept(config)
    before: Mapping[Kind, Mapping[str, Mapping[str, str]]] = msgspec.convert(
        running.outline, dict[Kind, dict[str, dict[str, str]]]
    )
    return before, Compared("running", running.version)


def _kept(config: Config) -> tuple[Outline, Compared]:
    """The last one that ran, while no daemon does."""
    newest = _newest(config.home.state)
    try:
        before = load(config.home.config, registry.protocols(), newest.files())
    except KeptUnreadable as error:
        raise NotDone(str(error), "start the daemon to compare with what it runs") from error
    except ConfigInvalid as error:
        what = f"the last configuration ({newest.version}) is not valid for this wardgate: {error.problems[0]}"
        raise NotDone(what, f"its files are in {newest.path}") from error
    return outline(before), Compared("kept", newest.version, rfc3339(newest.since))


def _newest(state: Path) -> Kept:
    found = entries(state)
    if not found:
        raise NotDone(
            f"there is nothing to compare with: no daemon runs, and {state} has no configuration that ran",
            "name the daemon's --socket, or check without --diff",
        )
    return found[-1]


def _view(found: Difference) -> KindView:
    changed = [ChangedView(name, [_field(each) for each in fields]) for name, fields in found.changed.items()]
    return KindView(found.kind, list(found.added), list(found.removed), changed)


def _field(change: FieldChange) -> FieldView:
    return FieldView(change.field, change.before, change.after)


def tell(view: ChangesView, lang: Language) -> None:
    """A line for each kind that differs, below it one for each of its parts and fields."""
    say, against = Words(lang), view.against
    source = say("the running configuration" if against.source == "running" else "the last configuration that ran")
    print(f"{view.version} {say('against')} {source} ({against.version})")
    lines = [line for kind in view.changes for line in _lines(kind, say)]
    for line in (*(lines or [say("no difference")]), *(_reload(view, say) if against.source == "running" else ())):
        print(line)


def _reload(view: ChangesView, say: Words) -> Iterator[str]:
    """What it takes to have it."""
    if view.restart:
        yield f"{say('needs a restart')}: {', '.join(view.restart)}"
        return
    if view.renewed:
        yield f"{say('a reload opens anew')}: {' '.join(view.renewed)}"
    if view.settings:
        yield f"{say('a reload takes over')}: {', '.join(view.settings)}"


def _lines(kind: KindView, say: Words) -> Iterator[str]:
    counts = {"added": len(kind.added), "removed": len(kind.removed), "changed": len(kind.changed)}
    if any(counts.values()):
        told = ", ".join(f"{count} {say(what)}" for what, count in counts.items() if count)
        yield f"{say(kind.kind)}: {told}"
    yield from (f"  + {name}" for name in kind.added)
    yield from (f"  - {name}" for name in kind.removed)
    for part in kind.changed:
        yield f"  ~ {part.id}"
        for each in part.fields:
            before, after = (say("default") if text is None else text for text in (each.before, each.after))
            yield f"      {each.field}: {before} → {after}"
