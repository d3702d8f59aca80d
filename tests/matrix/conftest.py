"""One line for each cell as soon as it is judged, however many processes judge them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping

    Status = tuple[str, str, str | tuple[str, Mapping[str, bool]]]

_config: list[pytest.Config] = []


def pytest_configure(config: pytest.Config) -> None:
    _config.append(config)


@pytest.hookimpl(wrapper=True)
def pytest_report_teststatus(report: pytest.TestReport) -> Generator[None, Status, Status]:
    """The line takes the place of the dot."""
    category, letter, word = yield
    return category, "" if report.passed else letter, word


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Runs where the terminal is, and in the processes that have none too."""
    terminal = _config[0].pluginmanager.get_plugin("terminalreporter")
    if terminal is not None and report.when == "call" and not hasattr(_config[0], "workerinput"):
        told = dict(report.user_properties)
        verdict = "ok    " if report.passed else "FAILED"
        terminal.ensure_newline()
        terminal.write_line(f"{verdict} {told.get('cell', report.nodeid):<34} {told.get('figures', '')}")
