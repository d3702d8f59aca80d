"""The consumer against a real broker: what it stores, acknowledges, confirms and asks for, and what it survives."""

from __future__ import annotations

import json
import signal
import sqlite3
import subprocess
import sys
import threading
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from consumer_peer import BASE, SOURCE, Gateway, alarm, record, status, watermark
from consumer_rig import Running, StartMosquitto, at, wait
from mqtt_peer import HOST, Mosquitto, ScriptedBroker, certificate, free_port, password_line, until

from consumer.link import Broker, TakenOver
from consumer.report import report
from consumer.sinks import JsonLinesSink, NoSink, SinkError, SqliteSink

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from consumer.events import Event
    from consumer.saved import Changes

    Consume = Callable[..., subprocess.Popen[str]]

ROOT = Path(__file__).parents[2]


def ids(path: Path) -> list[str]:
    with closing(sqlite3.connect(path)) as database:
        return [row[0] for row in database.execute("SELECT id FROM events")]


def expected(count: int, stream: str = "telemetry") -> set[str]:
    return {f"gw-1-e1-{stream}-{number:016d}" for number in range(1, count + 1)}


def test_a_hole_is_found_asked_for_and_filled_and_all_is_confirmed(mosquitto: Mosquitto, tmp_path: Path) -> None:
    """The broker lost some; the gateway's watermark tells, its resend heals, and every record is confirmed."""
    path = tmp_path / "events.db"
    with Running(at(mosquitto), SqliteSink(path)) as running, Gateway(mosquitto.port) as gateway:
        wait(running.connected)
        sent = [payload for number, payload in gateway.make("telemetry", 30) if number not in {7, 8, 20}]
        gateway.send(sent)
        gateway.send((payload for _, payload in gateway.make("alarm", 3)), "alarm/red/pwr-lv/d")
        gateway.say_watermark()
        wait(lambda: gateway.confirmed == {"telemetry": set(range(1, 31)), "alarm": {1, 2, 3}})
        told = running.stop()
    assert (told.verdict, told.received, told.duplicates) == ("COMPLETE", 33, 0)
    assert [lane.confirmed for lane in told.gateways[0].streams] == [3, 30]
    assert set(ids(path)) == expected(30) | expected(3, "alarm")
    assert {verb for verb, _ in gateway.commands} == {"snapshot", "confirm", "resend", "ping"}


def test_the_last_words_ask_for_a_last_watermark(mosquitto: Mosquitto) -> None:
    """A run of a few seconds ends with a verdict, not with a guess."""
    with Running(at(mosquitto), confirm=False) as running, Gateway(mosquitto.port) as gateway:
        wait(running.connected)
        gateway.send(payload for _, payload in gateway.make("alarm", 2))
        wait(lambda: running.has(("alarm", 2)))
        gateway.send([record("alarm", 4)])
        told = running.stop()
    assert (told.verdict, told.gateways[0].streams[0].gaps) == ("GAPS", ((3, 3),))


def test_a_reader_that_may_only_listen_publishes_nothing(mosquitto: Mosquitto) -> None:
    """Without leave to confirm or to ask, not a word."""
    with Running(at(mosquitto), confirm=False, resend=False) as running, Gateway(mosquitto.port) as gateway:
        wait(running.connected)
        gateway.send(payload for _, payload in gateway.make("alarm", 3))
        gateway.say_watermark()
        wait(lambda: running.has(("alarm", 3)))
        assert running.stop().verdict == "COMPLETE"
    assert not gateway.commands


def test_a_consumer_starts_from_the_snapshot(mosquitto: Mosquitto) -> None:
    """Alarms that were raised before its time stand there at once."""
    with Gateway(mosquitto.port, alarms=[alarm("a", 3, 1)]) as gateway:
        gateway.send([status()], "status")
        with Running(at(mosquitto)) as running:
            wait(running.connected)
            gateway.send([status()], "status")
            wait(lambda: SOURCE in running.account.gateways and running.account.gateways[SOURCE].alarms.standing == 1)


class FailingSink(NoSink):
    """The disk is full, after a first batch."""

    def __init__(self) -> None:
        self.stored: list[str] = []

    def store(self, records: Sequence[Event], changes: Changes) -> None:
        if self.stored and records:
            raise SinkError("the disk is full; make room")
        self.stored += [event.id for event in records]


def test_what_was_not_stored_was_not_acknowledged(mosquitto: Mosquitto, tmp_path: Path) -> None:
    """The consumer ends with the reason, and its successor gets from the broker what it could not store."""
    first = FailingSink()
    with Running(at(mosquitto), first) as running, Gateway(mosquitto.port) as gateway:
        wait(running.connected)
        gateway.send(payload for _, payload in gateway.make("telemetry", 1))
        wait(lambda: first.stored)
        gateway.send(payload for _, payload in gateway.make("telemetry", 50))
        wait(lambda: running.ended)
        assert isinstance(running.error, SinkError)
        assert gateway.confirmed.get("telemetry", set()) <= {1}
        path = tmp_path / "events.db"
        with Running(at(mosquitto), SqliteSink(path), resend=False) as successor:
            wait(lambda: successor.has(("telemetry", 50)))
        assert set(ids(path)) == expected(51) - expected(1)


def test_a_broker_that_forgets_everything_costs_nothing(start_mosquitto: StartMosquitto, tmp_path: Path) -> None:
    """Killed with the session it kept: the consumer comes back by itself, and what it missed is sent again."""
    mosquitto = start_mosquitto()
    path = tmp_path / "events.jsonl"
    with Running(at(mosquitto), JsonLinesSink(path)) as running:
        with Gateway(mosquitto.port) as gateway:
            wait(running.connected)
            gateway.send(payload for _, payload in gateway.make("telemetry", 10))
            wait(lambda: running.has(("telemetry", 10)))
        mosquitto.stop()
        wait(lambda: running.said("cannot connect"))
        again = start_mosquitto(port=mosquitto.port)
        with Gateway(again.port, gateway.kept, streams=gateway.streams, handed=gateway.handed) as back:
            back.send(payload for _, payload in back.make("telemetry", 5))
            wait(lambda: running.consumer.connections == 2)
            back.send(payload for _, payload in back.make("telemetry", 5))
            back.say_watermark()
            wait(lambda: running.has(("telemetry", 20)))
            told = running.stop()
    assert (told.verdict, told.received) == ("COMPLETE", 20)


def test_a_broker_that_drops_for_a_slow_consumer_is_caught(start_mosquitto: StartMosquitto) -> None:
    """Mosquitto acknowledges to the gateway what its queue for us then throws away."""
    mosquitto = start_mosquitto("max_queued_messages 5", "max_inflight_messages 2")
    with Running(at(mosquitto), resend=False) as running, Gateway(mosquitto.port) as gateway:
        wait(running.connected)
        running.stop()
        gateway.send(payload for _, payload in gateway.make("telemetry", 100))
        with Running(at(mosquitto)) as back:
            wait(back.connected)
            gateway.say_watermark()
            wait(lambda: any(verb == "resend" for verb, _ in gateway.commands))
            wait(lambda: back.has(("telemetry", 100)))
            assert back.stop().verdict == "COMPLETE"


@pytest.fixture
def consume() -> Iterator[Consume]:
    """Starts `wardgate consume`; whatever the test leaves of it is killed."""
    with ExitStack() as left:

        def start(mosquitto: Mosquitto, *options: str) -> subprocess.Popen[str]:
            command = [sys.executable, "-m", "agent", "consume", f"mqtt://{HOST}:{mosquitto.port}", *options]
            process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            left.callback(process.communicate)
            left.callback(process.kill)
            return process

        yield start


def end(process: subprocess.Popen[str], number: signal.Signals = signal.SIGTERM) -> tuple[str, str, int]:
    process.send_signal(number)
    out, err = process.communicate(timeout=30)
    return out, err, process.returncode


def rows(path: Path) -> int:
    try:
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
            count: int = database.execute("SELECT count(*) FROM events").fetchone()[0]
            return count
    except sqlite3.OperationalError:
        return 0


@pytest.mark.parametrize("kind", ["sqlite", "jsonl"])
def test_killed_in_mid_stream_it_loses_nothing_and_doubles_nothing(
    kind: str, consume: Consume, start_mosquitto: StartMosquitto, tmp_path: Path
) -> None:
    """Three kill -9 while records pour in: the file holds each once, and the report says so."""
    mosquitto = start_mosquitto("max_queued_messages 0", "max_inflight_messages 0")
    path = tmp_path / "events"
    options = (f"--{kind}", str(path), "--confirm", "--resend", "--json")

    def stored() -> int:
        return rows(path) if kind == "sqlite" else path.read_bytes().count(b"\n") if path.exists() else 0

    with Gateway(mosquitto.port) as gateway:
        process = consume(mosquitto, *options)
        gateway.send([status()], "status")
        wait(lambda: stored() == 0 and path.exists())
        sender = threading.Thread(
            target=lambda: gateway.send(payload for _, payload in gateway.make("telemetry", 3000))
        )
        gateway.send(payload for _, payload in gateway.make("telemetry", 1))
        sender.start()
        for share in (300, 900, 1800):
            wait(lambda share=share: stored() > share)  # type: ignore[misc]  # bound now, on purpose
            process.kill()
            process.communicate()
            process = consume(mosquitto, *options)
        sender.join()
        gateway.say_watermark()
        wait(lambda: len(gateway.confirmed.get("telemetry", ())) == 3001)
        out, err, code = end(process)
    told = json.loads(out)
    assert (told["verdict"], told["received"], code) == ("COMPLETE", 3001, 0), err
    if kind == "sqlite":
        found = ids(path)
    else:
        found = [json.loads(line)["event"]["id"] for line in path.read_text().splitlines()]
    assert len(found) == len(set(found))
    assert set(found) == expected(3001)


async def test_who_is_taken_over_ends_and_does_not_fight(tmp_path: Path) -> None:
    """The one that was thrown out says why; it does not throw the other out in turn."""
    async with ScriptedBroker() as broker:
        with Running(Broker(HOST, broker.port, "platform")) as running:
            await until(running.connected)
            broker.disconnect(0x8E)
            await until(lambda: running.ended)
            assert isinstance(running.error, TakenOver)
            assert str(running.error) == "another client came with our client id platform; use --client-id"


def test_two_with_one_client_id_calm_down(mosquitto: Mosquitto) -> None:
    """Where the broker does not say why it throws one out: the waits grow, and a person is told."""
    with Running(at(mosquitto)) as first, Running(at(mosquitto)) as second:
        wait(lambda: first.said("another client has our client id") or second.said("another client has our client id"))
        assert first.consumer.connections + second.consumer.connections < 8


def test_nonsense_on_the_wire_is_counted_and_harms_nothing(mosquitto: Mosquitto) -> None:
    """Anything may be published below the root; each is acknowledged, none comes again, the events go on."""
    nonsense = [b"", b"{", b"\xff\xfe", b"[" * 5000, b'{"id":1}', b"null", watermark({"stream": 1})]
    with Running(at(mosquitto)) as running, Gateway(mosquitto.port) as gateway:
        wait(running.connected)
        gateway.send(nonsense)
        gateway.send([b"{}"], "cmd-result")
        gateway.send(payload for _, payload in gateway.make("alarm", 1))
        wait(lambda: running.has(("alarm", 1)))
        gateway.say_watermark()
        told = running.stop()
    assert (told.verdict, told.unreadable) == ("COMPLETE", 7)
    assert running.said(f"no event: {BASE}telemetry/pwr-lv/d: no JSON")
    assert sum("no event" in notice for notice in running.notices) < 7


def test_no_way_in_is_said_in_one_line_and_tried_again(start_mosquitto: StartMosquitto, tmp_path: Path) -> None:
    """Wrong password, no right to read, nobody there, unknown name: each by its name, with the next step."""
    (tmp_path / "passwords").write_text(password_line("reader", "right") + password_line("stranger", "right"))
    (tmp_path / "rights").write_text("user reader\ntopic read wardgate/#\n")
    mosquitto = start_mosquitto(
        "allow_anonymous false", f"password_file {tmp_path}/passwords", f"acl_file {tmp_path}/rights"
    )
    right = replace(at(mosquitto), user="reader", password="right")
    for broker, said in (
        (replace(right, password="wrong"), "does not let us in (not authorized); check user and password"),
        (replace(right, port=free_port()), "(Connection refused); check the address and the network"),
        (replace(right, host="no.such.host.invalid"), "check the address and the network"),
        (right, f"connected to mqtt://{HOST}:{mosquitto.port}"),
    ):
        with Running(broker, confirm=False, resend=False) as running:
            wait(lambda running=running, said=said: running.said(said))  # type: ignore[misc]  # bound now, on purpose


def test_a_reader_without_write_rights_is_told_which(start_mosquitto: StartMosquitto, tmp_path: Path) -> None:
    """The broker takes the events' way but not our commands."""
    (tmp_path / "rights").write_text("topic read wardgate/#\ntopic write wardgate/v1/+/+/telemetry/#\n")
    mosquitto = start_mosquitto(f"acl_file {tmp_path}/rights")
    with Running(at(mosquitto)) as running, Gateway(mosquitto.port) as gateway:
        wait(running.connected)
        gateway.send(payload for _, payload in gateway.make("alarm", 1))
        wait(lambda: running.said(f"does not let us publish to {BASE}cmd/"))


def test_tls_checks_the_chain_and_the_name_and_shows_our_certificate(
    start_mosquitto: StartMosquitto, tmp_path: Path
) -> None:
    """With the right authority it connects; with another one, or by another name, it never does."""
    theirs, theirs_key = certificate(tmp_path, HOST)
    ours, ours_key = certificate(tmp_path, "platform")
    mosquitto = start_mosquitto(
        f"certfile {theirs}", f"keyfile {theirs_key}", f"cafile {ours}", "require_certificate true"
    )
    broker = Broker(HOST, mosquitto.port, "platform", tls=True, ca=theirs, cert=ours, key=ours_key)
    with Running(broker) as running:
        wait(running.connected)
    for wrong, said in (
        (replace(broker, ca=ours), "is not trusted"),
        (replace(broker, host="localhost"), "is not trusted"),
        (replace(broker, cert=None, key=None), "the connection"),
        (replace(broker, tls=False), "ended the connection"),
        (replace(broker, ca=tmp_path / "none"), "No such file"),
    ):
        with Running(wrong) as running:
            wait(lambda running=running, said=said: running.said(said))  # type: ignore[misc]  # bound now, on purpose
            assert not running.connected()


def test_importing_it_needs_nothing_of_the_gateway() -> None:
    """A platform installs paho, and that is all."""
    code = (
        "import sys; before = set(sys.modules); import consumer.session, consumer.sinks, consumer.report;"
        "print(*{name.partition('.')[0] for name in set(sys.modules) - before} - set(sys.stdlib_module_names))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert set(done.stdout.split()) == {"consumer", "paho"}


def test_a_silent_broker_is_found_within_the_keep_alive(mosquitto: Mosquitto, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its socket stays open and nothing comes: that is no session."""
    monkeypatch.setattr("consumer.link.KEEP_ALIVE_S", 1)
    with Running(at(mosquitto)) as running:
        wait(running.connected)
        mosquitto.signal(signal.SIGSTOP)
        wait(lambda: running.said("ended the connection") or running.said("is gone"), 6)
        mosquitto.signal(signal.SIGCONT)
        wait(lambda: running.consumer.connections == 2)


def test_its_own_file_is_small_when_nothing_happens(mosquitto: Mosquitto, tmp_path: Path) -> None:
    """Watermarks and states that repeat are not hoarded."""
    path = tmp_path / "events.db"
    with Running(at(mosquitto), SqliteSink(path)) as running, Gateway(mosquitto.port) as gateway:
        wait(running.connected)
        gateway.send(payload for _, payload in gateway.make("alarm", 1))
        for number in range(100):
            gateway.say_watermark()
            gateway.send([status(connection=number)], "status")
        wait(lambda: running.account.gateways[SOURCE].connection == 99)
        assert report(running.account).verdict == "COMPLETE"
    with closing(sqlite3.connect(path)) as database:
        assert database.execute("SELECT count(*) FROM account").fetchone()[0] == 2
    assert path.stat().st_size < 200_000
