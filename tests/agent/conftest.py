"""Fixtures for the uplink: brokers to talk to, and an uplink with a journal of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from mqtt_peer import Mosquitto, ScriptedBroker
from uplink_rig import Rig

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from mqtt_peer import StartMosquitto

    from buffer.journal import Journal


@pytest.fixture
async def broker() -> AsyncIterator[ScriptedBroker]:
    async with ScriptedBroker() as broker:
        yield broker


@pytest.fixture
def start_mosquitto(tmp_path: Path) -> Iterator[StartMosquitto]:
    """Start one with extra lines of configuration; all of them end with the test."""
    started: list[Mosquitto] = []

    async def start(*lines: str, port: int | None = None) -> Mosquitto:
        mosquitto = Mosquitto(tmp_path, *lines, port=port)
        started.append(mosquitto)
        await mosquitto.start()
        return mosquitto

    yield start
    for mosquitto in started:
        mosquitto.stop()


@pytest.fixture
async def mosquitto(start_mosquitto: StartMosquitto) -> Mosquitto:
    return await start_mosquitto()


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    """An uplink that is not running yet; its broker is set with `rig.at(port)`."""
    folder = tmp_path / "journal"
    folder.mkdir()
    async with Rig(folder) as rig:
        yield rig


@pytest.fixture
async def journal(rig: Rig) -> Journal:
    return rig.journal
