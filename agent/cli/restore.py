"""`wardgate restore`: a gateway out of its backup, on a box on which wardgate is installed and does not run."""

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from agent.cli import show
from agent.cli.options import ETC, AsJson, ConfigDir, Lang
from agent.cli.passphrase import NoSecrets, PassphraseFile, passphrase
from agent.cli.words import Words

if TYPE_CHECKING:
    from agent.backup.put_back import Restored
    from agent.cli.options import Language

app = typer.Typer()


@app.command(
    epilog="Example: wardgate restore /media/usb/gw-1.backup\n\n"
    "Example: wardgate restore gw-1.backup --root /mnt/new-disk"
)
def restore(
    lang: Lang,
    file: Annotated[Path, typer.Argument(help="What `wardgate backup` made.")],
    config: ConfigDir = ETC,
    root: Annotated[
        Path, typer.Option("--root", metavar="DIR", help="Where the files of that machine begin, as for an image.")
    ] = Path("/"),
    passphrase_file: PassphraseFile = None,
    no_secrets: NoSecrets = False,
    as_json: AsJson = False,
) -> None:
    """Put everything of a backup in its place; the daemon must not run. What is there now is kept beside it.

    The daemon goes on with the alarms as they were, in a new epoch, so the platform takes nothing for what it is not.
    """
    from agent.backup.container import opened
    from agent.backup.put_back import put_back

    with opened(file) as found:
        has_secrets = found.manifest.has_secrets
    chosen = passphrase(passphrase_file, left_out=no_secrets, twice=False) if has_secrets else None
    restored = put_back(file, config.absolute(), root.absolute(), chosen, time.time())
    if as_json:
        show.json(restored)
    else:
        _tell(restored, Words(lang))
    _judge(Path(restored.config), lang)


def _tell(restored: "Restored", words: Words) -> None:
    print(
        words("gateway {} of {} as it was at {}: {} files in {}").format(
            restored.gateway, restored.site, restored.made, restored.files, restored.config
        )
    )
    for path in restored.aside:
        print(f"{words('what was there is now in')} {path}")
    for path in restored.kept:
        print(f"{words('stays as it is here, and differs from the backup:')} {path}")
    for name in restored.missing:
        print(f"{words('was not restored, set it up by hand:')} {words(name)}")


def _judge(config: Path, lang: "Language") -> None:
    """A release that is not the one of the backup may not like what it finds."""
    from agent.accept import accept
    from agent.clock import SystemClock
    from agent.language.sentences import problem
    from config.errors import ConfigInvalid

    try:
        accept(config, SystemClock())
    except ConfigInvalid as invalid:
        sys.stderr.write("".join(f"{problem(one, lang)}\n" for one in invalid.problems))
        raise typer.Exit(1) from None
