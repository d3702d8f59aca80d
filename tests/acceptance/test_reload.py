"""Issue line 3: another configuration is taken over by a running gateway, or refused as a whole; and what then is back.

The real process on a configuration folder of its own, with Modbus devices and a broker.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
from mqtt_peer import until
from plant import UPLINK, Gateway, broker, configure_load, edit, folder, load, reloaded, uplink

from agent.cli.app import main
from agent.control.client import Client, NotDone

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

ALWAYS = {"point": "r1", "limit": {"H": -1.0}, "colour": "orange", "text": {"zh": "总是", "en": "always"}, "ack": True}
STANDING = {"m1": {"a": ALWAYS}, "m2": {"a": ALWAYS}, "m3": {"a": ALWAYS}}


TITLES = "负荷点表;;;;;\n标识;名称;寄存器地址(0-based);功能码;数据类型;采集周期\n"


def listed(here: Path) -> None:
    """The second device refers to a list as Excel saves it in China, in place of its profile."""
    rows = [f"r{n};寄存器{n};{n};3;u16;250ms" for n in range(8)]
    (here / "points").mkdir()
    save_list(here, rows)
    edit(
        here / "devices" / "load.yaml",
        {"devices": {"m2": {"profile": None, "system": "energy", "point_list": "points/m2.csv"}}},
    )


def save_list(here: Path, rows: list[str]) -> None:
    (here / "points" / "m2.csv").write_bytes((TITLES + "\n".join(rows)).replace("\n", "\r\n").encode("gb18030"))


@asynccontextmanager
async def running(prepare: Callable[[Path], None] = lambda _: None) -> AsyncIterator[tuple[Path, Gateway, Client]]:
    """Three lines with a device each, on each of which an alarm stands."""
    with folder() as here, load(here, devices=3) as (plant, net):
        async with broker(here) as server:
            configure_load(here, plant, net, uplink(server.port), STANDING)
            prepare(here)
            with Gateway(here) as gateway:
                await gateway.ready()
                await until(lambda: stand(gateway, 3) and online(gateway))
                yield here, gateway, Client(here / "control.sock")


def stand(gateway: Gateway, count: int) -> bool:
    return len(gateway.status().alarms) == count


def online(gateway: Gateway) -> bool:
    return all(device.state == "online" for device in gateway.status().devices)


def conditions(gateway: Gateway) -> list[str]:
    """Those about its configuration: what this machine's clock and disk are like does not matter here."""
    return [each.code for each in gateway.status().health if each.code.startswith("config_")]


def history(here: Path, capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    capsys.readouterr()
    assert main(["config", "history", "--config", str(here), "--json"]) == 0
    found: list[dict[str, Any]] = json.loads(capsys.readouterr().out)
    return found


async def test_3_a_reload_touches_only_what_changed() -> None:
    """One device is asked otherwise: its line alone is opened anew, and no alarm changes."""
    async with running() as (here, gateway, client):
        before = {device.id: device for device in gateway.status().devices}
        alarms = {
            alarm.alarm_id: (alarm.occurrence_id, alarm.changed, alarm.state) for alarm in gateway.status().alarms
        }
        edit(here / "devices" / "load.yaml", {"devices": {"m2": {"points": {"r7": {"poll": 0.5}}}}})
        view = await reloaded(client, "slower")
        assert (view.renewed, view.kept, view.opened, view.closed) == (["l2"], ["l1", "l3"], [], [])
        await until(lambda: online(gateway) and gateway.device("m1").polls > before["m1"].polls)
        now = gateway.status()
        assert now.cfg_ver == view.version
        after = {device.id: device for device in now.devices}
        for name in ("m1", "m3"):
            assert (after[name].state, after[name].since) == ("online", before[name].since)
            assert after[name].polls >= before[name].polls
        assert {each.alarm_id: (each.occurrence_id, each.changed, each.state) for each in now.alarms} == alarms
        ups = [line["line"] for line in gateway.said("line up")]
        assert (ups.count("l1"), ups.count("l2"), ups.count("l3")) == (1, 2, 1)


async def test_3_an_edited_row_of_a_point_list_restarts_only_its_line(capsys: pytest.CaptureFixture[str]) -> None:
    """GB18030 and semicolons: accepted, read, edited, taken over; a spoiled row changes nothing, and says its cell."""
    async with running(listed) as (here, gateway, client):
        assert main(["check", "--config", str(here), "--lang", "en"]) == 0
        version = gateway.status().cfg_ver
        assert version in capsys.readouterr().out
        await until(lambda: {point.q for point in gateway.points("m2")} == {"good"})
        assert {point.point: point.name.zh for point in gateway.points("m2")}["r7"] == "寄存器7"
        rows = [f"r{n};寄存器{n};{n};3;u16;250ms" for n in range(7)]
        save_list(here, [*rows, "r7;改过的;7;3;u16;500ms", "r8;新点;90000;3;u16;"])
        with pytest.raises(
            NotDone, match=r"points/m2.csv:11:C: 寄存器地址\(0-based\): found 90000.*nothing has changed"
        ):
            await reloaded(client)
        save_list(here, [*rows, "r7;改过的;7;3;u16;500ms", "r8;新点;8;3;u16;"])
        view = await reloaded(client)
        assert (view.before, view.renewed, view.kept) == (version, ["l2"], ["l1", "l3"])
        await until(lambda: len(gateway.points("m2")) == 9)
        await until(lambda: {point.q for point in gateway.points("m2")} == {"good"})
        assert (await reloaded(client)).kept == ["l1", "l2", "l3"]


async def test_3_what_is_wrong_or_needs_a_restart_changes_nothing() -> None:
    """The refusal says where it is wrong, a condition of the gateway says that the files wait, and then they do not."""
    async with running() as (here, gateway, client):
        version = gateway.status().cfg_ver
        devices = here / "devices" / "load.yaml"
        edit(devices, {"devices": {"m2": {"line": "l9"}}})
        with pytest.raises(
            NotDone, match=r"devices/load.yaml:1:\d+: devices.m2.line: found 'l9', no such line.*nothing has changed"
        ):
            await reloaded(client)
        os.kill(gateway.pid, signal.SIGHUP)
        await until(lambda: len(gateway.said("configuration refused")) == 2)
        assert [line["by"] for line in gateway.said("configuration refused")][1] == "SIGHUP"
        edit(devices, {"devices": {"m2": {"line": "l2"}}})
        edit(here / "gateway.yaml", {"uplinks": {UPLINK: {"topic_root": "wardgate/v1"}}, "topic_root": "other/v1"})
        with pytest.raises(NotDone, match=r"cannot take over: topic_root; restart the service"):
            await reloaded(client)
        now = gateway.status()
        assert (now.cfg_ver, conditions(gateway)) == (version, ["config_refused"])
        edit(here / "gateway.yaml", {"topic_root": None})
        assert (await reloaded(client)).kept == ["l1", "l2", "l3"]
        assert conditions(gateway) == []


async def test_3_what_is_gone_ends_and_what_is_new_begins() -> None:
    """By SIGHUP too: a line, a device and an alarm that stands go, others come; a limit counts at once."""
    async with running() as (here, gateway, client):
        devices = here / "devices" / "load.yaml"
        other = {"line": "l4", "profile": "load", "alarms": {"b": ALWAYS}}
        edit(
            here / "lines.yaml",
            {"lines": {"l4": json.loads((here / "lines.yaml").read_text())["lines"]["l3"], "l3": None}},
        )
        edit(devices, {"devices": {"m4": other, "m3": None, "m1": {"alarms": {"a": {"limit": {"H": 1e6}}}}}})
        os.kill(gateway.pid, signal.SIGHUP)
        await until(lambda: {each.alarm_id for each in gateway.status().alarms} >= {"energy/m4/r1#b"})
        alarms = {each.alarm_id: each.state for each in gateway.status().alarms}
        assert alarms == {"energy/m1/r1#a": "RTNUN", "energy/m2/r1#a": "UNACK", "energy/m4/r1#b": "UNACK"}
        assert [line.id for line in gateway.status().lines] == ["l1", "l2", "l4"]
        seen = await asyncio.to_thread(client.alarm_history, "energy/m3/r1#a", 0.0, 1e12)
        assert [(each.action, each.state) for each in seen] == [("raise", "UNACK"), ("removed", "NORM")]


BLOCKED = {"control_socket": "./nowhere/control.sock"}
"""A valid setting with which nobody can start."""


@pytest.mark.parametrize("is_valid", [False, True], ids=["not-valid", "valid"])
async def test_3_a_start_that_is_not_possible_goes_on_with_the_last_good_configuration(
    capsys: pytest.CaptureFixture[str], *, is_valid: bool
) -> None:
    """It says so, everything stands as it did, and a rollback puts the files back, with who wanted it."""
    async with running() as (here, gateway, _):
        good = gateway.status().cfg_ver
        stood = {alarm.alarm_id: alarm.occurrence_id for alarm in gateway.status().alarms}
        await gateway.stop()
        if is_valid:
            edit(here / "gateway.yaml", BLOCKED)
        else:
            (here / "gateway.yaml").write_text("state: ./state\nsite: [h01\n", encoding="utf-8")
        await gateway.ready()
        now = gateway.status()
        assert (now.cfg_ver, {alarm.alarm_id: alarm.occurrence_id for alarm in now.alarms}) == (good, stood)
        (condition,) = [each for each in now.health if each.code == "config_fallback"]
        assert condition.detail.startswith("cannot open the control socket" if is_valid else "gateway.yaml:")
        at = ["--config", str(here), "--socket", str(here / "control.sock")]
        assert await asyncio.to_thread(main, ["config", "rollback", good, "--reason", "night shift", *at]) == 0
        assert "before-rollback-1.zip" in capsys.readouterr().out
        assert conditions(gateway) == []
        assert gateway.said("configuration taken over")[-1]["cfg_ver"] == good
        await gateway.stop()
        edit(here / "devices" / "load.yaml", {"devices": {"m3": {"alarms": {"a": None}}}})
        await gateway.ready()
        client = Client(here / "control.sock")
        await until(lambda: stand(gateway, 2))
        seen = await asyncio.to_thread(client.alarm_history, "energy/m3/r1#a", 0.0, 1e12)
        assert [each.action for each in seen] == ["raise", "removed"]
        assert gateway.status().cfg_ver != good
        assert [each["version"] for each in history(here, capsys)] == [good, gateway.status().cfg_ver]
