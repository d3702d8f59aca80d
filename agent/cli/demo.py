"""`wardgate demo`: a simulated hospital, a broker, the gateway and a live view in one terminal."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from agent.cli.options import Lang

app = typer.Typer()


@app.command(epilog="Example: wardgate demo --no-tui --seconds 30 | head")
def demo(
    lang: Lang,
    no_tui: Annotated[bool, typer.Option("--no-tui", help="Print each event received, one JSON line each.")] = False,
    seconds: Annotated[
        float | None, typer.Option(min=0, help="End by itself after this long.", show_default=False)
    ] = None,
    story: Annotated[Literal["default", "none"], typer.Option(help="What happens in the first 30 s.")] = "default",
    seed: Annotated[int, typer.Option(help="Of the simulated hospital.")] = 1,
    screenshot: Annotated[
        Path | None, typer.Option(metavar="FILE.svg", help="Save the screen as a picture.", show_default=False)
    ] = None,
    at: Annotated[float, typer.Option(min=0, help="When to save it, in seconds.")] = 22.0,
) -> None:
    """A simulated hospital, a broker, the gateway and a live view, in one terminal, with nothing else installed."""
    from agent.cli.live import Wishes, play

    play(Wishes(lang, no_tui, seconds, story, seed, screenshot, at))
