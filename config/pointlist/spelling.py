"""Units, states, rights and intervals as people write them in lists."""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING

from config.pointlist.cells import Refused
from config.pointlist.sheet import plain
from config.units import POLL_CLASSES, seconds

if TYPE_CHECKING:
    from config.pointlist.cells import Cells

UNITS = {
    "Cel": "°c c degc ℃ 摄氏度 deg.c celsius",
    "%": "% 百分比 pct percent %rh rh%",
    "V": "v 伏 伏特 volt volts",
    "mV": "mv 毫伏",
    "kV": "kv 千伏",
    "A": "a 安 安培 amp amps ampere",
    "mA": "ma 毫安",
    "kA": "ka",
    "W": "w 瓦",
    "kW": "kw 千瓦",
    "MW": "兆瓦",
    "kV.A": "kva",
    "V.A": "va",
    "kV.A{r}": "kvar 千乏",
    "V.A{r}": "var",
    "kW.h": "kwh kw·h kw.h 度电 千瓦时",
    "W.h": "wh",
    "MW.h": "mwh",
    "kV.A{r}.h": "kvarh",
    "Hz": "hz 赫兹",
    "Ohm": "ω ohm 欧 欧姆",
    "kOhm": "kω kohm 千欧",
    "MOhm": "兆欧",
    "Pa": "pa 帕",
    "kPa": "kpa 千帕",
    "MPa": "兆帕",
    "bar": "bar 巴",
    "mbar": "mbar",
    "m": "m 米",
    "mm": "mm 毫米",
    "m/s": "m/s 米/秒",
    "m3": "m3 立方米 立方",
    "m3/h": "m3/h 立方米/小时",
    "L": "l 升",
    "L/min": "l/min lpm",
    "L/s": "l/s",
    "s": "s 秒 sec",
    "ms": "ms 毫秒",
    "min": "min 分钟 分 minutes",
    "h": "h 小时 时 hour hours",
    "d": "d 天 日",
    "[ppm]": "ppm",
    "mg/m3": "mg/m3",
    "ug/m3": "μg/m3 ug/m3",
    "%{LEL}": "%lel lel",
    "%{vol}": "%vol vol%",
    "{rev}/min": "rpm r/min 转/分",
    "{count}": "次 个 台 count counts",
    "1": "1 - / 无 none",
    "kg": "kg 千克 公斤",
    "lx": "lx lux 勒克斯",
    "dB": "db 分贝",
    "deg": "° deg 角度",
}
"""UCUM by how it is written, in small letters."""

_EXACT = {
    "MPa": "MPa", "Mpa": "MPa", "MPA": "MPa", "MW": "MW", "MWh": "MW.h", "MWH": "MW.h",
    "M\u03a9": "MOhm", "MOhm": "MOhm",
}  # fmt: skip
"""Where only the capital tells a million from a thousandth, and a thousandth is nothing that is measured here."""

_UNCLEAR = frozenset({"MV", "MA", "度"})
_BY_SPELLING = {spelling: unit for unit, spellings in UNITS.items() for spelling in spellings.split()}
_STATE = re.compile(r"(0x[0-9a-f]+|-?\d+)\s*[=:：、.\-)]?\s*([^\s=:：].*)", re.IGNORECASE | re.DOTALL)
_BETWEEN = re.compile(r"[;；,，、\n/|]+|\s+(?=\d+\s*[=:：\-])")
_INTERVAL = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|毫秒|s|sec|秒|min|分钟|分|h|小时)?", re.IGNORECASE)
_TIMES = {"毫秒": "ms", "sec": "s", "秒": "s", "分钟": "min", "分": "min", "小时": "h"}
READ_ONLY = "r ro 只读 读 read readonly r/o 遥测 遥信"
READ_AND_WRITE = "rw r/w wr w/r 读写 可读写 读/写 readwrite read/write"
WRITE_ONLY = "w wo 只写 写 write writeonly 遥控 遥调 控制"


@cache
def unit(written: str) -> tuple[str, bool]:
    """The unit as UCUM writes it, and whether we know it; one that we do not know stays as it is."""
    text = plain(written).replace(" ", "").strip("()")
    if text in _EXACT or text in UNITS or "{" in text:
        return _EXACT.get(text, text), True
    found = None if text in _UNCLEAR else _BY_SPELLING.get(text.lower())
    return (found, True) if found else (text, False)


def states(cells: Cells) -> dict[int, str]:
    """`0=停止;1=运行` and what looks like it, by number. Raises `Refused`."""
    text = cells.raw("states")
    found: dict[int, str] = {}
    for part in filter(None, (each.strip() for each in _BETWEEN.split(text))):
        match = _STATE.fullmatch(part)
        if match is None:
            raise Refused(f"found {part!r} among the states", "write 0=stop;1=run", "states")
        raw = int(match[1], 0)
        if raw in found:
            raise Refused(f"{raw} is there twice", "write each number once", "states")
        found[raw] = match[2].strip()
    return found


def poll(cells: Cells, aside: str) -> str:
    """A class or a duration; a number needs its unit, in the cell or in the heading. Raises `Refused`."""
    text = cells.get("poll")
    if text in POLL_CLASSES:
        return text
    match = _INTERVAL.fullmatch(text)
    said = (match[2] or aside).strip().lower() if match else ""
    named = _TIMES.get(said, said)
    if match is None or named not in {"ms", "s", "min", "h"}:
        raise Refused(f"found {text!r}, no interval", "write 500ms, 5s or 1min", "poll")
    written = f"{match[1]}{named}"
    if not seconds(written):
        raise Refused("an interval of 0", "write 500ms, 5s or 1min", "poll")
    return written


def refuse_writing(cells: Cells) -> None:
    """Raises `Refused` for what can only be written: there is no way to do that here."""
    said = re.sub(r"\s+", "", cells.get("access")).lower()
    if said in WRITE_ONLY.split():
        raise Refused(f"found {cells.get('access')}: it is only written", "leave it out; wardgate only reads", "access")
    if said and said not in READ_ONLY.split() + READ_AND_WRITE.split():
        raise Refused(f"found {cells.get('access')!r}", "write R, W or RW", "access")
