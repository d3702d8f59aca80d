"""What `wardgate backtest` does: two configurations, one input. Slow to import."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent.accept import accept
from agent.backtest.recorded import Unusable, of_file, of_journal
from agent.backtest.report import backtest
from agent.cli.journal_file import Place
from agent.clock import SystemClock
from agent.control.client import NotDone
from buffer.errors import JournalError
from config.errors import ConfigInvalid

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from agent.backtest.recorded import Item
    from agent.backtest.report import BacktestView
    from buffer.reader import Damaged
    from config.model import Config

JOURNAL = ".db"


def run(config: Path, rules: Path, file: Path | None, from_s: float, to_s: float) -> BacktestView:
    """Raises `NotDone`."""
    before, after = _accepted(config), _accepted(rules)
    damaged: list[Damaged] = []
    is_journal = file is None or file.suffix == JOURNAL
    try:
        if is_journal:
            items = of_journal(file or Place(config).file, from_s, to_s, damaged.append)
        else:
            assert file is not None, "otherwise it is the journal"
            items = _of_file(file, from_s, to_s, before, after)
        found = backtest(items, before, after, stands=not is_journal)
    except Unusable as error:
        raise NotDone(str(error)) from error
    except JournalError as error:
        raise NotDone(error.what, error.hint) from error
    except (OSError, UnicodeDecodeError) as error:
        raise NotDone(f"cannot read {file} ({error})", "name another --input") from error
    if damaged:
        raise NotDone(f"{len(damaged)} chunks of the input are damaged", "see `wardgate journal verify`")
    return found


def _of_file(file: Path, from_s: float, to_s: float, before: Config, after: Config) -> Iterator[Item]:
    devices = (*before.devices, *after.devices)
    kinds = {(point.device, point.id): point.type for device in devices for point in device.points}
    return of_file(file, from_s, to_s, kinds, after.time_zone)


def _accepted(folder: Path) -> Config:
    try:
        config, _ = accept(folder, SystemClock())
    except ConfigInvalid as invalid:
        raise NotDone(str(invalid), f"see `wardgate check --config {folder}`") from invalid
    return config
