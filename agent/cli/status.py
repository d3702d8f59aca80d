"""`wardgate status`: one screen of everything the daemon knows of itself."""

import typer

from agent.cli import show
from agent.cli.alarms import alarm_table
from agent.cli.devices import device_table
from agent.cli.journal import journal_table
from agent.cli.options import ETC, AsJson, ConfigDir, Lang, Socket, client
from agent.cli.show import Cell, Row
from agent.cli.words import Words
from agent.status import Status, UplinkView

app = typer.Typer()


@app.command(epilog="Example: wardgate status --json")
def status(lang: Lang, config: ConfigDir = ETC, socket: Socket = None, as_json: AsJson = False) -> None:
    """One screen: uplinks, lines, devices, alarms, journal, clock, and what to do about what is not well."""
    now = client(config, socket).status()
    if as_json:
        show.json(now)
        return
    words = Words(lang)
    _heading(now, words)
    for table in (_uplinks, _lines, device_table, alarm_table, journal_table, _health):
        print()
        table(now, words)


def _heading(now: Status, words: Words) -> None:
    up = show.age(show.seconds_between(now.started, now.now))
    print(f"wardgate {now.version}  {words.of(now.name)}  {now.site}/{now.gateway}  {now.cfg_ver}")
    print(f"{words('uptime')} {up}  {words('clock')} {words(now.clock)}")


def _uplinks(now: Status, words: Words) -> None:
    names = ("uplink", "state", "since", "broker", "to send", "handed over", "not confirmed", "confirmed", "error")
    headings = [words(name) for name in names]
    rows: list[Row] = [
        [
            one.id,
            Cell(words(one.state), show.STYLES.get(one.state, "")),
            show.local_time(one.since),
            one.broker,
            _waiting(one, words),
            str(one.acknowledged),
            _count(one.handed_over),
            _count(one.confirmed),
            _trouble(one.error, one.todo, words),
        ]
        for one in now.uplinks
    ]
    show.table(headings, rows, title=words("uplink"))


def _lines(now: Status, words: Words) -> None:
    headings = [words(word) for word in ("line", "name", "protocol", "endpoint", "state", "since", "error")]
    rows: list[Row] = [
        [
            one.id,
            words.of(one.name),
            one.protocol,
            one.endpoint,
            Cell(words(one.state), show.STYLES.get(one.state, "")),
            show.local_time(one.since),
            _trouble(one.error, one.todo, words),
        ]
        for one in now.lines
    ]
    show.table(headings, rows, title=words("lines"))


def _health(now: Status, words: Words) -> None:
    if not now.health:
        print(words("no health conditions"))
        return
    headings = [words(word) for word in ("health", "target", "since", "text", "what to do")]
    rows: list[Row] = [
        [
            Cell(words(one.severity), show.STYLES.get(one.severity, "")),
            one.target,
            show.local_time(one.since),
            f"{words.of(one.title)}: {words.said(one.detail)}" if one.detail else words.of(one.title),
            words.of(one.todo),
        ]
        for one in now.health
    ]
    show.table(headings, rows, title=words("health"))


def _waiting(one: UplinkView, words: Words) -> str:
    """How much, and of it what drains beside what is new."""
    total = str(sum(one.waiting.values()))
    return total if one.live_from is None else f"{total} ({words('backlog')} {one.backlog})"


def _count(count: int | None) -> str:
    """Nothing is counted where the platform does not confirm."""
    return show.value(None) if count is None else str(count)


def _trouble(error: str | None, todo: str | None, words: Words) -> str:
    return words.said("; ".join(part for part in (error, todo) if part))
