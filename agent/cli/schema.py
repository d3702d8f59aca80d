"""`wardgate schema`: the JSON Schemas of the configuration files, for editors, and of all messages, for platforms."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003  # typer reads it at run time
from typing import Annotated, Any, Literal

import typer

from agent.cli import show
from agent.control.client import ControlError

app = typer.Typer()


@app.command(
    epilog="Example: wardgate schema devices > devices.schema.json\n\nExample: wardgate schema events --dir ./schemas"
)
def schema(
    kind: Annotated[
        Literal["gateway", "lines", "devices", "alarms", "profile", "events", "asyncapi"] | None,
        typer.Argument(
            help="A configuration file (all of them if left out), all messages, or their AsyncAPI document.",
            show_default=False,
        ),
    ] = None,
    folder: Annotated[
        Path | None,
        typer.Option("--dir", metavar="DIR", show_default=False, help="With `events`: write a file for each kind."),
    ] = None,
) -> None:
    """JSON Schemas: of the configuration files, as editors use them, and of the messages over MQTT."""
    if folder is not None and kind != "events":
        raise typer.BadParameter("--dir goes with `events`")
    if kind in {"events", "asyncapi"}:
        _messages(kind == "asyncapi", folder)
        return
    described = _configuration()
    show.json(described if kind is None else described[kind])


def _configuration() -> dict[str, Any]:
    from config.schema import schema as schemas
    from drivers import registry

    return schemas(registry.protocols())


def _messages(document_only: bool, folder: Path | None) -> None:
    from agent.asyncapi import document, schema_files, text

    if document_only:
        show.json(document())
    elif folder is None:
        show.json(schema_files())
    else:
        _write(folder, {name: text(described) for name, described in schema_files().items()})


def _write(folder: Path, files: dict[str, str]) -> None:
    try:
        for name, content in files.items():
            file = folder / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(content, encoding="utf-8")
    except OSError as error:
        raise ControlError(f"cannot write {error.filename} ({error.strerror})", "name a folder of yours") from error
    print(f"{len(files)} files in {folder}")
