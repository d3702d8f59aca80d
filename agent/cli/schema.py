"""`wardgate schema`: the JSON Schema of each kind of configuration file, for editors."""

from typing import Annotated, Literal

import typer

from agent.cli import show

app = typer.Typer()


@app.command(epilog="Example: wardgate schema devices > devices.schema.json")
def schema(
    kind: Annotated[
        Literal["gateway", "lines", "devices", "profile"] | None,
        typer.Argument(help="Which file; all of them, by name, if left out.", show_default=False),
    ] = None,
) -> None:
    """The JSON Schema of the configuration files, as editors use it."""
    from config.schema import schema as schemas
    from drivers import registry

    described = schemas(registry.protocols())
    show.json(described if kind is None else described[kind])
