"""Every verb as the operator types it, against a desk made by hand behind the real control server."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
import time
from typing import TYPE_CHECKING, NamedTuple

import msgspec
import pytest

from agent.cli.app import VERBS, main
from agent.status import AlarmLoadView, AlarmView, PointView, Status
from config.duty import Scope

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from fake_desk import Served

WARDGATE = [sys.executable, "-m", "agent"]
ALARM = "fire/fire-panel/zone3#fire"


class Said(NamedTuple):
    code: int
    out: str
    err: str


@pytest.fixture
def wardgate(served: Served, capsys: pytest.CaptureFixture[str]) -> Callable[..., Said]:
    """Types one command in English to the daemon that is served."""

    def run(*arguments: str, lang: Sequence[str] = ("--lang", "en")) -> Said:
        code = main([*arguments, *lang, "--socket", str(served.path)])
        return Said(code, *capsys.readouterr())

    return run


def process(*arguments: str, **environment: str) -> Said:
    """Types one command in a process of its own."""
    done = subprocess.run(
        [*WARDGATE, *arguments],
        capture_output=True,
        text=True,
        timeout=20,
        env={**os.environ, **environment},
        check=False,
    )
    return Said(done.returncode, done.stdout, done.stderr)


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help_with_an_example(verb: str) -> None:
    """`--help` of each verb shows a line that can be typed."""
    said = process(verb, "--help", COLUMNS="120")
    assert said.code == 0
    assert f"Example: wardgate {verb}" in said.out


def test_the_list_of_verbs_is_complete() -> None:
    """`wardgate --help` names every verb that the product has."""
    said = process("--help")
    assert said.code == 0
    assert re.findall(r"^│ ([a-z]+) ", said.out, re.MULTILINE) == list(VERBS)
    named = "run demo check schema status devices points read watch alarms journal version"
    assert set(named.split()) <= set(VERBS)


def test_version_says_which(capsys: pytest.CaptureFixture[str]) -> None:
    """The version is the package's, in text and in JSON."""
    assert main(["version"]) == 0
    assert capsys.readouterr().out.startswith("wardgate 0.")
    assert main(["version", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["wardgate"].startswith("0.")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["statsu"], "wardgate: no such command 'statsu'. Did you mean 'status'; see `wardgate --help`\n"),
        (
            ["points", "--jsn"],
            "wardgate: no such option: --jsn (Possible options: --json); see `wardgate points --help`\n",
        ),
        (["alarms", "ack"], "wardgate: missing argument 'ID'; see `wardgate alarms ack --help`\n"),
        (["status", "--lang", "fr"], "'fr' is not one of 'zh', 'en'; see `wardgate status --help`\n"),
    ],
)
def test_a_usage_error_is_one_line(arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 2, nothing on stdout, one line on stderr that names the help."""
    assert main(arguments) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.endswith(says)
    assert said.err.count("\n") == 1


def test_run_refuses_a_wrong_option_in_one_line() -> None:
    """`run` goes past the framework and behaves the same."""
    said = process("run", "--confg", "x")
    assert (said.code, said.out) == (2, "")
    assert said.err == "wardgate: unrecognized arguments: --confg x; see `wardgate run --help`\n"


@pytest.mark.parametrize(
    "verb", [["status"], ["devices"], ["points"], ["watch"], ["alarms"], ["alarms", "ack", "x"], ["journal"]]
)
def test_without_a_daemon_every_verb_says_so(
    verb: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 3 and one line with the next step."""
    assert main([*verb, "--config", str(tmp_path), "--socket", str(tmp_path / "none.sock")]) == 3
    said = capsys.readouterr()
    assert said.out == ""
    assert re.fullmatch(r"wardgate: no wardgate daemon answers on .*; start it .*\n", said.err)


def test_the_socket_comes_from_the_configuration(served: Served, capsys: pytest.CaptureFixture[str]) -> None:
    """`--config` alone finds the daemon, even while the rest of the file is broken."""
    folder = served.path.parent
    (folder / "gateway.yaml").write_text("control_socket: control.sock\nnonsense: true\n", encoding="utf-8")
    assert main(["status", "--config", str(folder), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["gateway"] == "gw-a1"


def test_status_is_one_screen(wardgate: Callable[..., Said]) -> None:
    """Uplink, line, device, alarm, journal and health stand there, with what to do."""
    said = wardgate("status")
    assert said.code == 0
    for part in ("Gateway 1", "mqtt://127.77.0.2:1883", "Switchboard", "lv-main", "Fire in zone 3", "Check the cable"):
        assert part in said.out


def test_status_json_is_the_snapshot(wardgate: Callable[..., Said], served: Served) -> None:
    """`--json` is exactly the daemon's snapshot."""
    assert msgspec.json.decode(wardgate("status", "--json").out, type=Status) == served.desk.status()


def test_chinese_where_it_is_asked_for(wardgate: Callable[..., Said], monkeypatch: pytest.MonkeyPatch) -> None:
    """`--lang zh` gives Chinese names, and so does a Chinese locale."""
    by_option = wardgate("devices", lang=("--lang", "zh")).out
    monkeypatch.setenv("LC_ALL", "zh_CN.UTF-8")
    by_locale = wardgate("devices", lang=()).out
    assert by_option == by_locale
    assert "总配电" in by_option
    assert "在线" in by_option
    assert "Main meter" not in by_option


def test_points_show_unit_quality_and_raw(wardgate: Callable[..., Said]) -> None:
    """A good value has its unit; a bad one has a dash, its reason and what the source said."""
    good, bad = wardgate("points", "lv-main").out.splitlines()[1:]
    assert re.search(r"u_ab .*398\.2 V .*good .*0\.4 s .*holding 3019 f32", good)
    assert re.search(r"i_a .*— A .*bad/sensor_fault .*0x8000", bad)


def test_points_json_round_trips(wardgate: Callable[..., Said], served: Served) -> None:
    """`--json` decodes to the same views, a bad value as null."""
    views = msgspec.json.decode(wardgate("points", "--json").out, type=list[PointView])
    assert views == served.desk.points(None)


def test_an_unknown_device_is_a_usage_error_with_the_nearest(wardgate: Callable[..., Said]) -> None:
    """Exit code 2, and the name that was probably meant."""
    said = wardgate("points", "lv-mian")
    assert (said.code, said.out) == (2, "")
    assert said.err == "wardgate: no device 'lv-mian'; did you mean 'lv-main'?\n"


def test_read_says_which_way_it_asked(wardgate: Callable[..., Said], served: Served) -> None:
    """Through a running daemon the device is asked there, and the note is on stderr."""
    said = wardgate("read", "lv-main", "u_ab")
    assert said.code == 0
    assert said.err == f"asked through the daemon at {served.path}\n"
    assert "398.2 V" in said.out
    assert "i_a" not in said.out


def test_a_device_that_does_not_answer_is_exit_code_1(wardgate: Callable[..., Said]) -> None:
    """What the driver said, where, and what to do."""
    said = wardgate("read", "gen-1")
    assert (said.code, said.out) == (1, "")
    assert said.err == "wardgate: 127.77.0.12:1502 unit 10: no answer within 2 s; check its power\n"


def test_alarms_in_a_table_and_in_json(wardgate: Callable[..., Said]) -> None:
    """The alarm's id, state, text and advice are there."""
    text = wardgate("alarms").out
    for part in ("red", ALARM, "UNACK", "Fire in zone 3", "Go to zone 3"):
        assert part in text
    (view,) = msgspec.json.decode(wardgate("alarms", "--json").out, type=list[AlarmView])
    assert view.alarm_id == ALARM


def test_the_alarm_load_is_shown_with_what_is_acceptable(wardgate: Callable[..., Said], served: Served) -> None:
    """Figures, shares of the colours, who calls most often and why it is marked; as JSON it is what status knows."""
    text = wardgate("alarms", "load").out
    for part in ("flood", "alarms in 10 min", "12", "13", "yellow 50 %", "chattering: hvac.ahu/ahu-1/dp#dirty"):
        assert part in text
    assert "报警负荷" in wardgate("alarms", "load", lang=("--lang", "zh")).out
    view = msgspec.json.decode(wardgate("alarms", "load", "--json").out, type=AlarmLoadView)
    assert view == served.desk.status().load


def test_acknowledging_names_me(wardgate: Callable[..., Said], served: Served) -> None:
    """The alarm afterwards is shown; doing it again is refused with exit code 1."""
    said = wardgate("alarms", "ack", ALARM, "--comment", "on my way")
    assert (said.code, said.out) == (0, f"{ALARM}  ACKED  Fire in zone 3\n")
    assert [actor.type for actor in served.desk.actors] == ["user"]
    again = wardgate("alarms", "ack", ALARM)
    assert (again.code, again.err) == (1, "wardgate: it is acknowledged already; nothing to do\n")


def test_journal_shows_depth_and_what_waits(wardgate: Callable[..., Said]) -> None:
    """A row per stream, with what each uplink has still to send."""
    rows = wardgate("journal").out.splitlines()
    assert "to send platform" in rows[1]
    assert rows[-2].split() == ["telemetry", "12", "11", "4.0", "KiB", "0", "3"]
    assert rows[-1] == "uplink platform: handed over 17, not confirmed 2, confirmed 15, live from 9, backlog 3"
    shown = json.loads(wardgate("journal", "--json").out)
    assert shown["waiting"] == {"platform": {"critical": 0, "telemetry": 3}}
    account = {"acknowledged": 17, "handed_over": 2, "confirmed": 15, "live_from": 9, "backlog": 3}
    assert shown["uplinks"] == {"platform": account}


def test_status_tells_handed_over_from_confirmed(wardgate: Callable[..., Said]) -> None:
    """What waits, with the backlog in it; what the broker has; what the platform has not confirmed, and has."""
    lines = wardgate("status", "--lang", "en").out.splitlines()
    row = next(line for line in lines if line.startswith("platform"))
    assert row.split()[-6:] == ["3", "(backlog", "3)", "17", "2", "15"]


@pytest.mark.parametrize(
    ("arguments", "lines"),
    [
        (["watch", "lv-main", "--lang", "en"], [r".*lv-main/u_ab  398\.2 V", r".*i_a  — A  bad/sensor_fault 0x8000"]),
        (["watch", "--json", "--lang", "en"], [r'\{"device":"lv-main","point":"u_ab".*\}', r'.*"value":null.*']),
        (["journal", "tail"], [r'\{"type":"wardgate\.alarm.*\}', r'\{"type":"wardgate\.telemetry.*\}']),
    ],
)
def test_streams_give_a_line_at_once_and_end_on_ctrl_c(served: Served, arguments: list[str], lines: list[str]) -> None:
    """What happens is on stdout when it happens; Ctrl-C ends it without a word."""
    with subprocess.Popen(
        [*WARDGATE, *arguments, "--socket", str(served.path)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as watcher:
        assert watcher.stdout is not None
        assert watcher.stderr is not None
        for line in lines:
            assert re.fullmatch(line, watcher.stdout.readline().rstrip("\n"))
        watcher.send_signal(2)
        assert watcher.wait(10) == 130
        assert watcher.stderr.read() == ""


def test_a_reader_that_goes_away_is_no_error(served: Served) -> None:
    """`wardgate watch | head -1` says nothing on stderr."""
    command = " ".join([*WARDGATE, "points", "--socket", str(served.path)])
    done = subprocess.run(["sh", "-c", f"{command} | true"], capture_output=True, text=True, timeout=20, check=False)
    assert done.stderr == ""


def test_colours_only_on_a_terminal(served: Served) -> None:
    """The same command has escape sequences on a terminal and none in a pipe."""
    arguments = [*WARDGATE, "alarms", "--lang", "en", "--socket", str(served.path)]
    plain = subprocess.run(arguments, capture_output=True, timeout=20, check=True).stdout
    assert b"\x1b[" not in plain
    assert b"Fire in zone 3" in plain
    assert b"\x1b[" in on_terminal(arguments)


def on_terminal(arguments: list[str]) -> bytes:
    """What a command writes to a terminal of 160 columns."""
    ours, theirs = pty.openpty()
    environment = {**os.environ, "COLUMNS": "160", "TERM": "xterm-256color"}
    with subprocess.Popen(arguments, stdin=theirs, stdout=theirs, stderr=theirs, env=environment) as child:
        os.close(theirs)
        shown = b""
        while chunk := _read(ours):
            shown += chunk
        assert child.wait(10) == 0
    os.close(ours)
    return shown


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65536)
    except OSError:
        # Linux ends a terminal whose other side is closed with an error instead of an empty read.
        return b""


def test_light_verbs_stay_light() -> None:
    """Neither `--help` nor what asks the daemon imports configuration, drivers or the terminal library."""
    code = (
        "import sys; from agent.cli.app import main; main(['version']); heavy = {'rich', 'aiohttp', "
        "'config.load', 'drivers.registry', 'pymodbus'}; print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=20, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_shelving_and_service_say_what_hides_the_alarm(served: Served, capsys: pytest.CaptureFixture[str]) -> None:
    """Reason, work order and owner reach the daemon; the answer shows the overlay before the state."""
    alarm = "fire/fire-panel/zone3#fire"
    orders = [
        ["shelve", alarm, "--reason", "works", "--until", "20min"],
        ["unshelve", alarm, "--comment", "done"],
        ["out-of-service", alarm, "--work-order", "W-1", "--owner", "Li", "--reason", "new"],
        ["in-service", alarm],
    ]
    before = time.time()
    for order in orders:
        assert main(["alarms", *order, "--socket", str(served.path), "--lang", "en"]) == 0
    shown = capsys.readouterr().out.splitlines()
    assert [line.split("  ")[1] for line in shown] == ["SHLVD UNACK", "UNACK", "OOSRV UNACK", "UNACK"]
    shelve, unshelve, out, back = served.desk.commands
    assert shelve.until is not None
    assert before + 1200 <= shelve.until < before + 1260
    assert (shelve.comment, unshelve.comment) == ("works", "done")
    assert (out.work_order, out.owner, out.comment, back.verb) == ("W-1", "Li", "new", "in-service")


def test_maintenance_is_started_listed_and_ended(served: Served, capsys: pytest.CaptureFixture[str]) -> None:
    """What is meant, until when and why; the list is what status knows, in both languages and as JSON."""
    where = ["--socket", str(served.path)]
    begin = [
        "start",
        "--system",
        "pwr.gen",
        "--floor",
        "b1f",
        "--until",
        "2h",
        "--reason",
        "monthly test",
        "--lang",
        "en",
    ]
    assert main(["maintenance", *begin, *where]) == 0
    assert capsys.readouterr().out.startswith("1  system pwr.gen, floor b1f  until ")
    assert main(["maintenance", "start", "--preset", "fire-test", "--until", "1h", "--reason", "drill", *where]) == 0
    first, second = served.desk.maintained
    assert (first.scope, first.reason, first.is_test) == (
        Scope(system=frozenset({"pwr.gen"}), floor=frozenset({"b1f"})),
        "monthly test",
        False,
    )
    assert (second.scope, second.is_test) == (Scope(system=frozenset({"fire"})), True)
    capsys.readouterr()
    for verb in (["maintenance", "list"], ["maintenance"]):
        assert main([*verb, *where, "--lang", "zh"]) == 0
        assert "维护" in capsys.readouterr().out
    assert main(["maintenance", "list", "--json", *where]) == 0
    assert json.loads(capsys.readouterr().out)[0]["reason"] == "monthly test"
    assert main(["maintenance", "end", "1", *where]) == 0
    assert main(["maintenance", "end", "7", *where]) == 1
    assert "there is no maintenance 7" in capsys.readouterr().err


def test_maintenance_without_an_end_is_no_command(served: Served, capsys: pytest.CaptureFixture[str]) -> None:
    """The option is asked for, and a preset stands alone."""
    where = ["--socket", str(served.path)]
    assert main(["maintenance", "start", "--system", "pwr.gen", "--reason", "test", *where]) == 2
    assert "--until" in capsys.readouterr().err
    both = ["--system", "pwr.gen", "--preset", "fire-test", "--until", "1h", "--reason", "test"]
    assert main(["maintenance", "start", *both, *where]) == 1
    assert "name nothing beside it" in capsys.readouterr().err
