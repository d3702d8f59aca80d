"""`wardgate demo` as a person starts it: the real processes, a real broker, a real terminal."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import select
import shlex
import signal
import struct
import subprocess
import sys
import termios
import time
import xml.etree.ElementTree as ET
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, TYPE_CHECKING, Any
from urllib.error import URLError
from urllib.request import urlopen

import pytest
from shown_commands import at_home

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

DEMO = [sys.executable, "-m", "agent", "demo", "--lang", "en"]
SHOWN = [shlex.split(command.text)[2:] for command in at_home(__file__)]
(PRINTED,), PLAYED = ([words for words in SHOWN if ("--no-tui" in words) is plain] for plain in (True, False))
"""What the page tells people to type, after `wardgate demo`."""

SVG = "{http://www.w3.org/2000/svg}"
START_S = 120.0
"""A loaded machine takes its time to start the devices, a broker and a gateway."""
END_S = 60.0


class Screen:
    """A demo on a terminal of 120 by 36. `shown` is everything written so far."""

    def __init__(self, place: Path, *arguments: str) -> None:
        self._ours, self._theirs = pty.openpty()
        fcntl.ioctl(self._theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 36, 120, 0, 0))
        self.modes_before = termios.tcgetattr(self._theirs)
        self.shown = ""
        self.process = subprocess.Popen(
            [*DEMO, *arguments],
            stdin=self._theirs,
            stdout=self._theirs,
            stderr=self._theirs,
            env=env(place),
            # This terminal in control, so that Ctrl-C is a signal as in real life.
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # noqa: PLW1509  # no threads here
        )

    def modes_after(self) -> list[Any]:
        return termios.tcgetattr(self._theirs)

    def press(self, keys: str) -> None:
        os.write(self._ours, keys.encode())

    def until(self, text: str, within_s: float = START_S) -> None:
        """Read the screen until `text` is on it."""
        self.read(lambda: text in self.shown, within_s)

    def until_end(self) -> int:
        self.read(lambda: self.process.poll() is not None, END_S)
        return self.process.wait()

    def read(self, is_enough: Callable[[], bool], within_s: float) -> None:
        deadline = time.monotonic() + within_s
        while not is_enough():
            assert time.monotonic() < deadline, f"never seen; the screen was: {self.shown[-2000:]}"
            if select.select([self._ours], [], [], 0.05)[0]:
                self.shown += os.read(self._ours, 65536).decode(errors="replace")

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(END_S)
        os.close(self._ours)
        os.close(self._theirs)

    @property
    def folder(self) -> Path:
        return folder_in(self.shown)


@pytest.fixture
def place() -> Iterator[Path]:
    """Where the demo may leave nothing. Short, because a socket's path is limited."""
    with TemporaryDirectory(prefix="wg") as place:
        yield Path(place)


@contextmanager
def on_screen(place: Path, *arguments: str) -> Iterator[Screen]:
    screen = Screen(place, *arguments)
    try:
        yield screen
    finally:
        screen.close()


def env(place: Path) -> dict[str, str]:
    return {**os.environ, "TERM": "xterm-256color", "TMPDIR": str(place)}


def printing(place: Path) -> subprocess.Popen[str]:
    """A demo that prints its events, to nobody."""
    return subprocess.Popen(
        [*DEMO, "--no-tui"], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=env(place)
    )


def folder_in(notes: str) -> Path:
    found = re.search(r"files in (\S+)", notes)
    assert found, notes
    return Path(found[1])


def network_in(notes: str) -> str:
    found = re.search(r"hospital on (127\.\d+\.\d+)\.0/24", notes)
    assert found, notes
    return found[1]


def until_running(notes: IO[str]) -> str:
    """What the demo says until its gateway runs."""
    said = ""
    while "the gateway runs" not in said:
        line = notes.readline()
        assert line, said
        said += line
    return said


def processes_with(*marks: str) -> list[str]:
    """Command lines of all processes that name one of the marks."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            line = (process / "cmdline").read_text().replace("\0", " ")
        except OSError:
            continue
        if any(mark in line for mark in marks):
            found.append(line)
    return found


def assert_nothing_left(place: Path, notes: str) -> None:
    folder, network = folder_in(notes), network_in(notes)
    deadline = time.monotonic() + END_S
    while left := processes_with(str(folder), f"--net {network} "):
        assert time.monotonic() < deadline, left
        time.sleep(0.05)
    assert not list(place.iterdir())


def devices_on_page(notes: str) -> int:
    """How many the page of the demo tells, once it answers."""
    found = re.search(r"the local page is (http://\S+)", notes)
    assert found, notes
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        with suppress(URLError), urlopen(f"{found[1]}/v1/status", timeout=5) as answer:
            return len(json.load(answer)["devices"])
        time.sleep(0.1)
    pytest.fail("the page never answered")


def child_pid(mark: str) -> int:
    """The one process whose command line holds `mark`."""
    (found,) = [int(process.name) for process in Path("/proc").glob("[0-9]*") if mark in _command_line(process)]
    return found


def _command_line(process: Path) -> str:
    try:
        return (process / "cmdline").read_text().replace("\0", " ")
    except OSError:
        return ""


def alarms_in(lines: list[str]) -> list[dict[str, Any]]:
    events = [json.loads(line) for line in lines]
    return [event["data"] for event in events if event["type"].endswith("alarm.transition.v1")]


def test_the_default_story_raises_and_clears_alarms_at_an_independent_subscriber(place: Path) -> None:
    """`--no-tui` prints nothing but events: raises, acknowledgements, a shelving, clears; then it ends with 0."""
    done = subprocess.run([*DEMO, *PRINTED], capture_output=True, text=True, timeout=100, check=False, env=env(place))
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert all(json.loads(line)["specversion"] == "1.0" for line in lines)
    came_and_went: dict[str, list[str]] = {}
    hidden = set()
    for alarm in alarms_in(lines):
        came_and_went.setdefault(alarm["alarm_id"], []).append(alarm["action"])
        hidden |= {alarm["alarm_id"]} if alarm["overlay"] == ["SHLVD"] else set()
    expected = {
        "lv-main/u_ab#supply-lost": ["raise", "ack", "clear"],
        "fire-panel/zone.3.alarm#zone-3": ["raise", "ack", "clear"],
        "or-1/o2_p#oxygen-low": ["raise", "clear"],
        "gen-1/state#running": ["raise", "overlay"],
    }
    for part, actions in expected.items():
        (alarm_id,) = [name for name in came_and_went if name.endswith(part)]
        assert came_and_went[alarm_id][: len(actions)] == actions, part
    assert hidden == {"pwr.gen/gen-1/state#running"}
    assert_nothing_left(place, done.stderr)


def red_rows(picture: Path) -> list[str]:
    """The rows of the picture whose alarm text is written in red."""
    root = ET.fromstring(picture.read_text())
    css = "".join(style.text or "" for style in root.iter(f"{SVG}style"))
    reds = {name for name, fill in re.findall(r"\.(\S+) \{ fill: (#\w{6})", css) if is_red(fill)}
    rows: dict[str, list[tuple[float, str]]] = {}
    red: set[str] = set()
    for text in root.iter(f"{SVG}text"):
        words = "".join(text.itertext()).replace("\xa0", " ")
        if "y" in text.attrib:
            rows.setdefault(text.attrib["y"], []).append((float(text.attrib["x"]), words))
        if text.attrib.get("class") in reds and words.strip(" ─│╭╮╰╯"):
            red.add(text.attrib["y"])
    return ["".join(words for _, words in sorted(rows[y])) for y in rows if y in red]


def is_red(fill: str) -> bool:
    r, g, b = (int(fill[at : at + 2], 16) for at in (1, 3, 5))
    return r > 180 and g < 100 and b < 100


def test_the_picture_is_the_screen_with_a_red_alarm_raised_after_the_start(place: Path, tmp_path: Path) -> None:
    """A key sets fire; the saved frame shows that alarm in red with a time after the start, and so does the screen."""
    picture = tmp_path / "demo.svg"
    started = datetime.now(UTC)
    with on_screen(place, "--story", "none", "--screenshot", str(picture), "--at", "6") as screen:
        screen.until("fire-panel")
        screen.press("f")
        screen.until("Fire alarm in zone 3", within_s=10)
        screen.until("saved")
        (row,) = [row for row in red_rows(picture) if "Fire alarm in zone 3" in row]
        raised = re.search(r"\d\d:\d\d:\d\d", row)
        assert raised, row
        assert (
            started.astimezone().strftime("%H:%M:%S") <= raised[0] <= datetime.now().astimezone().strftime("%H:%M:%S")
        )
        screen.press("a")
        screen.until("acknowledged alarms")
        screen.press("q")
        assert screen.until_end() == 0
        assert screen.modes_after() == screen.modes_before
        assert_nothing_left(place, screen.shown)


@pytest.mark.parametrize("words", PLAYED, ids=" ".join)
def test_10_the_demos_that_the_page_shows_play_until_q(words: list[str], place: Path) -> None:
    """With the story, seed and language that it names."""
    with on_screen(place, *words) as screen:
        screen.until("fire-panel")
        screen.until("无报警" if "zh" in words else "alarms")
        screen.press("q")
        assert screen.until_end() == 0


def test_the_broker_can_be_pulled_and_put_back(place: Path) -> None:
    """Without the broker the uplink waits and says so; with it, it is connected again."""
    with on_screen(place, "--story", "none") as screen:
        screen.until("connected")
        network = network_in(screen.shown)
        screen.press("b")
        screen.until("the broker is pulled")
        assert not processes_with("mosquitto -c " + str(screen.folder))
        screen.press("b")
        screen.until("the broker is back")
        screen.shown = screen.shown[: screen.shown.index("\x1b[?1049h")]
        screen.until("connected")
        assert network in screen.shown
        screen.press("q")
        assert screen.until_end() == 0


@pytest.mark.parametrize("moment", ["setting up", "starting the gateway", "fire-panel"])
def test_ctrl_c_leaves_nothing_behind(moment: str, place: Path) -> None:
    """While it starts or plays, also pressed twice: exit code 0, the terminal as before, no process, no folder."""
    with on_screen(place) as screen:
        screen.until(moment)
        screen.press("\x03")
        screen.press("\x03")
        assert screen.until_end() == 0
        assert screen.modes_after() == screen.modes_before
        if "\x1b[?1049h" in screen.shown:
            assert screen.shown.rindex("\x1b[?1049l") > screen.shown.rindex("\x1b[?1049h")
        assert_nothing_left(place, screen.shown)


@pytest.mark.parametrize(
    ("name", "mark"), [("gateway", "agent run --config {folder}"), ("hospital", "all --net {net} ")]
)
def test_a_child_that_dies_ends_the_demo_and_is_named(name: str, mark: str, place: Path) -> None:
    """Exit code 1 and one sentence with its last lines; the others are ended."""
    with printing(place) as demo:
        assert demo.stderr is not None
        notes = until_running(demo.stderr)
        os.kill(child_pid(mark.format(folder=folder_in(notes), net=network_in(notes))), signal.SIGKILL)
        notes += demo.stderr.read()
        assert demo.wait(END_S) == 1
    assert f"the demo's {name} ended by itself" in notes
    assert_nothing_left(place, notes)


def test_its_page_answers_and_killing_the_demo_itself_leaves_no_process(place: Path) -> None:
    """A browser on this machine sees the hospital. Even `kill -9` of the demo takes its children with it; only the
    folder stays, which nobody could remove.
    """
    with printing(place) as demo:
        assert demo.stderr is not None
        notes = until_running(demo.stderr)
        assert devices_on_page(notes) == 14
        demo.kill()
    deadline = time.monotonic() + END_S
    while left := processes_with(str(folder_in(notes)), f"--net {network_in(notes)} "):
        assert time.monotonic() < deadline, left
        time.sleep(0.05)
