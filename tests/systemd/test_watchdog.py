"""The whole gateway under a manager that listens: what it tells when the plant is dark, and when its loop hangs."""

from __future__ import annotations

import os
import signal
import time
from typing import TYPE_CHECKING

import pytest
from mqtt_peer import free_port, until
from notify_peer import Ear
from plant import Gateway, folder, write

if TYPE_CHECKING:
    from pathlib import Path

BEAT = "WATCHDOG=1"
WATCHDOG_S = 1.2
BLOCKED_S = 30
DARK = "127.99.99.99"
"""No device answers there, and no broker."""

BLOCKS = f"""
import signal, time
signal.signal(signal.SIGUSR1, lambda *_: time.sleep({BLOCKED_S}))
"""


@pytest.fixture
def ear(tmp_path: Path) -> Ear:
    return Ear(tmp_path / "notify")


def configure_in_the_dark(here: Path) -> None:
    """A gateway whose device and broker are without power."""
    (here / "journal").mkdir()
    write(
        here / "gateway.yaml",
        {
            "site": "h01",
            "gateway": "gw-1",
            "control_socket": "./control.sock",
            "journal": {"path": "./journal"},
            "uplinks": {"platform": {"brokers": [f"mqtt://{DARK}:{free_port()}"]}},
        },
    )
    write(here / "lines.yaml", {"lines": {"lv": {"protocol": "modbus", "host": DARK, "port": 1502}}})
    points = {"u": {"register": 0, "unit": "V"}}
    write(here / "devices" / "lv.yaml", {"devices": {"lv-main": {"line": "lv", "system": "power", "points": points}}})


async def silence(ear: Ear) -> None:
    """Until nothing was heard for as long as the watchdog waits."""
    heard, since = ear.heard(BEAT), time.monotonic()

    def is_over() -> bool:
        nonlocal heard, since
        if (now_heard := ear.heard(BEAT)) != heard:
            heard, since = now_heard, time.monotonic()
        return time.monotonic() - since >= WATCHDOG_S

    await until(is_over, BLOCKED_S - 5)


async def test_with_the_plant_dark_it_gets_ready_lives_says_so_and_stops(ear: Ear) -> None:
    """A power cut in the plant is when it is needed: neither devices nor broker have a say in its life."""
    with folder() as here, ear, Gateway(here, ear.environment(WATCHDOG_S)) as gateway:
        configure_in_the_dark(here)
        gateway.start()
        await until(lambda: ear.heard("READY=1") == 1)
        await until(lambda: "lines 0 of 1 up; devices 0 of 1 online" in ear.status())
        beats = ear.heard(BEAT)
        await until(lambda: ear.heard(BEAT) > beats + 6)
        assert gateway.device("lv-main").failures
        assert (await gateway.stop())[0] == 0
        assert ear.heard("STOPPING=1") == 1
        assert ear.lines.index("READY=1") < ear.lines.index("STOPPING=1")


async def test_a_blocked_loop_gives_no_sign_of_life_and_leaves_where_it_stood(ear: Ear, tmp_path: Path) -> None:
    """As systemd does it: nothing is heard for the watchdog's time, SIGABRT; the log then names the place."""
    build = tmp_path / "build"
    build.mkdir()
    (build / "sitecustomize.py").write_text(BLOCKS)
    variables = {**ear.environment(WATCHDOG_S), "PYTHONPATH": str(build)}
    with folder() as here, ear, Gateway(here, variables) as gateway:
        configure_in_the_dark(here)
        gateway.start()
        await until(lambda: ear.heard(BEAT) > 1)
        os.kill(gateway.pid, signal.SIGUSR1)
        await silence(ear)
        os.kill(gateway.pid, signal.SIGABRT)
        await until(lambda: "sitecustomize.py" in gateway.log.read_text())
        assert "Fatal Python error: Aborted" in gateway.log.read_text()
        gateway.kill()
