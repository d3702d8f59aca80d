"""The real daemon, a real device, no broker: people on the spot are told what the platform cannot hear."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

from mqtt_peer import until
from notice_rig import web_server
from plant import Gateway, broker, configure_load, folder, load, uplink, write

if TYPE_CHECKING:
    from pathlib import Path

RED = {"colour": "red", "text": {"zh": "过高", "en": "Too high"}}


def notify(here: Path, ways: dict[str, Any]) -> None:
    """Add them to the configuration."""
    file = here / "gateway.yaml"
    write(file, {**json.loads(file.read_text()), "notify": ways})


def told(posted: list[dict[str, Any]]) -> list[str]:
    return [alarm["alarm_id"] for post in posted for alarm in post["alarms"]]


async def test_an_alarm_is_told_on_the_spot_while_the_broker_is_away() -> None:
    """Once each, in their own words; the platform gets them later all the same."""
    with folder() as here, load(here, devices=1) as (running, net), Gateway(here) as gateway:
        async with web_server() as web, broker(here) as server:
            server.leave()
            register, value = running.reaching(time.time() + 6)
            alarms = {
                "early": {"point": "r0", "limit": {"H": 0}, **RED},
                "late": {"point": f"r{register}", "limit": {"H": value}, **RED},
            }
            configure_load(here, running, net, uplink(server.port), {"m1": alarms})
            notify(here, {"duty": {"webhook": {"url": web.url}, "after": "1s"}})
            await gateway.ready()
            wanted = ["energy/m1/r0#early", f"energy/m1/r{register}#late"]
            await until(lambda: len(told(web.posted)) >= len(wanted))
            assert told(web.posted) == wanted
            assert web.posted[0]["alarms"][0]["text"] == RED["text"]
            assert [view.code for view in gateway.status().health] == ["uplink_down"]
            await server.start()
            await until(lambda: gateway.status().uplinks[0].waiting["critical"] == 0)
            assert (await gateway.stop())[0] == 0
            assert told(web.posted) == wanted
