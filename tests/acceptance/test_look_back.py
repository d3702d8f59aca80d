"""Looking back on a running gateway, copying its journal, and starting on the copy; all by the command line."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

from hardware_mocks.client import HospitalProcess
from mqtt_peer import until
from plant import Gateway, broker, configure_hospital, folder

from agent.cli.app import main

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

ALARM_ID = "fire/fire-panel/zone.3.alarm#zone-3"
POINT = "fire-panel/zone.3.alarm"


class Shell:
    """Verbs of `wardgate` on one configuration, beside the event loop."""

    def __init__(self, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self._config = ["--config", str(here)]
        self._capsys = capsys

    async def run(self, *words: str) -> int:
        return await asyncio.to_thread(main, [*words, *self._config])

    async def ask(self, *words: str) -> Any:
        """What `--json` prints."""
        self._capsys.readouterr()
        code = await self.run(*words, "--json")
        said = self._capsys.readouterr()
        assert code == 0, said.err
        return json.loads(said.out)

    async def evidence(self) -> None:
        """Of the fire, once its end is there at full rate, which is what telemetry alone would not say twice."""
        async with asyncio.timeout(60):
            while True:
                (found,) = (await self.ask("alarms", "show", ALARM_ID))["evidence"]
                assert found["point"] == POINT
                values = [sample["value"] for sample in found["samples"]]
                if True in values and values[-2:] == [False, False]:
                    return


async def test_what_happened_can_be_looked_back_on_and_a_copy_put_back(capsys: pytest.CaptureFixture[str]) -> None:
    """History, evidence and backtest of a fire; a backup while it runs, and a new epoch on what was restored."""
    with folder() as here:
        shell = Shell(here, capsys)
        async with broker(here) as server, HospitalProcess() as hospital:
            configure_hospital(here, hospital, server.port)
            with Gateway(here) as gateway:
                await gateway.ready()
                await until(lambda: all(view.state == "online" for view in gateway.status().devices))
                await hospital.act("fire", zone=3)
                await until(lambda: [view for view in gateway.status().alarms if view.alarm_id == ALARM_ID])
                await hospital.act("fire_reset")
                await until(lambda: {v.alarm_id: v.state for v in gateway.status().alarms}.get(ALARM_ID) == "RTNUN")
                told = await shell.ask("alarms", "history", ALARM_ID)
                assert [row["action"] for row in told] == ["raise", "clear"]
                await shell.evidence()
                rows = (await shell.ask("history", POINT, "--from", "5min", "--every", "1s"))["rows"]
                assert {row["last"] for row in rows} == {True, False}
                played = await shell.ask("backtest", "--rules", str(here), "--from", "5min")
                assert {kind for kind, count in played["counts"].items() if count} == {"stays"}
                epoch = gateway.status().journal.epoch
                assert await shell.run("journal", "backup", str(here / "copy.db")) == 0
                assert await shell.run("journal", "verify") == 0
                assert await shell.run("journal", "restore", str(here / "copy.db")) == 1
                assert (await gateway.stop())[0] == 0
                assert await shell.run("journal", "verify", str(here / "copy.db"), "--full") == 0
                assert await shell.run("journal", "restore", str(here / "copy.db")) == 0
                await gateway.ready()
                assert gateway.status().journal.epoch != epoch
                assert {view.alarm_id for view in gateway.status().alarms} >= {ALARM_ID}
                assert [row["action"] for row in await shell.ask("alarms", "history", ALARM_ID)] == ["raise", "clear"]
                assert (await gateway.stop())[0] == 0
