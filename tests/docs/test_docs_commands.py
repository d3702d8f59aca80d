"""The commands of the pages, typed as they stand there and in their order, at one gateway with a hospital and a broker.

A new line of a page needs nothing here: it has to end with 0 and to say something. What the page takes for granted
before a command is in `BEFORE`, what it must print in `PRINTS`, what is typed where it asks in `ANSWERS`; what goes on
until Ctrl-C is in `UNTIL`. What cannot be taken literally, such as an address, is in `Desk`.
"""

from __future__ import annotations

import asyncio
import json
import re
import shlex
import shutil
import signal
from functools import partial
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import pytest
from documented_site import FIRE, SUPPLY, Site, documented_site
from mqtt_peer import HOST
from shown_commands import Shown, at_home, blocks
from typed import Said, Typist

from agent.cli.app import main

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path
    from subprocess import Popen

_T = TypeVar("_T")

WRITTEN = {"docs/configure.md", "docs/alarms.md#Testing your rules"}
"""Their commands are about the configuration that the pages write down; all others about the one that runs."""

LAST = ("wardgate journal restore", "wardgate restore")
"""They want the daemon stopped."""

PASSPHRASE = "correct horse battery staple"
ANSWERS: Mapping[str, tuple[tuple[str, str], ...]] = {
    "wardgate backup": (("passphrase", PASSPHRASE), ("Repeat", PASSPHRASE)),
    "wardgate restore": (("passphrase", PASSPHRASE),),
    "wardgate password": (("password:", PASSPHRASE), ("again:", PASSPHRASE)),
    "wardgate init ./first": (
        ("id of the hospital", "h01"),
        ("id of this gateway", "gw-1"),
        ("broker", "mqtts://10.0.0.5"),
        ("broker", ""),
        ("a connection", "modbus=192.168.1.50"),
        ("a connection", ""),
        ("a device", "lv-main=schneider-pm5300:1"),
        ("a device", ""),
    ),
}


class Ending(NamedTuple):
    """What has to be said before Ctrl-C is pressed, and the exit code after it."""

    said: str
    code: int


UNTIL = {
    "wardgate watch": Ending(r"lv-main.*u_ab", 130),
    "wardgate journal tail": Ending(r"alarm\.transition", 130),
    "wardgate run": Ending("running", 0),
    "wardgate consume": Ending(r"^COMPLETE: \d+ records", 0),
    "python -m hardware_mocks": Ending("^ready$", 0),
}


def ask(site: Site, process: Popen[bytes], text: str) -> None:
    """A receiver that is connected says what it has."""
    if text:
        process.send_signal(signal.SIGUSR1)


def idle(site: Site, process: Popen[bytes], text: str) -> None:
    """Nothing happens meanwhile."""


MEANWHILE: Mapping[str, Callable[[Site, Popen[bytes], str], None]] = {
    "wardgate journal tail": lambda site, process, text: site.toggle(),
    "wardgate consume": ask,
}
"""What happens until it has said that, again and again."""

POINTS = """名称,英文名,寄存器地址,数据类型,功能码,单位,系数,站号,设备
A相电压,u an,40001,UINT16,3,V,0.1,3,1号进线
B相电压,u bn,40002,UINT16,3,V,0.1,3,1号进线
A相电压,u an,40001,UINT16,3,V,0.1,4,2号进线
"""
OF_ONE = "\n".join(row.rpartition(",")[0] for row in POINTS.splitlines()[:3])
DAY = "time,device,point,value\n" + "".join(
    f"2026-11-21T08:{minute:02}:00Z,lv-main,u_an,{230 if minute < 20 else 240}\n" for minute in range(40)
)
"""The voltage is too high from twenty past eight on."""


def copy(site: Site, here: Path) -> None:
    """As `cp -r /etc/wardgate new`, where a page does not say so once more."""
    if not (here / "new").exists():
        shutil.copytree(site.config, here / "new", ignore=shutil.ignore_patterns("*.sock", "journal", "state"))


def points(site: Site, here: Path) -> None:
    (here / "points.csv").write_text(OF_ONE, encoding="utf-8")


def points_of_two(site: Site, here: Path) -> None:
    (here / "points.csv").write_text(POINTS, encoding="utf-8")


def day(site: Site, here: Path) -> None:
    (here / "day.csv").write_text(DAY, encoding="utf-8")


def nothing(site: Site, here: Path) -> None:
    """What most commands need."""


BEFORE: Mapping[str, Callable[[Site, Path], None]] = {
    "wardgate backtest --rules new --from": copy,
    "wardgate backtest --rules new --input": day,
    'wardgate import csv points.csv --line lv-room --system pwr.lv --device "': points_of_two,
    "wardgate import csv": points,
    "wardgate alarms reset": lambda site, here: site.stop_generator(),
    "wardgate reload": lambda site, here: site.rename(),
}

HEADING = next(block.lines[1] for block in blocks("docs/consume.md") if block.kind == "text")
CHECKS = next(json.loads(block.lines[0])["checks"] for block in blocks("docs/monitoring.md") if block.kind == "json")
"""What the pages show of an answer."""

PRINTS: Mapping[str, str] = {
    "cp ": "^$",
    "curl --unix-socket /run/wardgate/control.sock http://wardgate/metrics": "^wardgate_line_up{",
    "curl --unix-socket /run/wardgate/control.sock http://wardgate/healthz": r'^{"ok":true,"checks":{"loop":"ok",',
    "curl --unix-socket /run/wardgate/control.sock http://wardgate/readyz": json.dumps(
        dict.fromkeys(CHECKS, "ok")
    ).replace(" ", ""),
    "curl --unix-socket /run/wardgate/control.sock http://wardgate/v1/status": '^{"site":"h01",',
    "for kind": "^$",
    "mosquitto_sub": r"^wardgate/v1/h01/gw-1/status {",
    "wardgate alarms --all": rf"^red .*{SUPPLY} ",
    "wardgate alarms --json": f'"alarm_id": "{SUPPLY}"',
    "wardgate alarms ack": f"^{FIRE} +ACKED ",
    "wardgate alarms history": r"^time +colour +alarm .*\n[\s\S]*raise +UNACK",
    "wardgate alarms in-service": "^pwr.lv/lv-main/u_an#voltage-a +UNACK",
    "wardgate alarms load": "(?s)10分钟报警数 .*最频繁报警",
    "wardgate alarms out-of-service": "OOSRV",
    "wardgate alarms reset": "^pwr.gen/gen-1/state#running +NORM ",
    "wardgate alarms shelve": "SHLVD",
    "wardgate alarms show": r"(?s)supply-lost +raise .*lv-main/u_ab .*time +value +quality",
    "wardgate alarms unshelve": "^pwr.lv/lv-main/u_an#voltage-a +UNACK",
    "wardgate backtest --rules new --from": r"(?s)^input: .*^resolution: .*appears, .*vanishes, .*moves, .*stays",
    "wardgate backtest --rules new --input": '"spacing_s": 60.0',
    "wardgate backup": r"gateway gw-1 of h01, \d+ files, 2 secrets",
    "wardgate bundle": "without secrets",
    "wardgate check": r"^fine \(c-",
    "wardgate check --config ./new --diff": "against the running configuration",
    "wardgate check --latency": "^alarm +budget +poll +healthy line +one answer lost +dead neighbour +verdict",
    "wardgate check --rule-tests": r"^ok +.*voltage-rises\n1 tests, 0 failed",
    "wardgate config history": r"^number +version +began +by\n1 ",
    "wardgate config rollback": "(?s)before-rollback-1.zip.*lines opened anew: genset",
    "wardgate config show": "^lines:$",
    "wardgate consume": rf"(?s)^/site/h01/gw/gw-1: COMPLETE, online, \d+ alarms standing.*^{HEADING}$.*^COMPLETE: ",
    "wardgate devices": "^lv-main .* pwr.lv +lv-meter ",
    "wardgate export csv lv-main": "^.?device,.*\nlv-main,低压总进线",
    "wardgate export csv --to": "^$",
    "wardgate history": r"^time +value +minimum +maximum +mean +samples +quality\n.* no samples until ",
    "wardgate import csv": r"(?s)^column +heading +taken as.*points: 2 \(lv-.* 2\)\nnothing was written",
    'wardgate import csv points.csv --line lv-room --system pwr.lv --device "': r"(?s)points: 3 .*devices/points.yaml",
    "wardgate init": r"^(first|second|new)/gateway.yaml[\s\S]*wardgate check --config",
    "wardgate journal": r"(?s)^critical .*^telemetry .*handed over \d+, not confirmed \d+, confirmed \d+, backlog",
    "wardgate journal backup": "^copied to ",
    "wardgate journal export": "^time,recorded,stream,epoch,sequence,durable,type,",
    "wardgate journal restore": "^the journal that was there is now .*journal.db.replaced-",
    "wardgate journal tail": '"action":"',
    "wardgate journal verify": r"^\d+ records in \d+ chunks, 0 faults",
    "wardgate maintenance end 1": "^1 +system pwr.gen",
    "wardgate maintenance list": "(?s)quarterly test of the fire alarm.*load test.*new meter",
    "wardgate maintenance start": "^[123] +(system|device) .* until ",
    "wardgate opcua certificate": "^own .*certificate.der",
    "wardgate opcua trust add": "^trusted .* plc ",
    "wardgate opcua trust list": "^rejected .* plc ",
    "wardgate opcua trust remove": "^trusted .* plc ",
    "wardgate password": r"^\$scrypt\$ln=15,r=8,p=1\$",
    "wardgate password --token": r"(?s)shown only now: .*^\$sha256\$",
    "wardgate points": r"^lv-main +u_ab .* V +(good|uncertain).* s +holding ",
    "wardgate points --plan": r"^line +device +interval +request +points +bus time\nlv-meter ",
    "wardgate read": r"(?s)^lv-main +u_ab .*^lv-main +i_a .*asked through the daemon",
    "wardgate read lv-main u_ab --orders": r"(?s)^lv-main +u_ab .*^lv-main +u_ab order: DCBA ",
    "wardgate reload": r"(?s)^c-\w+ → c-\w+\nlines opened anew: genset\nlines went on: ",
    "wardgate restore": "^what was there is now in ",
    "wardgate schema": r'"\$schema": ',
    "wardgate status": "(?s)^上行.*^线路.*^设备.*报警.*日志",
    "wardgate version": r"^wardgate \d",
    "wardgate watch": "lv-main/u_ab ",
}
"""What the page says of it."""


class Desk:
    """Where somebody sits and types; each section of a page has a folder."""

    def __init__(self, site: Site, capsys: pytest.CaptureFixture[str], patch: pytest.MonkeyPatch) -> None:
        self._site = site
        self._capsys = capsys
        self._patch = patch
        self._folders: dict[tuple[str, str], Path] = {}
        self._instead = {
            "--control /tmp/": f"--net {site.spare} --control {site.place}/",
            "/etc/wardgate": str(site.config),
            "/run/wardgate/control.sock": str(site.socket),
            "/media/usb": str(site.media),
            "mqtt://127.0.0.1:1883": f"mqtt://{HOST}:{site.broker.port}",
            "mqtt://BROKER": f"mqtt://{HOST}:{site.broker.port}",
            "-h BROKER": f"-h {HOST} -p {site.broker.port} -C 9 -W 50",
            "1A2B3C4D": site.refused,
            "show 12 ": "show 1 ",
            "rollback 11 ": "rollback 1 ",
        }

    def type(self, command: Shown) -> Said:
        if command.text.startswith(LAST):
            asyncio.run(self._site.gateway.stop())
        place = f"{command.page}#{command.section}"
        config = self._site.written if WRITTEN & {command.page, place} else self._site.config
        here = config if place in WRITTEN else self._folder(command)
        of(BEFORE, command, nothing)(self._site, here)
        text = command.text
        for meant, holds in self._instead.items():
            text = text.replace(meant, holds)
        return self._typed(command, text, here, config)

    def begin_again(self) -> None:
        """On what was restored: the alarms stand as they did."""
        self._site.start()
        assert {SUPPLY, FIRE} <= set(self._site.states())

    def _folder(self, command: Shown) -> Path:
        """With a short path, for that of a socket is limited."""
        section = (command.page, command.section)
        self._folders.setdefault(section, self._site.place / f"{len(self._folders)}").mkdir(exist_ok=True)
        return self._folders[section]

    def _typed(self, command: Shown, text: str, here: Path, config: Path) -> Said:
        environment = {"WARDGATE_CONFIG": str(config), "WARDGATE_SOCKET": str(self._site.socket), "LANG": "C.UTF-8"}
        typist = Typist(environment)
        if ending := of(UNTIL, command, None):
            meanwhile = of(MEANWHILE, command, idle)
            said = typist.until(text, here, ending.said, partial(meanwhile, self._site))
            return Said(said.code - ending.code, said.text)
        if answers := of(ANSWERS, command, ()):
            return typist.answer(text, here, answers)
        if not text.startswith("wardgate "):
            return typist.run(text, here)
        # In this process, which is as good as one of its own, and quicker.
        for name, value in {**environment, "COLUMNS": "250"}.items():
            self._patch.setenv(name, value)
        self._patch.chdir(here)
        self._capsys.readouterr()
        code = main(shlex.split(text)[1:])
        return Said(code, "".join(self._capsys.readouterr()))


def of(table: Mapping[str, _T], command: Shown, default: _T) -> _T:
    """What holds for a command that begins so; the longest beginning counts."""
    fits = [beginning for beginning in table if command.text.startswith(beginning)]
    return table[max(fits, key=len)] if fits else default


@pytest.fixture
def desk(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    with documented_site() as site:
        yield Desk(site, capsys, monkeypatch)


@pytest.mark.timeout(900)
def test_10_every_command_of_the_pages_does_what_it_says(desk: Desk) -> None:
    """It ends with 0 and prints what the page says; what is wrong is told of all of them together."""
    wrong = []
    for command in sorted(at_home(__file__), key=lambda command: command.text.startswith(LAST)):
        try:
            said = desk.type(command)
        except (AssertionError, TimeoutError) as error:
            said = Said(-1, str(error))
        if said.code or not re.search(of(PRINTS, command, ""), said.text, re.MULTILINE):
            wrong.append(f"{command.place}: {command.text}\nexit code {said.code}\n{said.text[-1500:]}")
    assert wrong == [], "\n\n".join(wrong)
    desk.begin_again()
