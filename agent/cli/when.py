"""A moment as a person writes it: `2h` ago, `10:30` today, a date, a date with a time, or `now`."""

from __future__ import annotations

from datetime import datetime, time, timedelta

import typer

from config.units import seconds

AHEAD = "How long (2h), or until when (17:30, 2026-11-21T17:30)."
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


def until(text: str, now: datetime) -> float:
    """The same of what is to come: `2h` from now; `17:30` is today, or tomorrow where that is over."""
    for meaning in (_ahead, _next, _moment):
        try:
            return meaning(text, now)
        except ValueError:
            continue
    raise typer.BadParameter(f"{text!r} is no time to come; write 2h, 17:30 or 2026-11-21T17:30")


def _ahead(text: str, now: datetime) -> float:
    return now.timestamp() + seconds(text)


def _next(text: str, now: datetime) -> float:
    today = datetime.combine(now.date(), time.fromisoformat(text), now.tzinfo)
    return (today if today > now else today + timedelta(days=1)).timestamp()
