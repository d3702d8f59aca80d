"""`wardgate import`: what engineers send, as device files."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from agent.cli import filing, show
from agent.cli.configured import ProblemView, views
from agent.cli.options import ETC, AsJson, ConfigDir, Lang
from agent.cli.words import Words
from agent.control.client import NotDone
from agent.language.sentences import problem

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from config.errors import Problem
    from config.pointlist.listing import Listing
    from config.pointlist.take import Refusal, Site, Taken

app = typer.Typer(
    help="Take over what engineers send.", epilog="Example: wardgate import csv points.csv --line lv-room"
)

CONTENT_BYTES_MAX = 20_000_001


@app.callback()
def importing() -> None:
    """Take over what engineers send."""


class RefusalView(msgspec.Struct, frozen=True):
    row: int
    column: str
    heading: str
    message: str
    hint: str


class TakenView(msgspec.Struct, frozen=True):
    """What `--json` prints. `columns` says which field each column is, empty where it was not taken.

    `problems` are those of the configuration with the new file.
    """

    file: str
    encoding: str
    delimiter: str
    heading_row: int
    columns: dict[str, str]
    notes: list[str]
    devices: dict[str, int]
    titles: int
    refused: list[RefusalView]
    written: str | None
    problems: list[ProblemView]


@app.command(
    "csv",
    epilog="Example: wardgate import csv points.csv --line lv-room --device lv-main --system pwr.lv --dry-run\n\n"
    "Example: wardgate import csv 点表.csv --line lv-room --system pwr.lv --device '1号进线=lv-1' --set table=holding",
)
def csv_(
    lang: Lang,
    file: Annotated[Path, typer.Argument(help="A spreadsheet that was saved as CSV, with any usual encoding.")],
    config: ConfigDir = ETC,
    line: Annotated[str | None, typer.Option("--line", help="The line of lines.yaml that the devices are on.")] = None,
    system: Annotated[str | None, typer.Option("--system", help="Their system, such as pwr.lv.")] = None,
    device: Annotated[
        list[str] | None,
        typer.Option(
            "--device", metavar="ID|NAME=ID", help="The device of all rows; or the id of one that has a name."
        ),
    ] = None,
    setting: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="FIELD=VALUE", help="What holds where the list says nothing, such as type=u16."),
    ] = None,
    column: Annotated[
        list[str] | None, typer.Option("--column", metavar="HEADING=FIELD", help="What a column is.")
    ] = None,
    to: Annotated[
        Path | None, typer.Option("--to", show_default=False, help="The device file; by default named after the list.")
    ] = None,
    replace: Annotated[bool, typer.Option("--replace", help="Replace a device file that is there.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Write nothing.")] = False,
    as_json: AsJson = False,
) -> None:
    """A point list as a device file: how it was understood, and row by row what could not be taken, and why.

    Nothing is guessed. Exit code 1 where a row was not taken, or where the configuration is not accepted with the file,
    which is written all the same: there it can be mended.
    """
    target = to or config / "devices" / f"{_file_name(file)}.yaml"
    if target.exists() and not (replace or dry_run):
        raise NotDone(f"{target} is there already", "write --replace, or another file with --to")
    constants = _pairs(setting or [], "--set")
    constants |= {name: value for name, value in (("line", line), ("system", system)) if value is not None}
    taken = _take(file, config, constants, device or [], _pairs(column or [], "--column"))
    is_written = bool(taken.points) and not dry_run
    words = Words(lang)
    if is_written:
        _write(target, file, taken, words)
    problems = _problems(config) if is_written and _is_part(target, config) else ()
    if as_json:
        show.json(_view(file, taken, str(target) if is_written else None, problems))
    else:
        _tell(file, taken, target if is_written else None, words)
        _warn(target, problems, words)
    if taken.refusals or not taken.points or problems:
        raise typer.Exit(1)


def _take(file: Path, config: Path, constants: dict[str, str], devices: list[str], columns: dict[str, str]) -> "Taken":
    from config.pointlist.cells import Refused
    from config.pointlist.sheet import SheetUnreadable
    from config.pointlist.take import Wish, take

    only = [each for each in devices if "=" not in each]
    if len(only) > 1:
        raise typer.BadParameter(
            f"--device {only[1]}: all rows are of {only[0]} already; write NAME=ID for each of them"
        )
    constants |= {"device": only[0]} if only else {}
    wish = Wish(constants, _pairs([each for each in devices if "=" in each], "--device"), columns)
    try:
        return take(_content(file), _site(config), wish)
    except SheetUnreadable as error:
        raise NotDone(f"{file}: {error.what}", error.hint) from error
    except Refused as refused:
        raise NotDone(f"{file}: {refused.what}", refused.hint) from refused


def _site(config: Path) -> "Site":
    from config.document import Document
    from config.pointlist.take import Site
    from drivers import registry

    path = config / "lines.yaml"
    try:
        data = Document("lines.yaml", path.read_bytes()).data or {}
    except OSError as error:
        raise NotDone(
            f"cannot read {path} ({error.strerror})", "name the --config folder, or `wardgate init`"
        ) from error
    protocols = registry.protocols()
    written = data.get("lines")
    lines = (
        {str(name): str(each.get("protocol")) for name, each in written.items()} if isinstance(written, dict) else {}
    )
    known = {name: protocol for name, protocol in lines.items() if protocol in protocols}
    return Site(known, protocols, listings_of(set(known.values())))


def listings_of(protocols: "Iterable[str]") -> "dict[str, type[Listing]]":
    """What their drivers know of lists."""
    from config.errors import ConfigProblem
    from drivers import registry

    try:
        return {name: registry.listing(name) for name in protocols}
    except ConfigProblem as problem:
        raise NotDone(problem.message, problem.hint) from problem


def _pairs(written: list[str], option: str) -> dict[str, str]:
    pairs = (
        [each.rpartition("=") for each in written] if option != "--set" else [each.partition("=") for each in written]
    )
    if any(not key or not value for key, _, value in pairs):
        raise typer.BadParameter(f"{option} is KEY=VALUE")
    return {key.strip(): value.strip() for key, _, value in pairs}


def _content(file: Path) -> bytes:
    try:
        with file.open("rb") as opened:
            return opened.read(CONTENT_BYTES_MAX)
    except OSError as error:
        raise NotDone(f"cannot read {file} ({error.strerror})", "name a CSV file") from error


def _file_name(file: Path) -> str:
    """Of the list, as far as it is one that every system takes."""
    kept = "".join(letter if letter.isalnum() or letter in "-_" else "-" for letter in file.stem)
    return kept.strip("-") or "points"


def _write(target: Path, file: Path, taken: "Taken", words: Words) -> None:
    from agent import __version__
    from config.pointlist.written import device_file

    made = words("Made by `wardgate import csv` {} of {}: {} points.")
    comments = [made.format(__version__, file.name, taken.points)]
    comments += [f"{words('Not taken')}: {_told(refusal, file, words)}" for refusal in taken.refusals]
    try:
        filing.put(target.absolute(), device_file(comments, taken.devices))
    except OSError as error:
        raise NotDone(
            f"cannot write {target} ({error.strerror})", "use sudo, or name another file with --to"
        ) from error


def _view(file: Path, taken: "Taken", written: str | None, problems: "Sequence[Problem]") -> TakenView:
    return TakenView(
        str(file),
        taken.sheet.encoding,
        taken.sheet.delimiter,
        taken.headings.row,
        {column.heading: column.field for column in taken.headings.columns},
        taken.notes,
        {name: len(device["points"]) for name, device in taken.devices.items()},
        taken.titles,
        [RefusalView(one.row, one.column, one.heading, one.what, one.hint) for one in taken.refusals],
        written,
        views(problems),
    )


def _tell(file: Path, taken: "Taken", written: Path | None, words: Words) -> None:
    from config.pointlist.sheet import DELIMITERS

    delimiter = DELIMITERS.get(taken.sheet.delimiter, taken.sheet.delimiter)
    print(
        words("{}: {}, {}, headings in row {}").format(
            file.name, taken.sheet.encoding, words(delimiter), taken.headings.row
        )
    )
    show.table(
        [words(word) for word in ("column", "heading", "taken as")],
        [[column.name, column.heading, column.field or words("not taken")] for column in taken.headings.columns],
    )
    for note in taken.notes:
        print(f"- {words.said(note)}")
    counts = ", ".join(f"{name} {len(device['points'])}" for name, device in taken.devices.items())
    print(words("points: {} ({})").format(taken.points, counts or "-"))
    if taken.titles:
        print(words("titles and spare rows passed over: {}").format(taken.titles))
    if taken.refusals:
        print(words("rows that were not taken: {}").format(len(taken.refusals)), flush=True)
    for refusal in taken.refusals:
        sys.stderr.write(_told(refusal, file, words) + "\n")
    print(f"{words('written to')} {written}" if written else words("nothing was written"))


def _told(refusal: "Refusal", file: Path, words: Words) -> str:
    """A row that was not taken, with its place."""
    where = ":".join(filter(None, (file.name, str(refusal.row), refusal.column)))
    what = words.said("; ".join(filter(None, (refusal.what, refusal.hint))))
    return ": ".join(filter(None, (where, refusal.heading, what)))


def _is_part(target: Path, config: Path) -> bool:
    """Whether the new file is one that the configuration is read from."""
    return target.resolve().parent == (config / "devices").resolve()


def _problems(config: Path) -> "tuple[Problem, ...]":
    """Of the configuration, with the new file."""
    from agent.accept import accept
    from agent.clock import SystemClock
    from config.errors import ConfigInvalid

    try:
        accept(config, SystemClock())
    except ConfigInvalid as invalid:
        return invalid.problems
    return ()


def _warn(target: Path, problems: "Sequence[Problem]", words: Words) -> None:
    """A gateway that runs goes on; its next reload is refused, perhaps that of somebody who knows nothing of this."""
    if problems:
        refused = words("not accepted with {}: what runs goes on, but every reload is refused until this is mended:")
        sys.stderr.write(refused.format(target) + "\n")
    for each in problems:
        sys.stderr.write(f"{problem(each, words.language)}\n")
