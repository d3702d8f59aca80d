"""What is wrong at the broker or in its address, as an operator meets it.

Each time there is one line in the log, the same words with the next step in the status, and no record is lost: it is
sent as soon as things are put right.
"""

from __future__ import annotations

import re
import subprocess
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from certificates import HOUR, Authority
from mqtt_peer import HOST, ScriptedBroker, free_port, password_line, until
from shown_commands import at_home
from structlog.testing import capture_logs
from uplink_rig import ROOT, alarm, telemetry

from agent.health import TABLE
from agent.operate import SESSION_CODES
from agent.uplink import patience
from agent.uplink import session as session_module
from config import model, outward
from config.load import load
from config.outward import Tls
from config.secrets import Secret
from drivers.registry import protocols

if TYPE_CHECKING:
    from mqtt_peer import Mosquitto, StartMosquitto
    from uplink_rig import Rig


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session_module, "ANSWER_S_MAX", 0.2)
    for name in ("RETRY_S_MIN", "RETRY_S_MAX", "REFUSED_S_MIN", "REFUSED_S_MAX"):
        monkeypatch.setattr(patience, name, 0.1)


class Scene:
    """What can be wrong, each as the uplink's settings that run into it."""

    def __init__(self, folder: Path, start_mosquitto: StartMosquitto, stack: AsyncExitStack) -> None:
        self._folder = folder
        self._start = start_mosquitto
        self._stack = stack
        self._authority = Authority(folder)

    async def unknown_host(self, good: outward.Uplink) -> outward.Uplink:
        return at(good, outward.Broker("broker.invalid", 1883, tls=False))

    async def closed_port(self, good: outward.Uplink) -> outward.Uplink:
        return at(good, outward.Broker(HOST, free_port(), tls=False))

    async def no_broker(self, good: outward.Uplink) -> outward.Uplink:
        server = await self._stack.enter_async_context(ScriptedBroker(greeting=b"SSH-2.0-OpenSSH_9.2p1\r\n"))
        return at(good, outward.Broker(HOST, server.port, tls=False))

    async def no_answer(self, good: outward.Uplink) -> outward.Uplink:
        server = await self._stack.enter_async_context(ScriptedBroker(silent=True))
        return at(good, outward.Broker(HOST, server.port, tls=False))

    async def wrong_password(self, good: outward.Uplink) -> outward.Uplink:
        passwords = self._folder / "passwords"
        passwords.write_text(password_line("gw", "right"))
        (self._folder / "wrong").write_text("wrong\n")
        mosquitto = await self._start("allow_anonymous false", f"password_file {passwords}")
        secret = Secret("file", str(self._folder / "wrong"))
        return replace(at(good, outward.Broker(HOST, mosquitto.port, tls=False)), user="gw", password=secret)

    async def wrong_authority(self, good: outward.Uplink) -> outward.Uplink:
        return self._secured(good, await self._tls(), Tls(Authority(self._folder, "stranger").ca))

    async def other_name(self, good: outward.Uplink) -> outward.Uplink:
        return self._secured(good, await self._tls(), Tls(self._authority.ca, server_name="broker.example"))

    async def expired(self, good: outward.Uplink) -> outward.Uplink:
        return self._secured(good, await self._tls(-2, -1), Tls(self._authority.ca))

    async def not_valid_yet(self, good: outward.Uplink) -> outward.Uplink:
        return self._secured(good, await self._tls(1, 2), Tls(self._authority.ca))

    async def no_client_certificate(self, good: outward.Uplink) -> outward.Uplink:
        mosquitto = await self._tls(lines=("require_certificate true",))
        return self._secured(good, mosquitto, Tls(self._authority.ca))

    async def missing_file(self, good: outward.Uplink) -> outward.Uplink:
        return self._secured(good, await self._tls(), Tls(self._folder / "nowhere.pem"))

    async def tls_on_a_plain_port(self, good: outward.Uplink) -> outward.Uplink:
        return self._secured(good, await self._start(), Tls(self._authority.ca))

    async def _tls(self, begin: int = -1, end: int = 1, lines: tuple[str, ...] = ()) -> Mosquitto:
        issued = self._authority.issue(HOST, begin=begin * HOUR, end=end * HOUR)
        return await self._start(
            f"cafile {self._authority.ca}", f"certfile {issued.cert}", f"keyfile {issued.key}", *lines
        )

    def _secured(self, good: outward.Uplink, mosquitto: Mosquitto, tls: Tls) -> outward.Uplink:
        return replace(at(good, outward.Broker(HOST, mosquitto.port, tls=True)), tls=tls)


def at(settings: outward.Uplink, broker: outward.Broker) -> outward.Uplink:
    return replace(settings, brokers=(broker,))


WRONGS = {
    "unknown_host": ("waiting", "the host name broker.invalid is not known", "DNS"),
    "closed_port": ("waiting", "refuses connections on port", "check that the broker runs there"),
    "no_broker": ("refused", "answers, but not with MQTT", "those of an MQTT broker"),
    "no_answer": ("waiting", "connected, but no MQTT answer", "those of an MQTT broker"),
    "wrong_password": ("refused", "", "user and password"),
    "wrong_authority": ("refused", "comes from an authority that we do not trust", "tls.ca"),
    "other_name": ("refused", "is that of another name", "tls.server_name"),
    "expired": ("refused", "has expired", "renewed, and compare this gateway's clock"),
    "not_valid_yet": ("refused", "is not valid yet", "this gateway's clock"),
    "no_client_certificate": ("refused", "wants a client certificate", "tls.cert and tls.key"),
    "missing_file": ("refused", "nowhere.pem (No such file or directory)", "put the file there"),
    "tls_on_a_plain_port": ("refused", "does not take part in the TLS handshake", "TLS port"),
}


@pytest.mark.parametrize("wrong", list(WRONGS))
async def test_each_wrong_has_its_own_words_and_costs_nothing(
    rig: Rig, broker: ScriptedBroker, tmp_path: Path, start_mosquitto: StartMosquitto, wrong: str
) -> None:
    """Tried several times, told once; then the address is put right and everything is there."""
    state, what, todo = WRONGS[wrong]
    rig.at(broker.port)
    good = rig.settings
    await rig.append(alarm(), telemetry())
    async with AsyncExitStack() as stack:
        rig.settings = await getattr(Scene(tmp_path, start_mosquitto, stack), wrong)(good)
        with capture_logs() as logs:
            rig.start()
            await until(lambda: rig.uplink._failures >= 3)
            view = rig.uplink.view()
            await rig.kill()
    assert (view.state in {state, "connecting"}, view.waiting["critical"], view.waiting["telemetry"]) == (True, 1, 1)
    assert what in str(view.error)
    assert todo in str(view.todo)
    assert [(line["event"], line["error"], line["todo"]) for line in logs] == [
        ("uplink cannot connect", view.error, view.todo)
    ]
    rig.settings = good
    rig.start()
    await rig.settled()
    assert len(broker.records()) == 2


def test_every_wrong_differs_in_its_words() -> None:
    """Nobody has to guess which of them it is."""
    told = [(what, todo) for _, what, todo in WRONGS.values()]
    assert len(set(told)) == len(told)


async def test_rights_that_are_missing_are_found_on_mqtt_3_by_confirmations(
    rig: Rig, start_mosquitto: StartMosquitto, tmp_path: Path
) -> None:
    """There a denied publish is acknowledged like any other: only the platform's silence shows it."""
    rules = tmp_path / "rules"
    rules.write_text(f"topic write {ROOT}status\ntopic read #\n")
    mosquitto = await start_mosquitto(f"acl_file {rules}")
    rig.at(mosquitto.port, mqtt="3.1.1", confirm=True, confirm_overdue_s=0.2)
    await rig.append(alarm(), telemetry())
    rig.start()
    await until(lambda: rig.uplink.view().handed_over == 2)
    await until(lambda: rig.uplink.conditions().get("confirm_overdue"))
    assert rig.waiting() == 2
    rig.at(mosquitto.port, mqtt="3.1.1", confirm=False)
    await rig.stop()
    rig.start()
    await rig.settled()
    assert rig.uplink.view().error is None  # which is why confirmations are there


async def test_rights_that_are_missing_are_a_health_condition_on_mqtt_5(
    rig: Rig, start_mosquitto: StartMosquitto, tmp_path: Path
) -> None:
    """Held, with the topic and what to allow."""
    rules = tmp_path / "rules"
    rules.write_text(f"topic write {ROOT}status\ntopic read #\n")
    mosquitto = await start_mosquitto(f"acl_file {rules}")
    rig.at(mosquitto.port)
    await rig.append(alarm())
    rig.start()
    await until(lambda: rig.uplink.conditions().get("stream_held"))
    assert rig.uplink.conditions()["stream_held"].startswith(f"the broker does not allow us to publish to {ROOT}alarm/")
    assert rig.waiting() == 1


def test_every_condition_has_both_languages_and_a_next_step() -> None:
    """In the table, once, for all."""
    for kind in TABLE.values():
        assert all((kind.title.zh, kind.title.en, kind.todo.zh, kind.todo.en))


# --- docs/uplinks.md --------------------------------------------------------------------------------------------------

PAGE = (Path(__file__).parents[2] / "docs" / "uplinks.md").read_text(encoding="utf-8").replace("gw-1", "gw-a1")


def block(kind: str) -> str:
    (found,) = re.findall(rf"^```{re.escape(kind)}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    return str(found)


def test_the_page_has_the_words_of_every_wrong() -> None:
    """Whoever searches for what the status says finds it there, and every health condition of an uplink."""
    assert [what for _, what, _ in WRONGS.values() if what not in PAGE and "nowhere.pem" not in what] == [
        "the host name broker.invalid is not known"
    ]
    codes = set(re.findall(r"^\| `(\w+)` \|", PAGE, re.MULTILINE))
    assert codes == SESSION_CODES | {"uplink_down", "uplink_refused", "proof_overdue"}


async def test_the_recipe_of_the_page_makes_both_sides_accept_each_other(
    rig: Rig, tmp_path: Path, start_mosquitto: StartMosquitto
) -> None:
    """Its certificates, its configuration and its rights, against a real broker; other topics are not allowed."""
    (script,) = at_home(__file__)
    made = subprocess.run(  # noqa: ASYNC221  # openssl takes a moment
        ["sh", "-eu"],
        input=script.text.replace("gw-1", "gw-a1"),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert made.returncode == 0, made.stderr
    (tmp_path / "acl").write_text(block("conf file=acl"))
    conf = block("conf file=mosquitto.conf").replace("certs/", f"{tmp_path}/certs/")
    _, *lines = conf.replace("acl_file acl", f"acl_file {tmp_path}/acl").splitlines()
    mosquitto = await start_mosquitto(*lines)
    gateway = block("yaml file=gateway.yaml").replace("broker-1.example", f"{HOST}:{mosquitto.port}")
    (tmp_path / "gateway.yaml").write_text(gateway)
    (tmp_path / "lines.yaml").write_text("lines: {}\n")
    config = load(tmp_path, protocols())
    assert config.warnings == ()
    (uplink,) = config.uplinks
    rig.settings = replace(rig.settings, brokers=uplink.brokers, tls=uplink.tls)
    await rig.append(alarm(), telemetry())
    rig.start()
    await rig.settled()
    assert rig.uplink.conditions() == {}
    await rig.stop()
    rig.settings = replace(rig.settings, topic_root="elsewhere")
    await rig.append(alarm())
    rig.start()
    await until(lambda: rig.uplink.conditions().get("stream_held"))


async def test_filters_of_the_page_are_a_configuration(tmp_path: Path) -> None:
    """The second snippet, under the head of the first."""
    (tmp_path / "gateway.yaml").write_text("site: h01\ngateway: gw-a1\n" + block("yaml"))
    (tmp_path / "lines.yaml").write_text("lines: {}\n")
    pager = load(tmp_path, protocols()).uplinks[1]
    assert pager.filter.colours == frozenset[model.Colour](("red", "orange"))
