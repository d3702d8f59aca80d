"""Is this the device that its profile describes? Asked before the first value of a connection is believed.

A swapped, exchanged or wrongly addressed device answers too, with numbers that mean something else. So a profile names
registers whose content gives it away: a fixed number, or a value that can only lie in one range. What such a register
cannot tell now (no value, a device without function 43) is no objection; what contradicts is, until it is put right.
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, NamedTuple

from drivers.expectation import contradiction
from drivers.modbus.decode import BlockDecoder
from drivers.modbus.identity import IDENTIFY_PDU, identity
from drivers.modbus.plan import plan
from drivers.modbus.replies import NoReply

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from drivers.contract import Identity, Quality
    from drivers.modbus.plan import Block
    from drivers.modbus.settings import CheckSpec, IdentitySpec, ModbusAddress

    Exchange = Callable[[bytes, int | None], Awaitable[bytes]]


class _Check(NamedTuple):
    """One register that gives the device away."""

    spec: CheckSpec
    block: Block
    decoder: BlockDecoder


class Verification:
    """What one device has to show. `is_due` until it has."""

    def __init__(self, address: ModbusAddress) -> None:
        self._checks = [_compiled(spec, address) for spec in address.expect]
        self._identity = address.identification
        self._knows_identification = True
        self.is_due = self.is_wanted

    @property
    def is_wanted(self) -> bool:
        return bool(self._checks) or self._identity is not None

    def reset(self) -> None:
        """Another connection, or it was silent: it may be another device."""
        self.is_due = self.is_wanted

    async def run(self, exchange: Exchange) -> Quality | None:
        """What contradicts, or None. Raises `NoReply` where the device is silent."""
        for check in self._checks:
            objection = await _objection(check, exchange)
            if objection is not None:
                return objection
        if self._identity is not None and self._knows_identification:
            objection = await self._identify(self._identity, exchange)
            if objection is not None:
                return objection
        self.is_due = False
        return None

    async def _identify(self, wanted: IdentitySpec, exchange: Exchange) -> Quality | None:
        try:
            found = identity(await exchange(IDENTIFY_PDU, None))
        except NoReply:
            self._knows_identification = False
            return None
        return _contradiction(wanted, found)


async def _objection(check: _Check, exchange: Exchange) -> Quality | None:
    try:
        raw = await exchange(check.block.pdu, check.block.size_bytes)
    except NoReply as reply:
        if reply.silent:
            raise
        if not reply.refuses and reply.quality.reason != "config_error":
            return reply.quality
        return None if check.spec.may_lack else contradiction(f"{check.spec.where}: {reply.quality.raw}")
    (value,), _ = check.decoder.decode(raw)
    return check.spec.judged(value)


def _contradiction(wanted: IdentitySpec, found: Identity) -> Quality | None:
    for key in ("vendor", "model", "firmware"):
        pattern, told = getattr(wanted, key), getattr(found, key)
        if pattern is not None and told and not fnmatchcase(told, pattern):
            return contradiction(f"{key} is {told}")
    return None


def _compiled(spec: CheckSpec, address: ModbusAddress) -> _Check:
    point = spec.alone
    (block,) = plan((point,), address)
    return _Check(spec, block, BlockDecoder(block, (point,)))
