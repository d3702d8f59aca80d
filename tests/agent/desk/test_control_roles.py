"""Who may do what on the control socket: roles by the groups that the kernel names."""

from __future__ import annotations

import asyncio
import grp
import os
import stat
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import TYPE_CHECKING, get_args

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from config_toy import accepted
from fake_desk import FakeDesk, Served, alarm

from agent.control.api import Routes, explain
from agent.control.client import Client, NotDone
from agent.control.peer import Groups, Peer
from agent.control.roles import LOCAL, NEEDED, ORDERS
from agent.control.server import serve
from agent.rules.commands import AlarmVerb
from config.model import ROLES

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from config.model import Role

NOBODY = 65534
ORDER = {"verb": "unshelve", "alarm_id": alarm().alarm_id}
END = {"id": "1"}


class Visitors:
    """The API in front of a fake desk; whoever asks has the role that `role` says at that moment."""

    def __init__(self, desk: FakeDesk, *, remote: bool = False) -> None:
        self.role: Role | None = None
        groups = Groups({"view": ["facility"], "configure": ["bms-admin"]})
        app = web.Application(middlewares=[explain])
        Routes(desk, lambda _: Peer(NOBODY, self.role, groups), remote=remote).add_to(app)
        self.client = TestClient(TestServer(app))

    async def ask(self, role: Role | None, route: str, body: object = None) -> tuple[int, dict[str, str]]:
        self.role = role
        method, _, path = route.partition(" ")
        async with self.client.request(method, path, json=body) as answer:
            return answer.status, await answer.json()


@pytest.fixture
async def visitors(desk: FakeDesk) -> AsyncIterator[Visitors]:
    visitors = Visitors(desk)
    async with visitors.client:
        yield visitors


@pytest.mark.parametrize(
    ("route", "body", "needed"),
    [
        ("GET /v1/status", None, "view"),
        ("GET /v1/points", None, "view"),
        ("POST /v1/read", {"device": "lv-main"}, "acknowledge"),
        ("POST /v1/alarms/order", ORDER, "acknowledge"),
        ("POST /v1/alarms/order", ORDER | {"verb": "out-of-service"}, "configure"),
        ("POST /v1/maintenance/end", END, "acknowledge"),
        ("POST /v1/journal/backup", {"path": "/x"}, "configure"),
    ],
)
async def test_a_request_is_taken_from_its_role_on(
    visitors: Visitors, desk: FakeDesk, route: str, body: object, needed: Role
) -> None:
    """Below it the answer is 403, and the desk hears of nothing but the attempt; from it on it is carried out."""
    for role in (None, *ROLES):
        may = role is not None and ROLES.index(role) >= ROLES.index(needed)
        desk.went.clear()
        code, said = await visitors.ask(role, route, body)
        assert code == (200 if may else 403), (role, said)
        assert [asked for _, asked, _ in desk.went] == ([] if may else [route])
    assert len(desk.actors) + len(desk.backups) <= len(ROLES) - ROLES.index(needed)


async def test_a_refusal_says_who_you_are_what_is_needed_and_what_to_do(visitors: Visitors, desk: FakeDesk) -> None:
    """In one sentence each, and the attempt is told to the records with the same words."""
    code, said = await visitors.ask("view", "POST /v1/alarms/order", ORDER)
    assert (code, said["error"]) == (403, "nobody has the role view; POST /v1/alarms/order needs acknowledge")
    assert said["hint"] == "use sudo, or join the group bms-admin and log in anew"
    assert desk.went == [("nobody", "POST /v1/alarms/order", said["error"])]


async def test_what_names_files_of_the_machine_is_not_offered_from_afar(desk: FakeDesk) -> None:
    """Not even to who may configure."""
    visitors = Visitors(desk, remote=True)
    async with visitors.client:
        for route in LOCAL:
            assert (await visitors.ask("configure", route, {"path": "/x"}))[0] == 404
        assert (await visitors.ask("configure", "GET /v1/status"))[0] == 200


def test_every_verb_and_every_route_has_a_role() -> None:
    """The table is complete, and names nothing that there is not."""
    assert set(ORDERS) == set(get_args(AlarmVerb))
    assert set(NEEDED) >= LOCAL


def test_groups_give_the_highest_role_that_any_of_them_gives() -> None:
    """Who is in none has none; the daemon's user and root may everything; a group that is not here gives nothing."""
    daemon, adm = grp.getgrnam("daemon"), grp.getgrnam("adm")
    groups = Groups({"view": ["daemon", "no-such-group"], "acknowledge": ["adm"]})
    assert groups.role(NOBODY, [NOBODY]) is None
    assert groups.role(NOBODY, [daemon.gr_gid]) == "view"
    assert groups.role(NOBODY, [adm.gr_gid, daemon.gr_gid]) == "acknowledge"
    assert groups.role(0, []) == groups.role(os.geteuid(), []) == "configure"
    assert groups.advice("configure") == "use sudo"


def test_without_roles_the_file_decides_who_may_acknowledge() -> None:
    """Whoever the socket's mode lets in may do what an operator does."""
    assert Groups({}).role(NOBODY, [NOBODY]) == "acknowledge"


def as_nobody(groups: list[int], act: Callable[[], bool]) -> bool:
    """What `act` says in a process of a user without rights, who is in `groups`."""
    child = os.fork()
    if child == 0:
        os.setgroups(groups)
        os.setgid(NOBODY)
        os.setuid(NOBODY)
        os._exit(0 if act() else 1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_the_kernel_names_the_groups(socket_path: Path) -> None:
    """A user of one group may look, of two groups acknowledge, of none nothing; the record names the user."""
    daemon, adm = grp.getgrnam("daemon").gr_gid, grp.getgrnam("adm").gr_gid
    with Served(socket_path, {"view": ["daemon"], "acknowledge": ["adm"]}) as served:
        socket_path.parent.chmod(0o755)
        client = Client(socket_path)

        def looks() -> bool:
            return client.status().site == "h01"

        def acknowledges() -> bool:
            return client.order("ack", alarm().alarm_id).state == "ACKED"

        def refused(act: Callable[[], bool], why: str) -> Callable[[], bool]:
            def tried() -> bool:
                try:
                    return not act()
                except NotDone as error:
                    return why in str(error)

            return tried

        assert as_nobody([daemon], looks)
        assert as_nobody([daemon], refused(acknowledges, "nobody has the role view"))
        assert as_nobody([], refused(looks, "nobody has no role here; GET /v1/status needs view"))
        assert as_nobody([daemon, adm], acknowledges)
        assert [(actor.id, actor.role) for actor in served.desk.actors] == [("nobody", "acknowledge")]


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


async def test_other_roles_count_from_the_next_request_on(desk: FakeDesk, socket_path: Path, tmp_path: Path) -> None:
    """And the file lets in whom they concern; without any it is closed to others again."""
    none = accepted(tmp_path, "devices: {}")
    some = replace(none, roles={"view": ("daemon",)})
    async with serve(desk, socket_path, {}) as rights:
        for config, mode, role in ((some, 0o666, None), (none, 0o660, "acknowledge")):
            async with AsyncExitStack() as undo:
                turn = await rights.prepare(config, undo)
            assert mode_of(socket_path) != mode
            await turn()
            assert mode_of(socket_path) == mode
            assert rights.groups.role(NOBODY, [NOBODY]) == role
        assert (await asyncio.to_thread(Client(socket_path).status)).gateway == "gw-a1"
