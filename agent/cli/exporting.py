"""`wardgate export`: the configuration's points for people who review them in a spreadsheet."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from agent.cli.importing import listings_of
from agent.cli.options import ETC, ConfigDir, Lang
from agent.control.client import NotDone, UnknownName
from agent.language.sentences import problem

if TYPE_CHECKING:
    from collections.abc import Mapping

app = typer.Typer(
    help="The configuration for people who review it.", epilog="Example: wardgate export csv > points.csv"
)


@app.callback()
def exporting() -> None:
    """The configuration for people who review it."""


@app.command("csv", epilog="Example: wardgate export csv lv-main --to lv-main.csv")
def csv_(
    devices: Annotated[
        list[str] | None, typer.Argument(metavar="[DEVICE]...", show_default=False, help="All of them if left out.")
    ] = None,
    to: Annotated[Path | None, typer.Option("--to", show_default=False, help="A file; else standard output.")] = None,
    config: ConfigDir = ETC,
    *,
    lang: Lang,
) -> None:
    """Every point with where it is found and how it is coded, a row each; `import csv` takes it back as it is."""
    from config.errors import ConfigInvalid
    from config.load import load
    from config.pointlist.give import give
    from config.wording import near
    from drivers import registry

    try:
        loaded = load(config, registry.protocols())
    except ConfigInvalid as invalid:
        sys.stderr.write("".join(f"{problem(one, lang)}\n" for one in invalid.problems))
        raise typer.Exit(1) from None
    known = [device.id for line in loaded.lines for device in line.devices]
    unknown = [name for name in devices or () if name not in known]
    if unknown:
        raise UnknownName(f"no device {unknown[0]!r}", near(unknown[0], known))
    listings = listings_of({line.protocol for line in loaded.lines})
    text = give(loaded.lines, listings, _intervals(config), devices or ())
    if to is None:
        sys.stdout.write(text)
        return
    try:
        to.write_text(text, encoding="utf-8", newline="")
    except OSError as error:
        raise NotDone(f"cannot write {to} ({error.strerror})", "name another file") from error


def _intervals(config: Path) -> "Mapping[str, float]":
    """Of the poll classes, as the gateway has them."""
    from config.document import Document
    from config.files import PollSpec
    from config.gateway import POLL_S, poll_intervals

    data = Document("gateway.yaml", (config / "gateway.yaml").read_bytes()).data or {}
    return poll_intervals(PollSpec.model_validate(data.get("poll", {})), POLL_S)
