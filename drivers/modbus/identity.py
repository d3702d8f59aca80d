"""Who is there: the device identification of Modbus (function 43/14), asked for and understood. Pure."""

from __future__ import annotations

from drivers.contract import Identity

IDENTIFY_PDU = bytes((0x2B, 0x0E, 0x01, 0x00))
"""Basic identification, all objects from the first: vendor, product code, revision."""

_FIXED_BYTES = 6
_OBJECT_BYTES = 2
_VENDOR, _PRODUCT, _REVISION = 0, 1, 2


def identity(payload: bytes) -> Identity:
    """What the reply after its function code says; empty where it is cut short or says something else."""
    if len(payload) < _FIXED_BYTES or payload[0] != IDENTIFY_PDU[1]:
        return Identity()
    objects = _objects(payload)
    return Identity(
        vendor=objects.get(_VENDOR, ""),
        model=objects.get(_PRODUCT, ""),
        firmware=objects.get(_REVISION, ""),
    )


def _objects(payload: bytes) -> dict[int, str]:
    """Texts by object id, as many as are whole: each is an id, a length and so many bytes."""
    found: dict[int, str] = {}
    rest = payload[_FIXED_BYTES:]
    while len(rest) >= _OBJECT_BYTES and len(rest) >= _OBJECT_BYTES + rest[1]:
        end = _OBJECT_BYTES + rest[1]
        found[rest[0]] = rest[_OBJECT_BYTES:end].decode("utf-8", "replace").strip("\0 ")
        rest = rest[end:]
    return found
