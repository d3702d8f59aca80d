"""`wardgate config`: the configurations that this gateway has run with. Works on files, with or without a daemon."""

from __future__ import annotations

import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from agent.cli import show
from agent.cli.options import ETC, AsJson, ConfigDir, Lang, Socket, client, gateway_home
from agent.cli.reload import tell
from agent.cli.words import Words
from agent.control.client import DaemonAbsent, NotDone, UnknownName
from agent.events import rfc3339
from config.errors import SPREADSHEET
from config.kept import KeptUnreadable, all_kept, save
from config.pointlist.sheet import SheetUnreadable, decoded

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from config.kept import Kept

SHIPPED = "(shipped) "
"""Names of files that came with the product begin with this."""

app = typer.Typer(help="The configurations that this gateway has run with.", epilog="Example: wardgate config history")


class KeptView(msgspec.Struct, frozen=True, kw_only=True):
    """One of them as `--json` shows it: `since` is when it began to run, `by` who wanted it."""

    number: int
    version: str
    since: str
    by: str


class FilesView(KeptView, frozen=True, kw_only=True):
    """The same with its files, by name; those that came with the product are left out."""

    files: dict[str, str]


@app.command(epilog="Example: wardgate config history --lang zh")
def history(lang: Lang, config: ConfigDir = ETC, as_json: AsJson = False) -> None:
    """Every configuration that ran: since when, and who wanted it; the newest last."""
    views = [_view(one) for one in entries(gateway_home(config)[1])]
    if as_json:
        show.json(views)
        return
    say = Words(lang)
    rows: list[show.Row] = [[str(one.number), one.version, show.local_time(one.since), one.by] for one in views]
    show.table([say(heading) for heading in ("number", "version", "began", "by")], rows)


@app.command("show", epilog="Example: wardgate config show 12 lines.yaml")
def show_files(
    which: Annotated[str, typer.Argument(metavar="NUMBER|VERSION", help="As `wardgate config history` tells it.")],
    file: Annotated[
        str | None, typer.Argument(show_default=False, help="One file; without it all of your own.")
    ] = None,
    config: ConfigDir = ETC,
    as_json: AsJson = False,
) -> None:
    """The files of a configuration that ran, as they were; a single one can be put back by `>`."""
    kept = _find(which, entries(gateway_home(config)[1]))
    files = _files(kept, file)
    if as_json:
        view, texts = _view(kept), {name: _text(name, content) for name, content in files.items()}
        show.json(FilesView(number=view.number, version=view.version, since=view.since, by=view.by, files=texts))
    elif file is not None and not show.on_terminal(sys.stdout):
        sys.stdout.buffer.write(files[file])
    else:
        for name, content in files.items():
            text = _text(name, content)
            print("" if file is not None else f"# {name}\n", text, sep="", end="" if text.endswith("\n") else "\n")


@app.command(epilog="Example: wardgate config rollback 11 --reason 'the new limits call everybody'")
def rollback(
    lang: Lang,
    which: Annotated[str, typer.Argument(metavar="NUMBER|VERSION", help="As `wardgate config history` tells it.")],
    reason: Annotated[str, typer.Option("--reason", help="Why; goes into the record with your user name.")] = "",
    config: ConfigDir = ETC,
    socket: Socket = None,
    as_json: AsJson = False,
) -> None:
    """Put the files of a configuration that ran back, and have the daemon take them over.

    What was in the folder is kept in a ZIP file beside it. A configuration that is not valid any more is not put back.
    """
    kept = _find(which, entries(gateway_home(config)[1]))
    saved = _put_back(config, {name: text for name, text in _read(kept).items() if not name.startswith(SHIPPED)})
    say = Words(lang)
    if not as_json:
        print(f"{config}: {kept.number} ({kept.version}); {say('what was there is in')} {saved}")
    why = ", ".join(filter(None, (f"rollback to {kept.number} ({kept.version})", reason)))
    try:
        view = client(config, socket).reload(why)
    except DaemonAbsent:
        print(say("no daemon runs: the next start takes it over"))
        return
    except NotDone as error:
        raise NotDone(f"the files are back, but {error.what}", error.hint) from error
    tell(view, say, as_json=as_json)


def _put_back(root: Path, files: Mapping[str, bytes]) -> Path:
    """All of them, or as it was before. Gives where what was there is kept."""
    from agent.accept import accept
    from agent.clock import SystemClock
    from config.errors import ConfigInvalid
    from config.put_back import own_files, put_back

    try:
        before = own_files(root)
        saved = save(root, before)
        put_back(root, files)
        try:
            accept(root, SystemClock())
        except ConfigInvalid as invalid:
            put_back(root, before)
            saved.unlink()
            raise NotDone(f"it is not valid any more: {invalid.problems[0]}", "nothing has changed") from invalid
    except OSError as error:
        raise NotDone(f"cannot write {error.filename} ({error.strerror})", "use sudo") from error
    return saved


def entries(state: Path) -> list[Kept]:
    """What is kept below the gateway's state, the newest last. Raises `NotDone` where this user may not see it."""
    try:
        return all_kept(state)
    except OSError as error:
        what = f"cannot read the configurations that ran ({error.filename}: {error.strerror})"
        raise NotDone(what, "use sudo") from error


def _find(which: str, among: list[Kept]) -> Kept:
    """The newest that is meant."""
    found = [one for one in among if which in (str(one.number), one.version)]
    if not found:
        raise UnknownName(f"no configuration {which!r} is kept", "see `wardgate config history`")
    return found[-1]


def _files(kept: Kept, file: str | None) -> dict[str, bytes]:
    found = _read(kept)
    if file is not None and file not in found:
        raise UnknownName(f"{kept.version} has no file {file!r}", f"it has {', '.join(sorted(found))}")
    names = [name for name in sorted(found) if not name.startswith(SHIPPED)] if file is None else [file]
    return {name: found[name] for name in names}


def _text(name: str, content: bytes) -> str:
    """For a person; a point list may be in another encoding than everything else."""
    with suppress(SheetUnreadable):
        if name.lower().endswith(SPREADSHEET):
            return decoded(content)[1]
    return content.decode("utf-8-sig", errors="replace")


def _read(kept: Kept) -> dict[str, bytes]:
    try:
        return kept.files()
    except KeptUnreadable as error:
        raise NotDone(str(error), "take another one, see `wardgate config history`") from error


def _view(kept: Kept) -> KeptView:
    return KeptView(number=kept.number, version=kept.version, since=rfc3339(kept.since), by=kept.by)
