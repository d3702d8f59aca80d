"""A gateway dies after a backup, and another box goes on: the alarms as they were, and the platform's account whole."""

from __future__ import annotations

import asyncio
import json
import shutil
import time
from typing import TYPE_CHECKING

from consumer_process import ConsumerProcess
from mqtt_peer import until
from plant import Gateway, broker, configure_load, folder, load, uplink, write

from agent.cli.app import main

if TYPE_CHECKING:
    from pathlib import Path

    from plant import Load, Tree

RECORDS = 20
END_S = 60.0


def alarms_of(running: Load) -> dict[str, Tree]:
    """One that stands from the first reading on, and two that come while this runs."""
    reached = [running.reaching(time.time() + ahead_s) for ahead_s in (-60, 2, 20)]
    return {"m1": {f"a{n}": {"point": f"r{r}", "limit": {"H": v}, "colour": "red"} for n, (r, v) in enumerate(reached)}}


async def command(*words: str) -> None:
    assert await asyncio.to_thread(main, list(words)) == 0


async def more(consumer: ConsumerProcess, records: int) -> None:
    enough = consumer.stored() + records
    await until(lambda: consumer.stored() >= enough, END_S)


def states(gateway: Gateway) -> dict[str, tuple[str, str]]:
    """Of the alarms above; that devices are lost in the end may come at any moment."""
    return {
        view.alarm_id: (view.state, view.occurrence_id) for view in gateway.status().alarms if "#a" in view.alarm_id
    }


def at_rest(gateway: Gateway, consumer: ConsumerProcess) -> bool:
    status = gateway.status()
    uplink = status.uplinks[0]
    quiet = all(view.failures for view in status.devices)
    return quiet and not sum(uplink.waiting.values()) and not uplink.handed_over and not consumer.unconfirmed()


async def first_box(box: Path, here: Path, consumer: ConsumerProcess, alarm_id: str) -> tuple[str, str]:
    """Runs, has an alarm acknowledged and a backup taken, goes on, and dies. Gives how that alarm was in the backup."""
    with Gateway(box) as gateway:
        await gateway.ready()
        await until(lambda: alarm_id in states(gateway), END_S)
        await command("alarms", "ack", alarm_id, "--comment", "seen", "--config", str(box))
        state = states(gateway)[alarm_id]
        assert state[0] == "ACKED"
        secret = str(here / "passphrase")
        await command("backup", str(here / "gw.backup"), "--passphrase-file", secret, "--config", str(box))
        await more(consumer, RECORDS)
        gateway.kill()
    return state


async def test_another_box_goes_on_from_a_backup_and_the_account_is_complete() -> None:
    """Also where the first box had sent more than is in the backup."""
    with folder() as here, load(here, devices=2) as (running, net):
        (here / "passphrase").write_text("a long enough passphrase")
        async with broker(here) as server:
            old, new = here / "old", here / "new"
            old.mkdir()
            alarms = alarms_of(running)
            alarm_id = f"energy/m1/{alarms['m1']['a0']['point']}#a0"
            settings = {"confirm": True, "keep_alive": 5, "watermark": 2, "backlog_rate": 2000}
            configure_load(old, running, net, uplink(server.port, **settings), alarms)
            gateway_file = old / "gateway.yaml"
            write(gateway_file, {**json.loads(gateway_file.read_text()), "state": "./state"})
            with ConsumerProcess(here, server.port, "--confirm", "--resend") as consumer:
                consumer.start()
                await until(consumer.connections, END_S)
                state = await first_box(old, here, consumer, alarm_id)
                shutil.rmtree(old)
                secret = str(here / "passphrase")
                await command("restore", str(here / "gw.backup"), "--passphrase-file", secret, "--config", str(new))
                with Gateway(new) as gateway:
                    await gateway.ready()
                    assert states(gateway)[alarm_id] == state
                    await more(consumer, RECORDS)
                    running.end()
                    await until(lambda: at_rest(gateway, consumer), END_S)
                    standing = {name: occurrence for name, (_, occurrence) in states(gateway).items()}
                    epoch = gateway.status().journal.epoch
                    assert (await gateway.stop())[0] == 0
                    lanes = gateway.lanes()
                await until(consumer.has_farewell, END_S)
                assert await consumer.stop() == 0
            (told,) = consumer.report["gateways"]
            assert consumer.report["verdict"] == "COMPLETE"
            assert len(told["epochs"]) == 2
            assert {name: occurrence for name, occurrence in consumer.standing().items() if "#a" in name} == standing
            newest = {lane["stream"]: lane["received"] for lane in told["streams"] if lane["epoch"] == epoch}
            assert newest == {stream: last for (name, stream), last in lanes.items() if name == epoch and last}
