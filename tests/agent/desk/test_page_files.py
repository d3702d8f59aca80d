"""The local page as files: nothing from elsewhere, nothing that the browser's rules forbid, every word in Chinese too,
colours that can be read. What a browser makes of it is `make test-page`.
"""

from __future__ import annotations

import re
from importlib import resources
from typing import get_args

import pytest
from page_rig import opened

from agent.events import AlarmState, ClockState, DeviceCondition, Overlay, QualityName
from agent.language.sentences import CHINESE as SENTENCES
from agent.status import Status
from config.model import COLOURS, STREAMS
from drivers.contract import Reason

FILES = {path.name: path.read_text(encoding="utf-8") for path in resources.files("agent.page").iterdir()}
CHINESE = FILES["page.js"].partition("const CHINESE = {")[2].partition("};")[0]
TRANSLATED = {quoted or plain for quoted, plain in re.findall(r'(?:"([^"\n]+)"|\b(\w+)): "[^"\n]*"', CHINESE)}
CONTRAST_MIN = 4.5
"""WCAG 2, level AA."""


async def test_the_page_is_served_with_its_files() -> None:
    """Each under its type; asked for again, an unchanged file is not sent again."""
    types = {"html": "text/html", "css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}
    async with opened() as page:
        assert await page.ask("GET", "/sentences.json") == (200, SENTENCES)
        for name, text in {"": FILES["index.html"], **FILES}.items():
            url = f"http://127.0.0.1:{page.port}/{name}"
            async with page.browser.get(url) as answer:
                assert (answer.status, await answer.text()) == (200, text)
                assert answer.content_type == types[(name or "index.html").rpartition(".")[2]]
                tag = answer.headers["ETag"]
            async with page.browser.get(url, headers={"If-None-Match": tag}) as again:
                assert (again.status, await again.read()) == (304, b"")


def test_the_page_works_without_a_network_beyond_the_gateway() -> None:
    """No file names another host, but for the names that XML has; every file that is named is there."""
    for name, text in FILES.items():
        assert not re.search(r"https?://", text.replace("http://www.w3.org/2000/svg", "")), name
    for named in re.findall(r'(?:src|href)="([^"#]+)"', FILES["index.html"]):
        assert named in FILES


def test_nothing_needs_what_the_policy_forbids() -> None:
    """No script or style within the markup, and no text of the gateway becomes markup."""
    assert not re.search(r"<style|\sstyle=|\son\w+=|javascript:", FILES["index.html"])
    assert re.findall(r"<script[^>]*>", FILES["index.html"]) == ['<script type="module" src="page.js">']
    assert not re.search(r"innerHTML|outerHTML|insertAdjacent|document\.write|eval\(|new Function", FILES["page.js"])


def test_every_word_is_there_in_chinese() -> None:
    """Those that the page says itself, and every state and reason that the gateway may tell."""
    said = set(re.findall(r'word\("([^"]+)"\)', FILES["page.js"]))
    for listed in re.findall(r"table\(\[([^\]]*)\]", FILES["page.js"]):
        said |= set(re.findall(r'"([a-z ]+)"', listed))
    said |= set(re.findall(r'^\s+\["([a-z ]+)", ', FILES["page.js"], re.MULTILINE))
    said |= set(re.findall(r'data-word="([^"]+)"', FILES["index.html"]))
    told = {
        one
        for kind in (AlarmState, ClockState, DeviceCondition, Overlay, QualityName, Reason)
        for one in get_args(kind)
    }
    assert len(said) > 40
    assert (said | told | {*COLOURS, *STREAMS}) - TRANSLATED == set()


def test_every_field_that_is_read_is_one_that_is_told() -> None:
    """The page knows the status by the names that are promised."""
    read = set(re.findall(r"\bstatus\.(\w+)", FILES["page.js"])) - {"status"}
    assert read <= set(Status.__struct_fields__)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_texts_can_be_read(scheme: str) -> None:
    """Every colour of a text against what it stands on, by day and by night."""
    light, dark = re.findall(r":root \{(.*?)\}", FILES["page.css"], re.DOTALL)
    colours = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{3,6})", light))
    if scheme == "dark":
        colours |= dict(re.findall(r"--([\w-]+): (#[0-9a-f]{3,6})", dark))
    pairs = [(ink, ground) for ink in ("ink", "soft", "accent") for ground in ("ground", "card")]
    pairs += [(name, f"{name}-soft") for name in ("red", "orange", "yellow", "blue", "green", "grey")]
    pairs += [(name, "card") for name in ("red", "orange", "yellow", "blue", "green", "grey")]
    pairs += [("on-edge", name) for name in COLOURS] + [
        ("on-accent", "accent"),
        ("ink", "red-soft"),
        ("soft", "red-soft"),
    ]
    poor = {pair: ratio for pair in pairs if (ratio := contrast(*(colours[name] for name in pair))) < CONTRAST_MIN}
    assert poor == {}


def contrast(one: str, other: str) -> float:
    lighter, darker = sorted((luminance(one), luminance(other)), reverse=True)
    return round((lighter + 0.05) / (darker + 0.05), 2)


def luminance(colour: str) -> float:
    digits = colour[1:] if len(colour) > 4 else "".join(digit * 2 for digit in colour[1:])
    parts = [int(digits[at : at + 2], 16) / 255 for at in (0, 2, 4)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
