"""Issue line 3: what gateway.yaml says of the world outside is taken over too, by what it concerns and nothing else.

The real process under load, with real brokers; another uplink, another page, people to tell; and all or nothing.
"""

from __future__ import annotations

import asyncio
import json
import socket
from contextlib import closing, suppress
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import ClientSession
from consumer_process import ConsumerProcess
from mqtt_peer import free_port, until
from notice_rig import web_server
from plant import HOST, UPLINK, Gateway, Load, broker, configure_load, edit, folder, load, reloaded, uplink

from agent.control.client import Client, NotDone

if TYPE_CHECKING:
    from pathlib import Path

    from agent.status import UplinkView

WAIT_S = 60.0
FAST = {"watermark": 2, "backlog_rate": 5000, "keep_alive": 60}
"""A machine that is busy may stand still for some seconds."""

SECOND = {"topic_root": "second/v1", **FAST}
"""A second way to the platform, under a root of its own at the same broker."""


def begun(gateway: Gateway, name: str) -> int:
    """How often this uplink was begun: what was lost on a busy machine has come back by itself."""
    connected, lost = (
        len([line for line in gateway.said(event) if line["uplink"] == name])
        for event in ("uplink connected", "uplink lost")
    )
    return connected - lost


def opened(gateway: Gateway) -> int:
    """How many lines were opened, in the same way."""
    return len(gateway.said("line up")) - len(gateway.said("line lost"))


async def closed(host: str, port: int) -> None:
    """Soon nobody listens there any more: whoever waited for an answer got it first."""
    async with asyncio.timeout(WAIT_S):
        with suppress(ConnectionRefusedError):
            while True:
                _, writer = await asyncio.open_connection(host, port)
                writer.close()
                await asyncio.sleep(0.05)


def view(gateway: Gateway, name: str) -> UplinkView:
    (found,) = [each for each in gateway.status().uplinks if each.id == name]
    return found


def served_more(gateway: Gateway) -> bool:
    return all(device.polls > 0 and device.state == "online" for device in gateway.status().devices)


def all_sent(gateway: Gateway, running: Load) -> bool:
    """The field is silent since `end`, and every broker has everything."""
    status = gateway.status()
    assert len(status.devices) == running.devices
    return all(device.failures for device in status.devices) and not any(
        sum(each.waiting.values()) for each in status.uplinks
    )


def add(here: Path, **uplinks: Any) -> None:
    edit(here / "gateway.yaml", {"uplinks": uplinks})


@pytest.mark.timeout(240)
async def test_3_uplinks_change_one_by_one_and_the_accounts_are_whole() -> None:
    """One is asked otherwise, one comes, one goes: the others keep their session, lines their pace, and each consumer
    finds that nothing is missing.
    """
    with folder() as here, load(here, devices=3) as (running, net):
        async with broker(here) as server:
            brokers = {"brokers": [f"mqtt://{HOST}:{server.port}"]}
            ways = {**uplink(server.port, **FAST), "second": {**brokers, **SECOND}}
            configure_load(here, running, net, ways)
            third_folder = here / "third"
            third_folder.mkdir()
            with (
                Gateway(here) as gateway,
                ConsumerProcess(here, server.port) as first,
                ConsumerProcess(third_folder, server.port, "--root", "third/v1", "--client-id", "other") as third,
            ):
                first.start()
                await until(first.connections, WAIT_S)
                await gateway.ready()
                client = Client(here / "control.sock")
                await until(lambda: served_more(gateway) and first.stored() > 20, WAIT_S)

                add(here, **{UPLINK: {"window": 7}})
                told = await reloaded(client)
                assert (told.settings, told.kept) == ([f"uplink {UPLINK}"], ["l1", "l2", "l3"])
                await until(lambda: view(gateway, UPLINK).state == "connected", WAIT_S)

                third.start()
                await until(third.connections, WAIT_S)
                add(here, third={**brokers, **SECOND, "topic_root": "third/v1"})
                await reloaded(client)
                await until(lambda: third.stored() > 20, WAIT_S)
                assert [begun(gateway, name) for name in (UPLINK, "second", "third")] == [2, 1, 1]

                add(here, second=None)
                assert (await reloaded(client)).settings == ["uplink second"]
                assert [each.id for each in gateway.status().uplinks] == [UPLINK, "third"]

                assert opened(gateway) == 3
                running.end()
                await until(lambda: all_sent(gateway, running), WAIT_S)
                assert (await gateway.stop())[0] == 0
                own = {lane: last for lane, last in gateway.lanes().items() if last}
                for consumer in (first, third):
                    await until(consumer.has_farewell, WAIT_S)
                    assert await consumer.stop() == 0
                    assert consumer.report["verdict"] == "COMPLETE"
                    lanes = consumer.report["gateways"][0]["streams"]
                    received = {(lane["epoch"], lane["stream"]): lane["received"] for lane in lanes}
                    assert {lane: count for lane, count in received.items() if count} == own
            assert [begun(gateway, name) for name in (UPLINK, "second", "third")] == [2, 1, 1]


async def test_3_what_cannot_be_had_changes_nothing_at_all() -> None:
    """A port that is taken, a secret that is not there: neither they nor what was changed beside them is taken over."""
    with folder() as here, load(here, devices=1) as (running, net):
        configure_load(here, running, net, {})
        with Gateway(here) as gateway, closing(socket.create_server((HOST, 0))) as taken:
            await gateway.ready()
            client, version = Client(here / "control.sock"), gateway.status().cfg_ver
            new = {"brokers": [f"mqtt://{HOST}:1"], "user": "gw", "password": {"file": "nowhere"}}
            add(here, new=new)
            with pytest.raises(NotDone, match=r"uplink new: cannot read .*/nowhere.*nothing has changed"):
                await reloaded(client)
            (here / "nowhere").write_text("secret")
            port = taken.getsockname()[1]
            edit(here / "gateway.yaml", {"http": {"listen": f"{HOST}:{port}"}})
            with pytest.raises(
                NotDone, match=rf"http: cannot listen on {HOST}:{port}: address already in use.*nothing"
            ):
                await reloaded(client)
            edit(here / "gateway.yaml", {"http": None, "notify": {"hook": {"webhook": {"url": "https://127.0.0.1"}}}})
            edit(here / "gateway.yaml", {"notify": {"hook": {"webhook": {"token": {"env": "NO_SUCH"}}}}})
            with pytest.raises(NotDone, match=r"notify hook: environment variable NO_SUCH is not set"):
                await reloaded(client)
            now = gateway.status()
            assert (now.cfg_ver, now.uplinks) == (version, [])
            edit(here / "gateway.yaml", {"notify": None})
            assert (await reloaded(client)).settings == ["uplink new"]
            await gateway.stop()
            assert gateway.cursors() == {"new"}


async def test_3_the_page_people_and_names_follow() -> None:
    """The page opens, moves and closes; people are told who were not there at the start."""
    with folder() as here, load(here, devices=1) as (running, net):
        standing = {"a": {"point": "r0", "limit": {"H": -1}, "colour": "red", "text": {"zh": "总", "en": "Always"}}}
        configure_load(here, running, net, uplink(free_port()), {"m1": standing})
        async with web_server() as web, ClientSession() as browser:
            with Gateway(here) as gateway:
                await gateway.ready()
                client, port = Client(here / "control.sock"), free_port()

                async def page(host: str) -> int:
                    async with browser.get(f"http://{host}:{port}/healthz") as answer:
                        return answer.status

                edit(here / "gateway.yaml", {"http": {"listen": f"127.0.0.2:{port}"}, "name": "Annex"})
                assert (await reloaded(client)).settings == ["http", "name.en", "name.zh"]
                assert await page("127.0.0.2") == 200
                assert gateway.status().name.en == "Annex"
                edit(here / "gateway.yaml", {"http": {"listen": f"127.0.0.3:{port}"}})
                await reloaded(client)
                assert await page("127.0.0.3") == 200
                hook = {"hook": {"webhook": {"url": web.url}, "after": "1s"}}
                edit(here / "gateway.yaml", {"http": None, "notify": hook})
                assert (await reloaded(client)).settings == ["http", "notify hook"]
                for host in ("127.0.0.2", "127.0.0.3"):
                    await closed(host, port)
                await until(lambda: bool(web.posted), WAIT_S)
                assert web.posted[0]["alarms"][0]["alarm_id"] == "energy/m1/r0#a"
                assert json.loads((here / "gateway.yaml").read_text())["notify"] == hook
