"""`wardgate version`."""

import platform

import typer

from agent import __version__
from agent.cli import show
from agent.cli.options import AsJson

app = typer.Typer()


@app.command(epilog="Example: wardgate version --json")
def version(as_json: AsJson = False) -> None:
    """This wardgate, and the Python that runs it."""
    if as_json:
        show.json({"wardgate": __version__, "python": platform.python_version()})
    else:
        print(f"wardgate {__version__} (Python {platform.python_version()})")
