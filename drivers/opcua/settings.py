"""What may be written for OPC UA: a line (one endpoint), a device behind it, a point (one node). Opens nothing."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, ClassVar, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, WithJsonSchema, model_validator

from config.fields import OwnAddress
from config.files import AddressSpec, Duration, KeyReference, LineSpec, Password, PointSpec, Protocol
from drivers.expectation import Expectation
from drivers.opcua import nodes, parts
from drivers.opcua.conditions import HIDDEN, LEVELS

PORT = 4840

Policy = Literal["Aes256_Sha256_RsaPss", "Aes128_Sha256_RsaOaep", "Basic256Sha256"]
"""The strongest first. Basic128Rsa15 and Basic256 were withdrawn, and are not spoken."""


def _endpoint(text: str) -> str:
    """The URL with its port. Raises `ValueError`."""
    parts = urlsplit(text)
    if parts.scheme != "opc.tcp" or not parts.hostname:
        raise ValueError(f"not an OPC UA endpoint; write opc.tcp://HOST:{PORT}/PATH")
    if "@" in parts.netloc:
        raise ValueError("user names and passwords do not belong in the URL; write the URL without them")
    if parts.query or parts.fragment:
        raise ValueError("an OPC UA endpoint has neither ? nor #")
    return text if parts.port is not None else parts._replace(netloc=f"{parts.netloc.rstrip(':')}:{PORT}").geturl()


def _node(text: str) -> str:
    nodes.parse(text)
    return text.strip()


def _part(text: str) -> str:
    parts.parse(text)
    return text


def _deadband(written: float | str) -> float | str:
    """A number above 0, or percent of the range: `2%`. Raises `ValueError`."""
    text = str(written).strip()
    number, percent = text.removesuffix("%"), text.endswith("%")
    try:
        size = float(number)
    except ValueError:
        raise ValueError("not a deadband; write a number such as 0.5, or a part of the range such as 2%") from None
    if not 0 < size <= (100 if percent else float("inf")):
        raise ValueError("not a deadband; write more than 0, and at most 100%")
    if percent:
        return f"{size:g}%"
    if isinstance(written, str):
        raise ValueError(f"a text where a number stands; write {size:g}, or {size:g}%")  # noqa: TRY004 (pydantic collects ValueError only)
    return size


class OpcuaLine(LineSpec):
    """One endpoint of one OPC UA server.

    `subscribe` lets the server report changes; `read` asks for all values of a device in one batch, for servers without
    subscriptions. `publishing` is how often the server may report. It also decides how soon a dead server is found, so
    it is at most 4 s: slow values are made cheap with `sampling` of the point.

    `security` is what messages are protected by, and never less than is written; `policy` is the strongest that the
    server offers unless one is named. Without `user` or `user_cert` the gateway is anonymous. `bind` is the address of
    this machine that connections leave from.
    """

    protocol: Literal["opcua"] = "opcua"
    url: Annotated[str, AfterValidator(_endpoint)]
    bind: OwnAddress | None = None
    mode: Literal["subscribe", "read"] = "subscribe"
    publishing: Annotated[Duration, Field(ge=0.05, le=4)] = 0.5
    security: Literal["encrypt", "sign", "none"] = "encrypt"
    policy: Policy | None = None
    user: Annotated[str, Field(min_length=1, max_length=256)] | None = None
    password: Password | None = None
    user_cert: Path | None = None
    user_key: KeyReference | None = None

    @property
    def endpoint(self) -> str:
        return self.url

    @model_validator(mode="after")
    def _whole(self) -> OpcuaLine:
        if (self.user is None) != (self.password is None):
            raise ValueError("user or password is missing; write both")
        if (self.user_cert is None) != (self.user_key is None):
            raise ValueError("user_cert or user_key is missing; write both")
        if self.user and self.user_cert:
            raise ValueError("two users; write user and password, or user_cert and user_key")
        if self.security == "none" and (self.user or self.user_cert):
            raise ValueError("a user without security, so anyone could listen; write security: encrypt")
        if self.security == "none" and self.policy:
            raise ValueError("a policy without security; write security: encrypt, or remove policy")
        return self


_FITTING = {
    "active": "bool",
    "acked": "bool",
    "severity": "integer",
    "message": "string",
    "level": "enum",
    "hidden": "enum",
}
_STATES = {"level": LEVELS, "hidden": HIDDEN}


class OpcuaPoint(PointSpec):
    """One node, or with `part` one element of its array or field of its structure.

    With `alarm` the point follows the alarms of the node instead (or of the condition that the node is), only the one
    with the name `condition` if that is given: whether one is active, whether all are acknowledged, whether the server
    hides all of them from its operators and how, or of the most severe the severity, the message, or the limit passed.

    `publishing` is how often its changes may be reported, the line's if left out; `sampling` how often the
    server looks at it, once per publishing interval if left out.

    `server_deadband` has the server keep smaller changes to itself: a number in the unit of the point, or a part of the
    range that the node has for engineering units. Unlike `deadband` it is also hidden from the alarms.
    """

    node: Annotated[str, AfterValidator(_node)]
    part: Annotated[str, AfterValidator(_part)] | None = None
    publishing: Annotated[Duration, Field(ge=0.05, le=3600)] | None = None
    sampling: Annotated[Duration, Field(ge=0.01, le=3600)] | None = None
    server_deadband: (
        Annotated[
            float | str, AfterValidator(_deadband), WithJsonSchema({"anyOf": [{"type": "number"}, {"type": "string"}]})
        ]
        | None
    ) = None
    alarm: Literal["active", "acked", "severity", "message", "level", "hidden"] | None = None
    condition: Annotated[str, Field(min_length=1, max_length=200)] | None = None

    @model_validator(mode="before")
    @classmethod
    def _named(cls, written: object) -> object:
        """The states of a level, and of what hides an alarm, are always the same, and need not be written."""
        if isinstance(written, Mapping) and written.get("alarm") in _STATES:
            return {"value": "enum", "states": _STATES[written["alarm"]], **written}
        return written

    @model_validator(mode="after")
    def _alarm_or_value(self) -> OpcuaPoint:
        if self.alarm is None:
            if self.condition is not None:
                raise ValueError("condition without alarm; write alarm: active beside it")
            return self
        fitting = _FITTING[self.alarm]
        if self.value != fitting:
            raise ValueError(f"alarm: {self.alarm} is not of this type; write value: {fitting}")
        if self.part or self.publishing or self.sampling or self.server_deadband:
            raise ValueError("an alarm is reported at once; remove part, publishing, sampling and server_deadband")
        return self

    @property
    def where(self) -> str:
        return self.node


class CheckSpec(OpcuaPoint, Expectation):
    """A node by which a device is recognized: its own, or that of a point of the device."""

    node: Annotated[str, AfterValidator(_node)] = ""
    point: str = ""

    @model_validator(mode="after")
    def _one_place(self) -> CheckSpec:
        if bool(self.node) == bool(self.point):
            raise ValueError("node: write either node, or point with the id of one of the device's points")
        if self.alarm is not None:
            raise ValueError("alarm: alarms come and go and tell no device; name a node")
        return self

    @property
    def where(self) -> str:
        return self.node or self.point


class OpcuaAddress(AddressSpec):
    """A device behind the endpoint: its points carry whole NodeIds, so there is nothing to add.

    Until it has shown what `expect` says, all of its points are `config_error`.
    """

    identity: ClassVar[tuple[str, ...]] = ()

    expect: tuple[CheckSpec, ...] = ()


PROTOCOL = Protocol(OpcuaLine, OpcuaAddress, OpcuaPoint)
