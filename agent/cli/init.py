"""`wardgate init`: a new configuration folder, commented, that `check` accepts."""

import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from agent.cli import filing
from agent.cli.options import ETC, Lang
from agent.cli.words import Words
from agent.control.client import NotDone
from config.document import Document

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from config.starter import Answers, NewDevice, NewLine, Starter

app = typer.Typer()

LOCAL_TIME = Path("/etc/localtime")
ZONES = "zoneinfo"


@app.command(
    epilog="Example: wardgate init ./first\n\nExample: wardgate init ./first --site h01 --gateway gw-1 "
    "--broker mqtt://192.168.1.10 --line modbus=192.168.1.50 --device lv-main=schneider-pm5300"
)
def init(
    lang: Lang,
    folder: Annotated[Path, typer.Argument(help="Where it is to be.")] = ETC,
    site: Annotated[str | None, typer.Option("--site", help="Short id of the hospital, such as h01.")] = None,
    gateway: Annotated[str | None, typer.Option("--gateway", help="Short id of this gateway, such as gw-1.")] = None,
    time_zone: Annotated[
        str | None, typer.Option("--time-zone", show_default="that of this machine", help="Such as Asia/Shanghai.")
    ] = None,
    broker: Annotated[
        list[str] | None, typer.Option("--broker", metavar="URL", help="mqtts://HOST; repeat it.")
    ] = None,
    user: Annotated[str, typer.Option("--user", show_default=False, help="The gateway's user at the broker.")] = "",
    line: Annotated[
        list[str] | None,
        typer.Option("--line", metavar="PROTOCOL=WHERE", help="modbus=192.168.1.50, bacnet=10.1.3.5/24; repeat it."),
    ] = None,
    device: Annotated[
        list[str] | None,
        typer.Option("--device", metavar="ID=PROFILE[:NUMBER]", help="lv-main=schneider-pm5300:1; repeat it."),
    ] = None,
) -> None:
    """Write a commented configuration to begin with; what is not said is asked on a terminal.

    Nothing that is there is overwritten.
    """
    from config.schema import schema
    from config.starter import Answers, files
    from drivers import registry

    if (folder / "gateway.yaml").exists():
        raise NotDone(f"{folder} has a configuration already", "name another folder")
    ask = _Questions(Words(lang))
    answers = Answers(
        site=ask.text(site, "--site", "id of the hospital, such as h01"),
        gateway=ask.text(gateway, "--gateway", "id of this gateway, such as gw-1"),
        time_zone=time_zone or _time_zone(),
        brokers=ask.several(broker, "the platform's broker, such as mqtts://10.0.0.5"),
        user=user,
        lines=list(map(_line, ask.several(line, "a connection, such as modbus=192.168.1.50:502"))),
        devices=list(map(_device, ask.several(device, "a device, such as lv-main=schneider-pm5300:1"))),
        here=folder.absolute() != ETC,
    )
    _refuse_homeless(answers)
    written = files(answers, _starters(), schema(registry.protocols()))
    _write(folder, written)
    for name in written:
        print(folder / name)
    print(f"{Words(lang)('next:')} wardgate check{'' if folder == ETC else f' --config {folder}'}")


class _Questions:
    """Asked only on a terminal, and only for what was not said."""

    def __init__(self, words: Words) -> None:
        self._words = words
        self._is_asking = sys.stdin.isatty()

    def text(self, said: str | None, option: str, question: str) -> str:
        if said is not None:
            return said
        if not self._is_asking:
            raise typer.BadParameter(f"nobody can be asked; write {option}, the {question}")
        answer: str = typer.prompt(self._words(question))
        return answer.strip()

    def several(self, said: list[str] | None, question: str) -> list[str]:
        """Until nothing is answered."""
        if said is not None or not self._is_asking:
            return said or []
        found: list[str] = []
        while answer := typer.prompt(
            f"{self._words(question)} {self._words('(Enter: no more)')}", "", show_default=False
        ):
            found.append(answer.strip())
        return found


def _line(written: str) -> "NewLine":
    from config.starter import NewLine
    from drivers import registry

    protocol, equals, where = written.partition("=")
    known = list(registry.protocols())
    if not equals or not where or protocol not in known:
        raise typer.BadParameter(f"--line {written}: write PROTOCOL=WHERE, with one of {', '.join(known)}")
    return NewLine(protocol, where.strip())


def _device(written: str) -> "NewDevice":
    from config.folder import SHIPPED_PROFILES, shipped_profiles
    from config.starter import NewDevice

    name, _, rest = written.partition("=")
    profile, _, number = rest.partition(":")
    if profile not in shipped_profiles():
        raise typer.BadParameter(
            f"--device {written}: no profile {profile!r}; there are {', '.join(shipped_profiles())}"
        )
    if number and not number.isdecimal():
        raise typer.BadParameter(f"--device {written}: {number!r} is no number of a device; write ID=PROFILE:1")
    data = Document(profile, (SHIPPED_PROFILES / f"{profile}.yaml").read_bytes()).data or {}
    return NewDevice(name.strip(), profile, str(data.get("protocol")), int(number) if number else None)


def _refuse_homeless(answers: "Answers") -> None:
    there = {line.protocol for line in answers.lines}
    for device in answers.devices:
        if device.protocol not in there:
            raise typer.BadParameter(f"{device.id} speaks {device.protocol}; write --line {device.protocol}=WHERE, too")


def _starters() -> "dict[str, Starter]":
    """Of the drivers that have something to say."""
    from config.errors import ConfigProblem
    from drivers import registry

    found = {}
    for name in registry.protocols():
        with suppress(ConfigProblem):
            found[name] = registry.starter(name)
    return found


def _time_zone() -> str:
    """That of this machine."""
    zone = str(LOCAL_TIME.resolve()).partition(f"/{ZONES}/")[2]
    return zone if zone and "Etc" not in zone else "UTC"


def _write(folder: Path, files: "Mapping[str, str]") -> None:
    """All of them, or none where they could not be used."""
    there = [name for name in files if (folder / name).exists()]
    if there:
        raise NotDone(f"{folder / there[0]} is there already", "name another folder")
    try:
        for name, text in files.items():
            filing.put((folder / name).absolute(), text)
        _judge(folder)
    except OSError as error:
        _remove(folder, files)
        raise NotDone(
            f"cannot write {error.filename} ({error.strerror})", "use sudo, or name a folder of yours"
        ) from error
    except typer.Exit:
        _remove(folder, files)
        raise


def _remove(folder: Path, files: "Iterable[str]") -> None:
    for name in files:
        (folder / name).unlink(missing_ok=True)


def _judge(folder: Path) -> None:
    from agent.accept import accept
    from agent.clock import SystemClock
    from config.errors import ConfigInvalid

    try:
        accept(folder, SystemClock())
    except ConfigInvalid as invalid:
        sys.stderr.write(f"{invalid}\n")
        raise typer.Exit(1) from None
