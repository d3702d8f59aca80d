"""What may be written in `gateway.yaml` about who may do what: `roles` for this machine, `http` for the network."""

from __future__ import annotations

from ipaddress import ip_address
from pathlib import Path  # noqa: TC003 (pydantic reads it at run time)
from typing import Annotated

from pydantic import AfterValidator, Field, PlainValidator, WithJsonSchema

from config.errors import ConcealedError
from config.fields import HOST_NAME, Id, KeyReference, Spec
from config.model import Role  # noqa: TC001 (pydantic reads it at run time)
from config.outward import ListenAddress
from config.proofs import Proof

PORT_MAX = 65535


def _group(name: str) -> str:
    if not name or any(sign in name for sign in ":/,\n"):
        raise ValueError("not a group; write its name, as in /etc/group")
    return name


GroupName = Annotated[str, AfterValidator(_group)]
GroupNames = Annotated[list[GroupName], Field(max_length=32)]


class RolesSpec(Spec):
    """Groups of this machine. A role may do what those before it may."""

    view: GroupNames = Field(default_factory=list)
    acknowledge: GroupNames = Field(default_factory=list)
    configure: GroupNames = Field(default_factory=list)


def _listen(text: object) -> ListenAddress:
    host, _, port = str(text).rpartition(":")
    try:
        address = ip_address(host.removeprefix("[").removesuffix("]"))
    except ValueError:
        address = None
    if address is None or not port.isdecimal() or not 0 < int(port) <= PORT_MAX:
        raise ValueError('not an address to listen on; write "127.0.0.1:8443", or "0.0.0.0:8443" for every network')
    return ListenAddress(str(address), int(port))


def _proof(text: object) -> Proof:
    try:
        return Proof(str(text))
    except ValueError as error:
        raise ConcealedError(f"{error}; write what `wardgate password` prints, in quotes") from None


class HttpTlsSpec(Spec):
    """What proves the gateway to browsers: PEM files. `cert` may hold a chain, the gateway's own certificate first."""

    cert: Path
    key: KeyReference


class AccountSpec(Spec):
    """Somebody who may come in over the network, with a password or a token."""

    role: Annotated[Role, Field(description="view, acknowledge or configure")]
    hash: Annotated[
        Proof,
        PlainValidator(_proof),
        WithJsonSchema({"type": "string", "pattern": r"^\$(scrypt|sha256)\$"}),
        Field(description='"…", as `wardgate password` prints it'),
    ]


class HttpSpec(Spec):
    """The page, the metrics and the control API on the network."""

    listen: Annotated[
        ListenAddress,
        PlainValidator(_listen),
        WithJsonSchema({"type": "string", "pattern": r"^[0-9.:a-fA-F\[\]]+:\d+$"}),
        Field(description='"127.0.0.1:8443"'),
    ]
    names: Annotated[list[Annotated[str, Field(pattern=HOST_NAME)]], Field(max_length=16)] = Field(default_factory=list)
    tls: HttpTlsSpec | None = None
    accounts: Annotated[dict[Id, AccountSpec], Field(max_length=64)] = Field(default_factory=dict)
