"""What comes in over the network: accounts, sessions, tokens, and all that must not come in."""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING

import pytest
from fake_desk import alarm
from page_rig import ANYWHERE, PASSWORD, TOKEN, WITHIN_S, Page, opened, proof

from agent.control.accounts import ACCOUNT_WAIT_S_MAX, SESSION_S, SESSIONS_MAX, Accounts, source_of
from agent.control.lockout import ENTRIES_MAX, FORGET_S, FREE, Lockout
from config.outward import Account, Http

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from fake_desk import FakeDesk

ORDER = {"verb": "ack", "alarm_id": alarm().alarm_id, "comment": "on the way"}


@pytest.fixture
async def page() -> AsyncIterator[Page]:
    async with opened() as page:
        yield page


async def test_nothing_is_shown_before_somebody_is_logged_in(page: Page) -> None:
    """401 with what to do, for every kind of request; the files of the page themselves are no secret."""
    for method, path, body in (
        ("GET", "/v1/status", None),
        ("GET", "/metrics", None),
        ("POST", "/v1/alarms/order", ORDER),
        ("GET", "/v1/tail", None),
    ):
        assert await page.ask(method, path, body) == (
            401,
            {
                "error": "nobody is logged in",
                "hint": "log in on the page, or send a token as Authorization: Bearer",
            },
        )
    assert (page.desk.actors, page.desk.went) == ([], [])
    assert await page.ask("GET", "/v1/me") == (200, {"account": None, "role": None, "accounts": True})


async def test_an_account_acts_under_its_name_and_within_its_role(page: Page) -> None:
    """Who logged in is the actor; what the role does not allow is refused with 403, and both are for the records."""
    assert await page.log_in() == (200, {"account": "anna", "role": "acknowledge", "accounts": True})
    assert (await page.ask("GET", "/v1/status"))[0] == 200
    code, after = await page.ask("POST", "/v1/alarms/order", ORDER)
    assert (code, after["state"]) == (200, "ACKED")
    assert [(actor.id, actor.role) for actor in page.desk.actors] == [("anna", "acknowledge")]
    code, said = await page.ask("POST", "/v1/alarms/order", ORDER | {"verb": "out-of-service"})
    assert (code, said["error"]) == (403, "anna has the role acknowledge; out-of-service needs configure")
    assert page.desk.came == [("anna", "page from 127.0.0.1")]
    assert [(who, what) for who, what, _ in page.desk.went] == [("anna", "POST /v1/alarms/order")]


async def test_a_session_ends_by_logging_out_or_after_a_shift(page: Page) -> None:
    """Its cookie is worth nothing afterwards, also where somebody kept it."""
    await page.log_in()
    kept = {"Cookie": "; ".join(f"{cookie.key}={cookie.value}" for cookie in page.browser.cookie_jar)}
    assert (await page.ask("POST", "/v1/logout", {}))[1]["account"] is None
    assert (await page.ask("GET", "/v1/status", headers=kept))[0] == 401
    await page.log_in()
    page.clock.advance(SESSION_S)
    assert (await page.ask("GET", "/v1/status"))[0] == 401


async def test_a_program_shows_a_token(page: Page) -> None:
    """Prometheus needs no session; a wrong token, and a password in its place, are refused."""
    assert (await page.ask("GET", "/v1/status", headers={"Authorization": f"Bearer {TOKEN}"}))[0] == 200
    for wrong in (TOKEN[:-1], PASSWORD, ""):
        assert (await page.ask("GET", "/v1/status", headers={"Authorization": f"Bearer {wrong}"}))[0] == 401
    assert (await page.log_in("prometheus", TOKEN))[0] == 401


async def test_guessing_gets_slower_and_slower(page: Page) -> None:
    """After some free tries there is a wait, during which not even the right password is looked at; then it is."""
    for _ in range(FREE + 1):
        assert (await page.log_in(password="wrong but long enough"))[0] == 401
    code, said = await page.log_in()
    assert (code, said["error"]) == (429, "too many tries that failed")
    assert re.fullmatch(r"wait \d+ s", str(said["hint"]))
    assert (await page.ask("GET", "/v1/status", headers={"Authorization": f"Bearer {TOKEN}"}))[0] == 429
    page.clock.advance(ACCOUNT_WAIT_S_MAX)
    assert (await page.log_in())[0] == 200
    assert [(who, what) for who, what, _ in page.desk.went] == [("anna", "login")] * (FREE + 1)


async def test_a_name_that_is_no_account_is_written_nowhere(page: Page) -> None:
    """People type their password where the name belongs; such a try costs the source, and nobody else."""
    for _ in range(FREE + 1):
        assert (await page.log_in(PASSWORD, PASSWORD))[0] == 401
    assert PASSWORD not in str(page.desk.went)
    assert {who for who, _, _ in page.desk.went} == {"unknown"}


async def test_many_tries_at_once_gain_nothing(desk: FakeDesk) -> None:
    """All but the free ones are refused before a password is looked at."""
    many = Accounts({"anna": Account("view", proof())}, desk, lambda: 1000.0)
    tries = (many.log_in("anna", f"wrong password {n}", f"10.0.0.{n}") for n in range(20))
    said = [type(each).__name__ for each in await asyncio.gather(*tries, return_exceptions=True)]
    assert (said.count("NotProved"), said.count("TooManyTries")) == (FREE + 1, 20 - FREE - 1)


async def test_sessions_are_bounded(desk: FakeDesk) -> None:
    """The oldest one ends where there are too many."""
    token = {"anna": Account("view", proof())}
    accounts = Accounts(token, desk, lambda: 1000.0)
    first = await accounts.log_in("anna", PASSWORD, "10.0.0.1")
    await asyncio.gather(*(accounts.log_in("anna", PASSWORD, f"10.0.1.{n}") for n in range(2)))
    assert accounts.by_session(first) is not None
    for _ in range(SESSIONS_MAX):
        accounts._remember(accounts.by_session(first) or pytest.fail("it ended too early"))
        if len(accounts._sessions) == SESSIONS_MAX:
            break
    await accounts.log_in("anna", PASSWORD, "10.0.0.1")
    assert accounts.by_session(first) is None


def test_failures_are_bounded_and_forgotten() -> None:
    """The wait doubles up to its limit; an hour of quiet, or a success, begins anew; memory does not grow."""
    lockout = Lockout(60.0)
    waits = []
    for _ in range(FREE + 8):
        lockout.failed("a", 0.0)
        waits.append(lockout.wait_s("a", 0.0))
    assert waits == [0.0] * FREE + [2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0, 60.0]
    assert lockout.wait_s("a", 30.0) == 30.0
    assert lockout.wait_s("a", FORGET_S) == 0.0
    lockout.succeeded("a")
    assert lockout.wait_s("a", 0.0) == 0.0
    for number in range(2 * ENTRIES_MAX):
        lockout.failed(str(number), 0.0)
    assert len(lockout._failures) == ENTRIES_MAX


def test_a_machine_with_many_addresses_is_one_source() -> None:
    """IPv6 hands a whole network to each machine."""
    assert source_of("2001:db8::1") == source_of("2001:db8::ffff:1") == "2001:db8::/64"
    assert source_of("fe80::1%eth0") == "fe80::/64"
    assert source_of("::ffff:10.0.0.5") == source_of("10.0.0.5") == "10.0.0.5"


@pytest.mark.parametrize(
    ("headers", "error"),
    [
        ({"Host": "evil.example"}, "the gateway is not called that"),
        ({"Host": "[::"}, "the gateway is not called that"),
        ({"Origin": "https://evil.example"}, "another page asks for this"),
        ({"Origin": "null"}, "another page asks for this"),
        ({"Sec-Fetch-Site": "cross-site"}, "another page asks for this"),
    ],
)
async def test_a_foreign_page_gains_nothing(page: Page, headers: dict[str, str], error: str) -> None:
    """Neither by a name that was made to lead here, nor by a form or a script of its own; though one is logged in."""
    await page.log_in()
    code, said = await page.ask("POST", "/v1/alarms/order", ORDER, headers)
    assert (code, said["error"]) == (403, error)
    assert page.desk.actors == []


async def test_a_form_cannot_be_sent_here(page: Page) -> None:
    """Only JSON is taken, which no foreign page can send without asking first; and asking first is not answered."""
    await page.log_in()
    code, _ = await page.ask("POST", "/v1/alarms/order", headers={"Content-Type": "text/plain"})
    assert code == 415
    ask_first = {"Access-Control-Request-Method": "POST", "Content-Type": "application/json"}
    assert (await page.ask("OPTIONS", "/v1/alarms/order", headers=ask_first))[0] == 405


async def test_names_of_its_own_are_taken() -> None:
    """Those that are configured, addresses and localhost."""
    async with opened(Http(ANYWHERE, names=("gw-1.h01.example",))) as page:
        for name in ("gw-1.h01.example", "gw-1.h01.example:8443", "localhost", "[::1]:1", "10.20.0.7"):
            assert (await page.ask("GET", "/v1/status", headers={"Host": name}))[0] == 200, name


async def test_without_accounts_one_may_look_and_nothing_else() -> None:
    """On loopback only, as the configuration sees to; the refusal says how to get further."""
    async with opened(Http(ANYWHERE)) as page:
        assert await page.ask("GET", "/v1/me") == (200, {"account": None, "role": "view", "accounts": False})
        code, said = await page.ask("POST", "/v1/alarms/order", ORDER)
        assert (code, said["error"]) == (403, "guest has the role view; POST /v1/alarms/order needs acknowledge")
        assert "http.accounts" in str(said["hint"])
        assert (await page.log_in())[0] == 401


async def test_every_answer_is_hardened(page: Page) -> None:
    """Whatever the code: no foreign content, no frame, no guessing of types, nothing kept, no word of what runs."""
    for path in ("/", "/v1/me", "/v1/status", "/nothing"):
        url = f"http://127.0.0.1:{page.port}{path}"
        async with page.browser.get(url) as answer:
            policy = answer.headers["Content-Security-Policy"]
            assert "default-src 'none'" in policy
            assert "unsafe" not in policy
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
            assert answer.headers["X-Frame-Options"] == "DENY"
            assert answer.headers["Cache-Control"] in ("no-store", "no-cache")
            assert answer.headers["Server"] == "wardgate"
            assert not any(name.startswith("Access-Control") for name in answer.headers)


async def test_a_body_is_bounded(page: Page) -> None:
    """In its size."""
    code, _ = await page.ask("POST", "/v1/login", {"account": "anna", "password": "x" * 70_000})
    assert code == 413


async def test_the_cookie_is_for_this_page_alone(page: Page) -> None:
    """No script reads it, no other page sends it."""
    body = {"account": "anna", "password": PASSWORD}
    async with (
        asyncio.timeout(WITHIN_S),
        page.browser.post(f"http://127.0.0.1:{page.port}/v1/login", json=body) as answer,
    ):
        cookie = answer.headers["Set-Cookie"]
    assert {"HttpOnly", "SameSite=Strict", "Path=/"} <= set(cookie.split("; "))
