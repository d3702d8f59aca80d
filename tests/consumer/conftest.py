"""Brokers for the consumer's tests."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from mqtt_peer import Mosquitto

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from consumer_rig import StartMosquitto


@pytest.fixture
def start_mosquitto(tmp_path: Path) -> Iterator[StartMosquitto]:
    """Start one with extra lines of configuration; all of them end with the test."""
    started: list[Mosquitto] = []

    def start(*lines: str, port: int | None = None) -> Mosquitto:
        mosquitto = Mosquitto(tmp_path, *lines, port=port)
        started.append(mosquitto)
        asyncio.run(mosquitto.start())
        return mosquitto

    yield start
    for mosquitto in started:
        mosquitto.stop()


@pytest.fixture
def mosquitto(start_mosquitto: StartMosquitto) -> Mosquitto:
    return start_mosquitto()
