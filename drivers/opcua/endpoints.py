"""Which of a server's endpoints is used, and which way to say who we are. Pure.

The list of endpoints comes unprotected, so anyone on the way could have shortened it. Therefore it is asked for again
over the protected channel, and must lead to the same choice: nothing is ever done with less than is configured.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, get_args

from asyncua import ua

from drivers.opcua.settings import Policy

if TYPE_CHECKING:
    from collections.abc import Sequence

    from drivers.opcua.settings import OpcuaLine

POLICY_URI = "http://opcfoundation.org/UA/SecurityPolicy#"
POLICIES: tuple[Policy, ...] = get_args(Policy)
_MODES = {"encrypt": ua.MessageSecurityMode.SignAndEncrypt, "sign": ua.MessageSecurityMode.Sign}
_MODE_NAMES = {1: "none", 2: "sign", 3: "encrypt"}
_USERS = {0: "anonymous", 1: "user and password", 2: "user_cert", 3: "tokens of another system"}


class Unsuitable(Exception):
    """The server offers nothing that fits; `hint` is the next step."""

    def __init__(self, what: str, hint: str) -> None:
        super().__init__(f"{what}; {hint}")
        self.what = what
        self.hint = hint


@dataclass(frozen=True, slots=True)
class Choice:
    """An endpoint with security, as far as two lists of them have to agree."""

    policy: Policy
    mode: ua.MessageSecurityMode
    certificate: bytes
    application_uri: str


def choose(offered: Sequence[ua.EndpointDescription], settings: OpcuaLine) -> Choice:
    """The strongest that is configured and offered. Raises `Unsuitable`."""
    mode = _MODES[settings.security]
    wanted = (settings.policy,) if settings.policy else POLICIES
    fitting = {_policy(each): each for each in offered if _is_tcp(each) and each.SecurityMode == mode}
    for policy in wanted:
        if policy in fitting:
            found = fitting[policy]
            uri = found.Server.ApplicationUri or ""
            return Choice(policy, mode, bytes(found.ServerCertificate or b""), uri)
    offers = sorted({f"{_policy(each)} ({_MODE_NAMES.get(each.SecurityMode, '?')})" for each in offered})
    what = f"the server does not offer {' or '.join(wanted)} with security {settings.security}"
    hint = f"it offers {', '.join(offers) or 'nothing'}: enable one in the server"
    raise Unsuitable(what, hint if mode == ua.MessageSecurityMode.Sign else f"{hint}, or write a lower security here")


def check_unchanged(chosen: Choice, offered: Sequence[ua.EndpointDescription], settings: OpcuaLine) -> None:
    """What the server says over the protected channel leads to the same choice. Raises `Unsuitable`.

    Here a server may leave certificate and URI out (OPC 10000-4, 5.7.2): the channel has proved the one, and the
    certificate has the other.
    """
    again = choose(offered, settings)
    given = again.certificate or chosen.certificate, again.application_uri or chosen.application_uri
    if (again.policy, again.mode, *given) != (
        chosen.policy,
        chosen.mode,
        chosen.certificate,
        chosen.application_uri,
    ):
        what = f"somebody changed the list of endpoints on its way: it said {chosen.policy}, the server {again.policy}"
        raise Unsuitable(what, "look for who is between gateway and server")


def tokens(
    offered: Sequence[ua.EndpointDescription], chosen: Choice | None, settings: OpcuaLine
) -> list[ua.UserTokenPolicy]:
    """The server's ways to say who we are that suit the settings. Raises `Unsuitable`."""
    mode = chosen.mode if chosen else ua.MessageSecurityMode.None_
    policy = chosen.policy if chosen else "None"
    here = [each for each in offered if each.SecurityMode == mode and _policy(each) == policy and _is_tcp(each)]
    policies = [token for each in here for token in each.UserIdentityTokens or ()]
    wanted = _wanted(settings)
    if not policies and wanted == ua.UserTokenType.Anonymous:
        return []  # it says nothing of users; then it will say whether it wants one
    found = [token for token in policies if token.TokenType == wanted]
    if not found:
        takes = sorted({_USERS.get(int(token.TokenType), "?") for token in policies})
        what = f"the server does not take {_USERS[int(wanted)]} at this endpoint"
        raise Unsuitable(what, f"it takes {', '.join(takes) or 'nobody'}: write that on the line, or allow it there")
    if wanted == ua.UserTokenType.UserName:
        found = [token for token in found if _is_safe(token, mode)]
    if not found:
        raise Unsuitable("the server wants the password readable for others", "write security: encrypt")
    return found


def _wanted(settings: OpcuaLine) -> ua.UserTokenType:
    if settings.user_cert:
        return ua.UserTokenType.Certificate
    return ua.UserTokenType.UserName if settings.user else ua.UserTokenType.Anonymous


def _is_safe(token: ua.UserTokenPolicy, mode: ua.MessageSecurityMode) -> bool:
    """Whether a password that is sent this way can be read by nobody else."""
    if mode == ua.MessageSecurityMode.SignAndEncrypt:
        return True
    uri = token.SecurityPolicyUri
    return not uri or uri.removeprefix(POLICY_URI) in POLICIES


def _policy(endpoint: ua.EndpointDescription) -> str:
    return (endpoint.SecurityPolicyUri or "").removeprefix(POLICY_URI)


def _is_tcp(endpoint: ua.EndpointDescription) -> bool:
    return (endpoint.EndpointUrl or "").startswith("opc.tcp://")
