"""`wardgate alarms load`: how much alarms ask of people, and which of them ask most."""

from typing import TYPE_CHECKING

from agent.cli import show
from agent.cli.options import ETC, AsJson, ConfigDir, Lang, Socket, client
from agent.cli.words import Words
from agent.status import AlarmLoadView

if TYPE_CHECKING:
    from agent.cli.show import Row


def alarm_load(lang: Lang, config: ConfigDir = ETC, socket: Socket = None, as_json: AsJson = False) -> None:
    """How many alarms called people of late, which colours they had, and which called most often."""
    found = client(config, socket).status().load
    if as_json:
        show.json(found)
        return
    words = Words(lang)
    load_table(found, words)
    print()
    worst_table(found, words)


def load_table(found: AlarmLoadView, words: Words) -> None:
    """A row for each figure, with what is acceptable by EEMUA 191 and ISA-18.2."""
    rows: list[Row] = [
        [words("alarms in 10 min"), str(found.per_10_min), str(found.peak_10_min), "1"],
        [words("alarms in an hour"), str(found.per_hour), str(found.peak_hour), "5"],
        [words("alarms in a day"), str(found.per_day), "", "120"],
        [words("standing"), str(found.standing), "", ""],
        [words("standing for a day"), str(len(found.stale)), "", "0"],
        [words("chattering"), str(len(found.chattering)), "", "0"],
    ]
    title = f"{words('alarm load since')} {show.local_time(found.since)}"
    title += f"  {words('flood')}" if found.flood else ""
    show.table([words(word) for word in ("figure", "now", "peak", "acceptable")], rows, title=title)
    print("  ".join(f"{words(colour)} {share:g} %" for colour, share in found.share_pct.items()))


def worst_table(found: AlarmLoadView, words: Words) -> None:
    marks = {name: words("standing for a day") for name in found.stale}
    marks |= {name: words("chattering") for name in found.chattering}
    rows: list[Row] = [[one.alarm_id, str(one.count), f"{one.share_pct:g} %"] for one in found.worst]
    show.table([words(word) for word in ("calls most often", "count", "share")], rows)
    for name, mark in sorted(marks.items()):
        print(f"{mark}: {name}")
