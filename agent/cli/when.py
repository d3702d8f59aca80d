"""A moment as a person writes it: `2h` ago, `10:30` today, a date, a date with a time, or `now`."""

from __future__ import annotations

from datetime import datetime, time

import typer

from config.units import seconds

HELP = "A moment: 2h (ago), 10:30 (today), 2026-11-21, 2026-11-21T10:30, with Z or +08:00 at will, or now."


def when(text: str, now: datetime) -> float:
    """Epoch seconds; what names no time zone is meant in that of `now`. Raises a usage error."""
    if text == "now":
        return now.timestamp()
    for meaning in (_ago, _today, _moment):
        try:
            return meaning(text, now)
        except ValueError:
            continue
    raise typer.BadParameter(f"{text!r} is no moment; write 2h, 10:30, 2026-11-21, 2026-11-21T10:30 or now")


def _ago(text: str, now: datetime) -> float:
    return now.timestamp() - seconds(text)


def _today(text: str, now: datetime) -> float:
    return datetime.combine(now.date(), time.fromisoformat(text), now.tzinfo).timestamp()


def _moment(text: str, now: datetime) -> float:
    moment = datetime.fromisoformat(text)
    return (moment if moment.tzinfo else moment.replace(tzinfo=now.tzinfo)).timestamp()
