"""`wardgate backup`: the whole gateway in one file, so that another box can go on where this one ends."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from agent.cli import show
from agent.cli.options import ETC, AsJson, ConfigDir, Lang, Socket, client
from agent.cli.passphrase import NoSecrets, PassphraseFile, passphrase
from agent.cli.words import Words

if TYPE_CHECKING:
    from agent.backup.make import Made

app = typer.Typer()


@app.command(
    epilog="Example: wardgate backup /media/usb/gw-1.backup\n\n"
    "Example: wardgate backup gw-1.backup --passphrase-file ~/backup.passphrase"
)
def backup(
    lang: Lang,
    file: Annotated[Path, typer.Argument(help="The backup that is to be; one that is there is replaced.")],
    config: ConfigDir = ETC,
    socket: Socket = None,
    passphrase_file: PassphraseFile = None,
    no_secrets: NoSecrets = False,
    as_json: AsJson = False,
) -> None:
    """Configuration, certificates, alarm states and journal in one file, while the daemon runs or without it.

    Passwords and private keys are in it only under a passphrase.
    """
    from agent.backup.make import make
    from agent.backup.places import read_places
    from agent.cli import journal_file

    places = read_places(config, Path("/"))
    chosen = passphrase(passphrase_file, left_out=no_secrets, twice=True)
    daemon = client(config, socket)

    def copy_journal(to: Path) -> None:
        journal_file.back_up(journal_file.Place(config), daemon, to)

    made = make(places, file, chosen, time.time(), copy_journal)
    if as_json:
        show.json(made)
    else:
        _tell(made, Words(lang))


def _tell(made: "Made", words: Words) -> None:
    print(
        words("{}: gateway {} of {}, {} files, {} secrets, journal of {}").format(
            made.file, made.gateway, made.site, made.files, made.secrets, show.size(made.journal_bytes)
        )
    )
    for path in made.left_out:
        print(f"{words('not in it, because it may be secret:')} {path}")
    for name in made.missing:
        print(f"{words('not in it, set it up by hand after a restore:')} {name}")
