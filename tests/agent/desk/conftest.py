"""Fixtures for everything that talks over the control socket."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import pytest
from fake_desk import FakeDesk, Served

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def socket_path() -> Iterator[Path]:
    """A socket's path is limited to 107 bytes; pytest's own folders may be longer."""
    with TemporaryDirectory(prefix="wg") as folder:
        yield Path(folder) / "control.sock"


@pytest.fixture
def desk() -> FakeDesk:
    return FakeDesk()


@pytest.fixture
def served(socket_path: Path) -> Iterator[Served]:
    with Served(socket_path) as served:
        yield served
