"""Modbus points in lists that engineers send: registers counted in five ways, types and orders in many spellings.

How registers are counted is one decision for the whole list, from its headings and from all of its rows: `40001` alone
may be a reference of old manuals or a register. Where the list does not decide it, it is refused, not guessed.
"""

from __future__ import annotations

import re
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from config.pointlist.cells import Refused, raise_all, together
from config.pointlist.flow import flow
from drivers.modbus.codings import ORDER_PART, WIDTHS, coding

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from config.pointlist.cells import Cells
    from config.pointlist.headings import Headings, Vocabulary

COLUMNS: Vocabulary = {
    "register": "register 寄存器地址 modbus地址 寄存器 起始地址 起始寄存器 数据地址 点地址 偏移地址 地址偏移 "
    "plc地址 地址 registeraddress registernumber modbusaddress startaddress startregister offsetaddress "
    "plcaddress address addr reg",
    "base": "base",
    "table": "table 寄存器类型 寄存器区 存储区 数据区 区域 读功能码 功能码 功能 区 registertype area readfunction "
    "functioncode function fc func",
    "type": "type 数据类型 数据格式 变量类型 类型 格式 datatype dataformat format",
    "order": "order 字节序 字节顺序 字序 字节排列 byteorder wordorder endianness endian",
    "bit": "bit 位 位号 bit位 比特 bitno bitnumber bitposition",
    "bits": "bits",
    "length": "length 寄存器数 寄存器数量 寄存器个数 字数 长度 数量 个数 numberofregisters registers quantity words "
    "count size",
    "bytes": "bytes 字节数 字节长度",
    "sentinels": "sentinels",
    "factor": "scaleregister",
    "rollover": "rollover",
    "unit_id": "unitid 站号 从站地址 从站号 从站 站地址 单元号 单元标识 slaveid slaveaddress slave "
    "station stationno modbusid",
}
BASES = ("wire", "one", "reference", "hex")
TABLES = {"0": "coil", "1": "discrete", "3": "input", "4": "holding"}
"""By the first digit of a reference."""

FUNCTIONS = {1: "coil", 2: "discrete", 3: "holding", 4: "input"}
WRITES = frozenset({5, 6, 10, 15, 16, 22, 23})
"""Also in hexadecimal."""
AREAS = {
    "holding": "holding holdingregister holdingregisters hr 4x 4xxxx 保持寄存器 保持 4区",
    "input": "input inputregister inputregisters ir 3x 3xxxx 输入寄存器 3区",
    "coil": "coil coils coilstatus 0x 0xxxx 线圈 线圈状态 输出线圈 0区",
    "discrete": "discrete discreteinput discreteinputs inputstatus 1x 1xxxx 离散输入 离散量输入 离散量 输入状态 "
    "离散寄存器 1区",
}
LABELS = {"holding": "h", "input": "i", "coil": "c", "discrete": "d"}
REGISTER_MAX = 0xFFFF

_AREA_BY_NAME = {name: area for area, names in AREAS.items() for name in names.split()}
_NUMBER = re.compile(r"\d+(?:\.0)?")
_HEX = re.compile(r"(?:0x|&h|h'|\$)([0-9a-f]{1,4})'?|([0-9a-f]{1,4})h", re.IGNORECASE)
_BARE_HEX = re.compile(r"[0-9a-f]{1,4}", re.IGNORECASE)
_CROSS = re.compile(r"([0134])x:?(\d{1,5})", re.IGNORECASE)
_BIT = re.compile(r"(.+?)[.:_](?:bit|b)?(\d{1,2})", re.IGNORECASE)
_SPAN = re.compile(r"(.+?)\s*(?:-|~|至|到)\s*(.+)")
_FUNCTION = re.compile(r"(?:fc|f|功能码)?\s*(?:0x)?(\d{1,2})h?(?:\D.*)?")
_EXPONENT = re.compile(r"\d+(\.\d+)?e[+-]?\d+", re.IGNORECASE)
_DATE = re.compile(r"\d{1,2}月\d{1,2}日|\d{1,2}-[A-Za-z]{3}|[A-Za-z]{3}-\d{1,2}|\d{4}[/-]\d{1,2}[/-]\d{1,2}")
_WORDS_OF_BASES = {
    "hex": "hex 十六进制 16进制 h",
    "reference": "plc modicon 4xxxx 40001",
    "one": "1based onebased 从1起 从1开始 1起始",
    "wire": "0based zerobased wire 从0起 从0开始 0起始 protocol 协议地址 dec 十进制",
}


class ModbusListing:
    """See `config.pointlist.listing.Listing`."""

    columns = COLUMNS

    def __init__(self, rows: Sequence[Cells], headings: Headings) -> None:
        self.notes: list[str] = []
        self.wrong: list[Refused] = []
        self.unsaid: list[Refused] = []
        own = [cells for cells in rows if self.is_point(cells)]
        rows_read = list(_readable(own))
        texts = [text for text, _ in rows_read]
        self._has_areas = any((cross := _CROSS.fullmatch(text)) and cross[1] != "0" for text in texts)
        self._base = self._counted_from(own, rows_read, headings)
        self._is_order_known = any(map(_says_order, own))
        self._bits: set[tuple[str, int]] = set()
        if not self._is_order_known:
            self.notes.append("no order of bytes: ABCD, which is the standard's (--set order=CDAB)")

    def is_point(self, cells: Cells) -> bool:
        return cells.has("register")

    def point(self, cells: Cells) -> dict[str, Any]:
        return together(
            lambda: self._placed(cells),
            *(partial(_number, cells, field) for field in ("bits", "rollover") if cells.has(field)),
            *(partial(_flow, cells, field) for field in ("sentinels", "factor") if cells.has(field)),
        )

    def _placed(self, cells: Cells) -> dict[str, Any]:
        """Where it is and how it is coded."""
        written, bit = _split_bit(cells)
        try:
            register, table, span = self._place(written, cells)
        except Refused as refused:
            raise_all((*refused.all, *self._wrong_coding(cells, written, bit)))
            raise
        kind = coding(cells, bit=bit is not None, table=table, span=span)
        found: dict[str, Any] = {"table": table} if table != "holding" else {}
        found["register"] = register
        found |= kind
        self._note_order(found)
        if bit is not None:
            found["bit"] = bit
            self._refuse_again(cells, written, bit)
        return found

    def _wrong_coding(self, cells: Cells, written: str, bit: int | None) -> tuple[Refused, ...]:
        """What is wrong with the type where the place is: told only where the table is sure, and no span is."""
        table = next((area for _, area in _readable([cells])), "")
        try:
            self._note_order(coding(cells, bit=bit is not None, table=table or "holding", span=None))
        except Refused as refused:
            return refused.all if table and not _SPAN.fullmatch(written) else ()
        return ()

    def address(self, cells: Cells) -> dict[str, Any]:
        unit = cells.number("unit_id")
        return {} if unit is None else {"unit": unit}

    def label(self, point: Mapping[str, Any]) -> str:
        bit = f".{point['bit']}" if "bit" in point else ""
        return f"{LABELS[point.get('table', 'holding')]}{point['register']}{bit}"

    def _note_order(self, point: Mapping[str, Any]) -> None:
        """Where a value takes several registers and nothing in the list says which comes first."""
        if not self._is_order_known and WIDTHS.get(point.get("type", "u16"), 1) > 1:
            self._is_order_known = True
            self.unsaid.append(Refused("it is not said in which order registers and bytes come", _SAY_ORDER, "order"))

    def _refuse_again(self, cells: Cells, written: str, bit: int) -> None:
        """Excel makes 40001.10 the number 40001.1."""
        if not cells.has("bit") and (written, bit) in self._bits:
            hint = "write the bit into a column of its own"
            raise Refused(f"bit {bit} of {written} was there before; Excel cuts the 0 of .10", hint, "register")
        self._bits.add((written, bit))

    def _counted_from(self, own: Sequence[Cells], rows: Sequence[tuple[str, str]], headings: Headings) -> str:
        """How registers are counted; empty where the list contradicts itself: nothing is made of its numbers then."""
        try:
            said = _said(own, headings)
            base = said or _by_numbers(rows)
        except Refused as refused:
            self.wrong.append(refused)
            return ""
        self.notes.append(_SAYINGS[base])
        if not said and not all(self._is_plain(text) for text, _ in rows):
            self.unsaid.append(Refused("it is not said how registers are counted", _SAY_BASE, "register"))
        return base

    def _is_plain(self, text: str) -> bool:
        """Whether a register says by itself where it is, however others are counted."""
        first = (span[1] if (span := _SPAN.fullmatch(text)) else text).strip()
        cross = _CROSS.fullmatch(first)
        return bool((cross and (cross[1] != "0" or self._has_areas)) or _HEX.fullmatch(first))

    def _place(self, written: str, cells: Cells) -> tuple[int, str, int | None]:
        """Register on the wire, table, and how many registers the list itself says that it spans."""
        if _DATE.fullmatch(written):
            raise _unreadable(written)
        span = _SPAN.fullmatch(written)
        first, stated = self._one(span[1] if span else written)
        table = _table(cells, stated if self._base or not cells.has("table") else "")
        if span is None:
            return first, table, None
        last, _ = self._one(span[2])
        if not self._base:
            return first, table, None
        if last < first:
            raise Refused(f"found {written!r}, which runs backwards", "write the first register", "register")
        return first, table, last - first + 1

    def _one(self, text: str) -> tuple[int, str]:
        """One register, and its table where the text says that."""
        cross, hexadecimal = _CROSS.fullmatch(text), _HEX.fullmatch(text)
        if cross and (cross[1] != "0" or self._has_areas):
            return _counted(int(cross[2]) - 1, text), TABLES[cross[1]]
        if hexadecimal:
            return int(hexadecimal[1] or hexadecimal[2], 16), ""
        if self._base == "hex" and _BARE_HEX.fullmatch(text):
            return int(text, 16), ""
        if not self._base and _BARE_HEX.fullmatch(text):
            return 0, TABLES[text[0]] if _looks_like_reference(text) else ""
        if not _NUMBER.fullmatch(text):
            raise _unreadable(text)
        if self._base == "reference":
            return _referred(text.partition(".")[0])
        return _counted(int(text.partition(".")[0]) - (self._base == "one"), text), ""


_SAY_BASE = "write (0-based), (1-based), (40001) or (hex) behind the heading, or --set base=wire"
_SAY_ORDER = "write a column order, or --set order=ABCD"
_SAYINGS = {
    "wire": "registers are counted from 0, as on the wire (otherwise --set base=one, base=reference or base=hex)",
    "one": "registers are counted from 1: 1 is 0 on the wire",
    "reference": "registers are references: 40001 is holding register 0 on the wire, 30001 input register 0",
    "hex": "registers are hexadecimal and counted from 0",
}


def _said(rows: Sequence[Cells], headings: Headings) -> str:
    """How registers are counted, as far as a heading or a column says it. Raises `Refused`."""
    said = {base for cells in rows if (base := cells.get("base").lower())}
    if said:
        base = min(said)
        if len(said) > 1 or base not in BASES:
            raise Refused(f"base {base!r}", f"write one of {', '.join(BASES)}", "base")
        return base
    column = headings.of("register")
    heading = re.sub(r"[\s\-_,;/]+", "", (column.aside or column.heading).lower()) if column else ""
    for base, words in _WORDS_OF_BASES.items():
        if any(heading == word or (len(word) > 1 and word in heading) for word in words.split()):
            return base
    return ""


def _readable(rows: Iterable[Cells]) -> Iterator[tuple[str, str]]:
    """Registers as written, and the table beside them; a row that cannot be read says so when its turn comes."""
    for cells in rows:
        with suppress(Refused):
            yield _split_bit(cells)[0], _area(cells.get("table")) if cells.has("table") else ""


def _says_order(cells: Cells) -> bool:
    with suppress(Refused):
        return cells.has("order") or ORDER_PART.search(cells.get("type")) is not None
    return False


def _by_numbers(rows: Sequence[tuple[str, str]]) -> str:
    """From the numbers: references are all of five or six digits, and begin with 0, 1, 3 or 4, as their table says."""
    first = [text.partition("-")[0].partition("~")[0].strip() for text, _ in rows]
    plain = [text.partition(".")[0] for text in first if _NUMBER.fullmatch(text)]
    if any(_BARE_HEX.fullmatch(text) and not _NUMBER.fullmatch(text) for text in first):
        raise Refused(
            "some registers have letters, none has 0x", "write --set base=hex if all are hexadecimal", "register"
        )
    references = [text for text in plain if _looks_like_reference(text)]
    if references and len(references) == len(plain):
        agree = {
            TABLES[text[0]] == table for text, (_, table) in zip(first, rows, strict=True) if table and text.isdigit()
        }
        if len(agree) > 1:
            what = "some registers begin as references of their table do, others do not"
            raise Refused(what, "write --set base=wire or base=reference", "register")
        return "wire" if agree == {False} else "reference"
    if any(int(text) > REGISTER_MAX or text[1:] == "0001" for text in references):
        raise Refused(
            f"{references[0]} looks like a reference, {_other(plain, references)} does not",
            "write --set base=wire or base=reference",
            "register",
        )
    return "wire"


def _number(cells: Cells, field: str) -> dict[str, Any]:
    return {field: cells.number(field)}


def _flow(cells: Cells, field: str) -> dict[str, Any]:
    return {field: flow(cells, field)}


def _other(plain: Sequence[str], references: Sequence[str]) -> str:
    return next((text for text in plain if text not in references), plain[0])


def _looks_like_reference(text: str) -> bool:
    return len(text) in {5, 6} and text[0] in TABLES and int(text[1:]) >= 1


def _referred(text: str) -> tuple[int, str]:
    if not _looks_like_reference(text):
        raise Refused(f"found {text}, no reference", "write one such as 40001, or --set base=wire", "register")
    return _counted(int(text[1:]) - 1, text), TABLES[text[0]]


def _counted(register: int, text: str) -> int:
    if not 0 <= register <= REGISTER_MAX:
        raise Refused(f"found {text}, register {register} on the wire", "a register is 0 to 65535", "register")
    return register


def _unreadable(text: str) -> Refused:
    """Why, where Excel has made it so."""
    if _EXPONENT.fullmatch(text):
        return Refused(f"found {text}, shortened by Excel", "format the column as text and write it again", "register")
    if _DATE.fullmatch(text):
        return Refused(
            f"found {text}, made a date by Excel", "format the column as text and write it again", "register"
        )
    return Refused(f"found {text!r}, no register", "write a number, 0x1F or 4x0001", "register")


def _split_bit(cells: Cells) -> tuple[str, int | None]:
    """The register as written, and the bit from its own column or from behind a point."""
    text = cells.get("register")
    own = cells.number("bit") if cells.has("bit") and cells.get("bit") not in {"-", "/"} else None
    match = _BIT.fullmatch(text)
    if match is None or (own is None and match[2] == "0" and not _is_bit(cells)):
        return text, _as_bit(own)
    if own is not None and own != int(match[2]):
        raise Refused(f"found {text}, and bit {own:g} beside it", "write the bit once", "bit")
    return match[1], _as_bit(int(match[2]))


def _is_bit(cells: Cells) -> bool:
    """`40001.0` is register 40001 from Excel, unless the row is about a bit."""
    return cells.get("type").lower() in {"bit", "bool", "boolean", "位", "开关量", "布尔", "布尔型"}


def _as_bit(number: float | None) -> int | None:
    if number is not None and number not in range(16):
        raise Refused(f"found bit {number:g}", "a register has bits 0 to 15", "bit")
    return None if number is None else int(number)


def _table(cells: Cells, stated: str) -> str:
    """From the function or area in the row, and from the reference; both have to be of one mind."""
    said = _area(cells.get("table")) if cells.has("table") else ""
    if said and stated and said != stated:
        raise Refused(f"the register says {stated}, this says {said}", "correct one of them", "table")
    if not said and not stated:
        raise Refused(
            "no word of holding, input, coil or discrete", "fill in the function, or --set table=holding", "table"
        )
    return said or stated


def _area(text: str) -> str:
    squeezed = re.sub(r"[\s_\-()]+", "", text).lower()
    if squeezed in _AREA_BY_NAME:
        return _AREA_BY_NAME[squeezed]
    parts = [_FUNCTION.fullmatch(part.strip().lower()) for part in re.split(r"[/,;+&]", text)]
    numbers = [int(part[1]) for part in parts if part is not None]
    reads = [FUNCTIONS[number] for number in numbers if number in FUNCTIONS]
    if numbers and not reads and all(number in WRITES for number in numbers):
        raise Refused(f"found function {text}, which writes", "leave it out; wardgate only reads", "table")
    if len(set(reads)) != 1:
        raise Refused(f"found {text!r}", "write 1 to 4, or holding, input, coil or discrete", "table")
    return reads[0]


LISTING = ModbusListing
