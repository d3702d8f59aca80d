"""`wardgate consume` as it is typed: options, exit codes, reports, signals."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from consumer_peer import HOST, Gateway, status
from consumer_rig import wait
from mqtt_peer import free_port

from agent.cli.app import main

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mqtt_peer import Mosquitto

ROOT = Path(__file__).parents[2]


class Typed:
    """The command in a process of its own, with what it has said so far."""

    def __init__(self, folder: Path, *arguments: str, **environment: str) -> None:
        self._out, self._err = folder / "out", folder / "err"
        with self._out.open("wb") as out, self._err.open("wb") as err:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "agent", "consume", *arguments],
                cwd=ROOT,
                stdout=out,
                stderr=err,
                env={**os.environ, "LC_ALL": "C.UTF-8", **environment},
            )

    @property
    def out(self) -> str:
        return self._out.read_text(encoding="utf-8")

    @property
    def err(self) -> str:
        return self._err.read_text(encoding="utf-8")

    def asked(self) -> str:
        """What it has printed, after it was asked to report once more."""
        self.process.send_signal(signal.SIGUSR1)
        return self.out

    def end(self, number: signal.Signals | None = signal.SIGTERM) -> int:
        if number is not None:
            self.process.send_signal(number)
        return self.process.wait(20)


@pytest.fixture
def gateway(mosquitto: Mosquitto) -> Iterator[Gateway]:
    with Gateway(mosquitto.port) as gateway:
        yield gateway


@pytest.fixture
def address(mosquitto: Mosquitto) -> str:
    return f"mqtt://{HOST}:{mosquitto.port}"


def test_a_report_comes_at_a_signal_and_at_the_end(address: str, gateway: Gateway, tmp_path: Path) -> None:
    """Exit code 1 while something is missing, 0 when all is there."""
    typed = Typed(tmp_path, address)
    wait(lambda: "connected to" in typed.err)
    sent = dict(gateway.make("alarm", 3))
    gateway.send([sent[1], sent[3]])
    gateway.say_watermark()
    gateway.send([status()], "status")
    wait(lambda: re.search("never arrived: 2$", typed.asked(), re.MULTILINE))
    assert re.search(
        r"^/site/h01/gw/gw-1: GAPS, (online|status unknown), 0 alarms standing of those that changed$",
        typed.out,
        re.MULTILINE,
    )
    gateway.send([sent[2]])
    wait(lambda: "\nCOMPLETE: 3 records received" in typed.asked())
    assert typed.end() == 0
    assert re.search(r"^  e1 +alarm +3 +0 +3 +0 +0 +0 +0$", typed.out, re.MULTILINE)


def test_json_is_the_whole_report(address: str, gateway: Gateway, tmp_path: Path) -> None:
    """For programs: verdict, gateways, streams."""
    typed = Typed(tmp_path, address, "--json", "--sqlite", str(tmp_path / "events.db"), "--gateway", "h01/gw-1")
    wait(lambda: "connected to" in typed.err)
    gateway.send(payload for _, payload in gateway.make("alarm", 3))
    gateway.streams["alarm"] += 1
    gateway.send(payload for _, payload in gateway.make("alarm", 1))
    gateway.say_watermark()
    gateway.send([status()], "status")
    wait((tmp_path / "events.db").exists)
    wait(lambda: b"e1" in (tmp_path / "events.db-wal").read_bytes())
    wait(lambda: '"GAPS"' in typed.asked())
    assert typed.end() == 1
    last = typed.out[typed.out.rindex("\n{") if "\n{" in typed.out else 0 :]
    told = json.loads(last)
    (stream,) = told["gateways"][0]["streams"]
    assert (told["verdict"], stream["gaps"], stream["complete_to"], stream["received"]) == ("GAPS", [[4, 4]], 5, 4)


def test_stdout_gets_the_events_and_stderr_the_report(address: str, gateway: Gateway, tmp_path: Path) -> None:
    """So that the next program in the pipe sees events only."""
    typed = Typed(tmp_path, address, "--stdout")
    wait(lambda: "connected to" in typed.err)
    gateway.send(payload for _, payload in gateway.make("alarm", 2))
    wait(lambda: typed.out.count("\n") == 2)
    assert typed.end(signal.SIGINT) == 1
    assert [json.loads(line)["event"]["sequence"][-1] for line in typed.out.splitlines()] == ["1", "2"]
    assert "UNKNOWN: 2 records received" in typed.err


def test_the_report_speaks_chinese(address: str, tmp_path: Path) -> None:
    """By option as by locale."""
    typed = Typed(tmp_path, address, "--seconds", "1", LC_ALL="zh_CN.UTF-8")
    assert typed.end(None) == 1
    assert typed.out == "未知: 0 条已收, 0 重复, 0 缺失\n"
    assert main(["consume", "mqtt://127.0.0.1:1", "--lang", "fr"]) == 2


def test_it_stops_after_so_many_seconds_and_reports_in_between(address: str, gateway: Gateway, tmp_path: Path) -> None:
    """For a script: no signal needed."""
    typed = Typed(tmp_path, address, "--seconds", "2.5", "--report-every", "1")
    assert typed.end(None) == 1
    assert typed.out.count("UNKNOWN: 0 records received") == 3


def test_a_broker_that_was_never_reached_is_exit_code_3(tmp_path: Path) -> None:
    """It kept trying, and said once why not."""
    typed = Typed(tmp_path, f"mqtt://{HOST}:{free_port()}", "--seconds", "2")
    assert typed.end(None) == 3
    assert typed.err.count("Connection refused") == 1


def test_a_file_that_cannot_be_written_is_one_line(address: str, tmp_path: Path) -> None:
    """Exit code 1 and the next step, before anything is received."""
    typed = Typed(tmp_path, address, "--sqlite", str(tmp_path / "nowhere" / "events.db"))
    assert typed.end(None) == 1
    assert re.fullmatch(
        r"wardgate: cannot store in .* \(.*\); check the path, its rights and the free space\n", typed.err
    )


def test_the_password_comes_from_the_environment(address: str, tmp_path: Path) -> None:
    """Never from the command line, where every user of the machine reads it."""
    typed = Typed(tmp_path, address, "--user", "reader", "--password-env", "SECRET", "--seconds", "1", SECRET="right")
    assert typed.end(None) == 1
    assert "connected to" in typed.err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["http://x"], "http://x is no address of a broker: write mqtt://HOST:PORT or mqtts://HOST:PORT"),
        (["mqtt://x:99999"], "mqtt://x:99999: Port out of range 0-65535"),
        (["mqtt://me:secret@x"], "invalid value: user and password are not part of the address: use --user"),
        (["mqtt://x", "--sqlite", "a", "--stdout"], "--sqlite, --jsonl and --stdout exclude each other"),
        (["mqtt://x", "--confirm"], "--confirm says that events are stored: name a file with --sqlite or --jsonl"),
        (["mqtt://x", "--ca", "a"], "--ca, --cert and --key need TLS: write the address with mqtts://"),
        (["mqtt://x", "--gateway", "gw-1"], "--gateway is SITE/GATEWAY, such as h01/gw-1, not gw-1"),
        (["mqtt://x", "--gateway", "h01/#"], "--gateway is SITE/GATEWAY"),
        (["mqtt://x", "--password-env", "NO_SUCH_VARIABLE"], "there is no variable NO_SUCH_VARIABLE"),
    ],
)
def test_a_wrong_option_is_one_line(arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 2, and nothing was opened."""
    assert main(["consume", *arguments]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert says in said.err
    assert "secret" not in said.err
    assert said.err.count("\n") == 1
