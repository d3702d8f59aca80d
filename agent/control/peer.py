"""Who is at the other end of the control socket: user and groups, from the kernel, and the role that these give.

Nothing that a client says about itself counts, and no directory is asked for a decision: the groups are those that the
process had when it connected.
"""

from __future__ import annotations

import asyncio
import grp
import os
import pwd
import socket
import struct
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from agent.events import Actor
from config.model import ROLES

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from aiohttp import web

    from config.model import Role

SO_PEERGROUPS = 59
"""Linux; the module `socket` does not name it."""

GROUPS_BYTES_MAX = 1024
"""The most that `getsockopt` of Python gives: 256 groups. Of who has more, only the first group counts."""

ROOT = 0


class Groups:
    """Which groups give which role. Without any, whoever is let in by the socket's file may acknowledge.

    Root and the daemon's own user may configure: they can change the files anyway. Blocks while it is built, as the
    names of the groups are looked up.
    """

    def __init__(self, by_role: Mapping[Role, Iterable[str]]) -> None:
        self.by_role = {role: tuple(by_role.get(role, ())) for role in ROLES}
        self.is_open = any(self.by_role.values())
        self._roles = {gid: role for role in ROLES for gid in _numbers(self.by_role[role])}

    def role(self, uid: int, gids: Iterable[int]) -> Role | None:
        """The highest."""
        if uid in (ROOT, os.geteuid()):
            return "configure"
        if not self.is_open:
            return "acknowledge"
        return max((self._roles[gid] for gid in gids if gid in self._roles), key=ROLES.index, default=None)

    def advice(self, needed: Role) -> str:
        names = [name for role in ROLES[ROLES.index(needed) :] for name in self.by_role[role]]
        if not names:
            return "use sudo"
        return f"use sudo, or join the group {' or '.join(names)} and log in anew"


@dataclass(frozen=True, slots=True)
class Peer:
    """A process on this machine."""

    uid: int
    role: Role | None
    groups: Groups

    async def actor(self) -> Actor:
        """The name if the user has one here, otherwise the number; a directory that is slow holds up nobody else."""
        return Actor(type="user", id=await asyncio.to_thread(_user_name, self.uid), role=self.role or "none")

    def advice(self, needed: Role) -> str:
        return self.groups.advice(needed)


def identify(request: web.Request, groups: Groups) -> Peer:
    assert request.transport is not None
    handle = request.transport.get_extra_info("socket")
    # A duplicate of our own, because uvloop's stand-in for the socket has no getsockopt().
    with socket.socket(fileno=os.dup(handle.fileno())) as peer:
        uid, gid = _credentials(peer)
        others = _groups(peer)
    return Peer(uid, groups.role(uid, (gid, *others)), groups)


def source_of(peer: socket.socket) -> str:
    """Whom a connection counts for: its user."""
    return f"uid {_credentials(peer)[0]}"


def _credentials(peer: socket.socket) -> tuple[int, int]:
    """User and group."""
    found = peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    _, uid, gid = struct.unpack("3i", found)
    return uid, gid


def _groups(peer: socket.socket) -> tuple[int, ...]:
    try:
        packed = peer.getsockopt(socket.SOL_SOCKET, SO_PEERGROUPS, GROUPS_BYTES_MAX)
    except OSError:
        return ()
    return struct.unpack(f"{len(packed) // 4}I", packed)


def _numbers(names: Iterable[str]) -> Iterator[int]:
    """Of the groups that there are here."""
    for name in names:
        with suppress(KeyError):
            yield grp.getgrnam(name).gr_gid


def _user_name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"
