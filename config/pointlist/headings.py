"""What each column of a list is, by its heading, in Chinese or English. What nobody knows is not taken, and said so."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from config.errors import column_name
from config.pointlist.cells import Cells, Refused
from config.pointlist.sheet import TITLES_MAX, plain

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from config.pointlist.sheet import Sheet

    Vocabulary = Mapping[str, str]
    """The headings of each field, without blanks and in small letters; of two columns the earlier word wins."""

GENERAL: Vocabulary = {
    "id": "id pointid point tag tagname 标识 标识符 变量名 点标识 点id 测点id 编码",
    "name_zh": (
        "namezh 中文名 中文名称 名称 点名 点名称 点位名称 测点名称 信号名称 参数名称 数据名称 参数 测点 点位 数据项 "
        "采集项 监测点 监控点 监测内容 变量描述 信号描述 点描述 描述"
    ),
    "name_en": "nameen 英文名 英文名称 englishname name pointname signalname parametername parameter signal "
    "designation variable description desc",
    "unit": "unit units 单位 工程单位 计量单位 数据单位 engineeringunit engineeringunits eu",
    "scale": "scale 系数 倍率 比例系数 换算系数 转换系数 缩放系数 乘系数 比例 缩放 乘数 倍数 分辨率 "
    "scaling scalefactor factor multiplier gain resolution",
    "divisor": "divisor 除数 dividedby",
    "decimals": "decimals 小数位 小数位数 小数点 小数点位数 decimalplaces decimal",
    "offset": "offset 偏移量 数值偏移 修正值 零点 valueoffset",
    "value": "value",
    "states": "states 状态说明 状态描述 状态定义 枚举 枚举值 枚举说明 取值说明 值说明 取值含义 值含义 含义 状态 "
    "enum enumeration values valuetable statetext",
    "low": "low 量程下限 量程低 最小值 rangelow rangemin minimum min",
    "high": "high 量程上限 量程高 最大值 rangehigh rangemax maximum max",
    "range": "range 量程 量程范围 测量范围 取值范围 范围 measuringrange",
    "poll": "poll 采集周期 轮询周期 采样周期 扫描周期 刷新周期 周期 pollinterval scaninterval interval cycle",
    "deadband": "deadband 死区",
    "heartbeat": "heartbeat",
    "derived": "derived",
    "access": "access 读写 读写属性 读写权限 访问权限 访问 权限 rw readwrite",
    "device": "device 设备id 设备标识 设备 设备名称 设备名 所属设备 deviceid devicename equipment",
    "device_name_zh": "devicenamezh",
    "device_name_en": "devicenameen",
    "device_address": "deviceaddress",
    "line": "line 线路",
    "system": "system",
    "building": "building",
    "floor": "floor",
    "space": "space",
    "risk": "risk",
}
KNOWN_MIN = 2
"""A row with so many known headings may be the one with the headings."""

_SQUEEZED = re.compile(r"[\s_.\-:/#]+")
_BRACKET = re.compile(r"[(\[](.*?)[)\]]")
_NOT_KNOWN = ("", 0)


@dataclass(frozen=True, slots=True)
class Column:
    """One column. `field` is empty where it is not taken, `aside` what its heading says in brackets."""

    index: int
    heading: str
    field: str
    aside: str = ""

    @property
    def name(self) -> str:
        return column_name(self.index)


@dataclass(frozen=True, slots=True)
class Headings:
    """`row` is where they are, counted from 1."""

    row: int
    columns: tuple[Column, ...]

    def of(self, field: str) -> Column | None:
        return next((column for column in self.columns if column.field == field), None)

    def below(self, sheet: Sheet, constants: Mapping[str, str]) -> Iterator[Cells]:
        """Each row that is not empty, with what is set for the whole list where it says nothing."""
        places = {column.field: column.index for column in self.columns if column.field}
        for row, cells in sheet.numbered():
            if row > self.row and any(cells):
                texts = {field: cells[index] for field, index in places.items() if index < len(cells) and cells[index]}
                yield Cells(row, {**constants, **texts}, sum(map(bool, cells)))


@lru_cache(maxsize=4096)
def squeezed(heading: str) -> tuple[str, str]:
    """A heading as the vocabularies have it, and what stands in brackets beside it."""
    text = plain(heading).lower()
    return _SQUEEZED.sub("", _BRACKET.sub("", text)), " ".join(_BRACKET.findall(text))


def known(row: Sequence[str], vocabulary: Vocabulary, chosen: Mapping[str, str] | None = None) -> int:
    """How many different fields the cells of a row may be headings of."""
    asked, words = _squeezed_keys(chosen or {}), _index(tuple(vocabulary.items()))
    return len({_lookup(cell, words, asked)[0] for cell in row if cell} - {""})


def find(sheet: Sheet, vocabulary: Vocabulary, chosen: Mapping[str, str]) -> Headings:
    """The first row that has the most known headings. `chosen` are fields by heading, in the user's own words.

    Raises `Refused` where there is none, or where two columns have one heading.
    """
    rows = sheet.rows[:TITLES_MAX]
    counts = [known(row, vocabulary, chosen) for row in rows]
    if max(counts, default=0) < KNOWN_MIN:
        first = ", ".join(cell for cell in (rows[0] if rows else ()) if cell)
        raise Refused(f"no row of headings was found (row 1: {first[:60]})", "name columns with --column HEADING=FIELD")
    at = counts.index(max(counts))
    asked, words = _squeezed_keys(chosen), _index(tuple(vocabulary.items()))
    found = [(index, cell, *_lookup(cell, words, asked)) for index, cell in enumerate(rows[at]) if cell]
    best: dict[str, tuple[int, int]] = {}
    for index, heading, field, rank in found:
        if field and (field not in best or rank < best[field][0]):
            best[field] = rank, index
        elif field and rank == best[field][0]:
            raise Refused(f"two columns are headed {heading!r}", f"choose one with --column HEADING={field}")
    columns = (
        Column(index, heading, field if field and best[field][1] == index else "", squeezed(heading)[1])
        for index, heading, field, _ in found
    )
    return Headings(at + 1, tuple(columns))


def _squeezed_keys(chosen: Mapping[str, str]) -> dict[str, str]:
    return {_SQUEEZED.sub("", plain(heading).lower()): field for heading, field in chosen.items()}


@lru_cache(maxsize=16)
def _index(vocabulary: tuple[tuple[str, str], ...]) -> dict[str, tuple[str, int]]:
    """Each word with the field that it is best for, and how good it is there."""
    best: dict[str, tuple[str, int]] = {}
    for field, words in vocabulary:
        for rank, word in enumerate(words.split()):
            if word not in best or rank < best[word][1]:
                best[word] = field, rank
    return best


def _lookup(heading: str, words: Mapping[str, tuple[str, int]], asked: Mapping[str, str]) -> tuple[str, int]:
    """The field and how good a word for it this is: 0 is the best."""
    if asked and (whole := _SQUEEZED.sub("", plain(heading).lower())) in asked:
        return asked[whole], -1
    name, aside = squeezed(heading)
    found = words.get(_SQUEEZED.sub("", name + aside)) if aside else None
    return found or words.get(name, _NOT_KNOWN)
