"""Types and orders of Modbus values as lists spell them, checked against the number of registers that they state."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, get_args

from config.pointlist.cells import Refused
from drivers.modbus.settings import BIT_TABLES, WORDS, Coding, Order

if TYPE_CHECKING:
    from config.pointlist.cells import Cells

SPELLINGS = {
    "u16": "u16 uint16 unsigned16 ushort unsignedshort word uint16t 无符号16位 16位无符号 无符号16位整数 "
    "16位无符号整数 16位无符号整型 无符号短整型 无符号短整数 无符号16位整型",
    "i16": "i16 int16 s16 signed16 sint16 short shortint int16t 有符号16位 16位有符号 有符号16位整数 16位有符号整数 "
    "16位有符号整型 有符号短整型 短整型 短整数 有符号16位整型",
    "u32": "u32 uint32 unsigned32 dword udint ulong unsignedlong uint32t 无符号32位 32位无符号 无符号32位整数 "
    "32位无符号整数 32位无符号整型 无符号长整型 无符号长整数 双字 无符号32位整型",
    "i32": "i32 int32 s32 signed32 sint32 dint long longint int32t 有符号32位 32位有符号 有符号32位整数 32位有符号整数 "
    "32位有符号整型 有符号长整型 长整型 长整数 双整型 有符号32位整型",
    "u64": "u64 uint64 unsigned64 qword ulint lword uint64t 无符号64位 64位无符号 64位无符号整数",
    "i64": "i64 int64 s64 signed64 lint int64t 有符号64位 64位有符号 64位有符号整数",
    "f32": "f32 float32 real real32 single ieee754 float32bit 32位浮点 32位浮点数 32位浮点型 单精度 单精度浮点 "
    "单精度浮点数 单精度浮点型 32bitfloat ieeefloat",
    "f64": "f64 float64 lreal real64 double doublefloat 64位浮点 64位浮点数 双精度 双精度浮点 双精度浮点数 "
    "双精度浮点型",
    "bcd16": "bcd16",
    "bcd32": "bcd32",
    "bcd64": "bcd64",
    "bit": "bit bool boolean 位 开关量 布尔 布尔型 布尔量 bool型 数字量 digital di do",
    "string": "string ascii char 字符串 字符 字符型",
    **{name: name for name in ("time_unix", "time_6", "time_3", "time_cp56")},
}
BY_LENGTH = {
    "int integer 整型 整数 整形 有符号 有符号整型 有符号整数 signed": {1: "i16", 2: "i32", 4: "i64"},
    "uint unsigned unsignedint 无符号 无符号整型 无符号整数": {1: "u16", 2: "u32", 4: "u64"},
    "float 浮点 浮点数 浮点型 实数 浮点值": {2: "f32", 4: "f64"},
    "bcd bcd码": {1: "bcd16", 2: "bcd32", 4: "bcd64"},
}
"""What has its width from the number of registers."""

IEC = {
    "int": "i16",
    "uint": "u16",
    "float": "f32",
    "浮点": "f32",
    "浮点数": "f32",
    "浮点型": "f32",
    "浮点值": "f32",
    "实数": "f32",
}
"""Where nothing says the width: IEC 61131-3 gives INT and UINT 16 bits, and a float has 32 unless it is said."""

ORDERS = {
    "ABCD": "abcd 1234 bigendian big 大端 大端模式 高字在前 高字先 highwordfirst",
    "CDAB": "cdab 3412 wordswap wordswapped 低字在前 低字先 字交换 lowwordfirst",
    "BADC": "badc 2143 byteswap byteswapped 字节交换",
    "DCBA": "dcba 4321",
}
"""Little-endian is not here: some mean CDAB by it, and some DCBA."""

ORDER_PART = re.compile(r"\b(abcd|cdab|badc|dcba|1234|3412|2143|4321)\b", re.IGNORECASE)
WIDTHS: dict[str, int] = {str(name): words for name, words in WORDS.items()}
TEXTS_MAX = 125

_BY_SPELLING = {spelling: name for name, spellings in SPELLINGS.items() for spelling in spellings.split()}
_BY_LENGTH = {spelling: widths for spellings, widths in BY_LENGTH.items() for spelling in spellings.split()}
_BY_ORDER = {spelling: order for order, spellings in ORDERS.items() for spelling in spellings.split()}
_TEXT = re.compile(r"(?:string|ascii|char|字符串)\D*(\d+)")


def coding(cells: Cells, *, bit: bool, table: str, span: int | None) -> dict[str, Any]:
    """`type`, and `order` and `length` where there is anything to say. Raises `Refused`."""
    written = cells.get("type")
    if table in BIT_TABLES:
        if written and _BY_SPELLING.get(_squeezed(written)) != "bit":
            raise Refused(f"found {written!r}, and a {table} holds one bit", "correct the type or the address", "type")
        return {}
    order = ORDER_PART.search(written)
    told = _squeezed(ORDER_PART.sub("", written) if order and _squeezed(written) not in _BY_SPELLING else written)
    words = _length(cells, span)
    name = _name(told, words, written) if told else ("bit" if bit else "")
    if not name:
        raise Refused("no type", "fill it in, or --set type=u16", "type")
    if (name == "bit") != bit:
        hint = "write the bit: 40001.3, or a column bit" if name == "bit" else "write bit, or leave the bit out"
        raise Refused(f"found {written!r}" + (" and no bit" if name == "bit" else " and a bit"), hint, "type")
    found: dict[str, Any] = {"type": name} if name != "u16" else {}
    if name == "string":
        found["length"] = _text_length(told, words)
    elif name != "bit" and words not in {None, WIDTHS[name]}:
        raise Refused(f"{name} takes {WIDTHS[name]} registers, the list says {words}", "correct one of them", "length")
    said = _order(cells, order[1] if order else "")
    return found | ({"order": said} if said not in {"", "ABCD"} else {})


def _name(told: str, words: int | None, written: str) -> str:
    if told in _BY_SPELLING:
        return _BY_SPELLING[told]
    if _TEXT.fullmatch(told):
        return "string"
    widths = _BY_LENGTH.get(told)
    if widths is None:
        known = ", ".join(name for name in get_args(Coding))
        raise Refused(f"found {written!r}, no type that we know", f"write one of {known}", "type")
    found = widths.get(words or 0, IEC.get(told, "") if words is None else "")
    if not found:
        said = "with how many registers?" if words is None else f"in {words} registers"
        raise Refused(f"found {written!r} {said}", f"write {' or '.join(widths.values())}", "type")
    return found


def _length(cells: Cells, span: int | None) -> int | None:
    """How many registers the list says that the value takes."""
    stated = {span} if span is not None else set()
    if cells.has("length"):
        stated.add(_whole(cells, "length"))
    if cells.has("bytes"):
        size = _whole(cells, "bytes")
        stated.add((size + 1) // 2)
    if len(stated) > 1:
        raise Refused(f"{' and '.join(map(str, sorted(stated)))} registers", "correct one of them", "length")
    return stated.pop() if stated else None


def _whole(cells: Cells, field: str) -> int:
    number = cells.number(field)
    if number is None or number != int(number) or not 1 <= number <= 2 * TEXTS_MAX:
        raise Refused(f"found {cells.get(field)}", "write a whole number of them", field)
    return int(number)


def _text_length(told: str, words: int | None) -> int:
    match = _TEXT.fullmatch(told)
    length = words or ((int(match[1]) + 1) // 2 if match else None)
    if length is None or length > TEXTS_MAX:
        raise Refused("a text of how many registers?", "write it into the column length", "length")
    return length


def _order(cells: Cells, aside: str) -> Order | str:
    written = _squeezed(cells.get("order"))
    orders = {_BY_ORDER.get(said, "") for said in (written, aside.lower()) if said and said not in {"-", "/"}}
    if "" in orders:
        raise Refused(f"found {cells.get('order')!r}", f"write one of {', '.join(get_args(Order))}", "order")
    if len(orders) > 1:
        raise Refused(f"found {cells.get('order')}, and {aside} in the type", "correct one of them", "order")
    return orders.pop() if orders else ""


def _squeezed(text: str) -> str:
    return re.sub(r"[\s\-_()\[\]/,]+", "", text).lower() if not text.lower().startswith("time_") else text.lower()
