"""The TCP listener: TLS and its renewal, bounds on connections and time, and a port that is taken."""

from __future__ import annotations

import asyncio
import socket
import ssl
import time
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
import uvloop
from certificates import HOUR, Authority, Issued
from cryptography import x509
from page_rig import ANYWHERE, PASSWORD, WITHIN_S, Page, accounts, opened

from agent.control import listener
from agent.control.gate import Limits
from agent.control.listener import RENEW_S, RETRY_S
from config.outward import Http, ListenAddress
from config.secrets import Secret

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(WITHIN_S):
        while not condition():
            await asyncio.sleep(0.005)


async def while_time_goes_on(page: Page, step_s: float, condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(WITHIN_S):
        while not condition():
            page.clock.advance(step_s)
            await asyncio.sleep(0.005)


async def connected(page: Page) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection("127.0.0.1", page.port)


async def ended(reader: asyncio.StreamReader) -> None:
    """The other side closes or cuts, whatever it says before."""
    async with asyncio.timeout(WITHIN_S):
        with suppress(ConnectionError):
            await reader.read()


def with_tls(issued: Issued) -> Http:
    return Http(ANYWHERE, cert=issued.cert, key=Secret("file", str(issued.key)), accounts=accounts())


async def serial(page: Page, ca: Path) -> str:
    """That of the certificate which the page shows."""
    context = ssl.create_default_context(cafile=ca)
    _, writer = await asyncio.open_connection("127.0.0.1", page.port, ssl=context)
    shown = writer.get_extra_info("peercert")["serialNumber"]
    writer.close()
    with suppress(ConnectionError, ssl.SSLError):
        await writer.wait_closed()
    return str(shown)


@pytest.mark.parametrize("factory", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_over_tls_the_cookie_is_secure(tmp_path: Path, factory: Callable[[], asyncio.AbstractEventLoop]) -> None:
    """On both event loops: chain and name hold, and the cookie is for this host over TLS alone."""
    authority = Authority(tmp_path)

    async def log_in() -> str:
        async with opened(with_tls(authority.issue("127.0.0.1"))) as page:
            page.scheme, page.tls = "https", ssl.create_default_context(cafile=authority.ca)
            url = f"https://127.0.0.1:{page.port}/v1/login"
            body = {"account": "anna", "password": PASSWORD}
            async with page.browser.post(url, json=body, ssl=page.tls) as answer:
                cookie = answer.headers["Set-Cookie"]
            assert (await page.ask("GET", "/v1/status"))[0] == 200
            return cookie

    with asyncio.Runner(loop_factory=factory) as runner:
        cookie = runner.run(log_in())
    assert cookie.startswith("__Host-wardgate=")
    assert {"Secure", "HttpOnly", "SameSite=Strict"} <= set(cookie.split("; "))


async def test_a_renewed_certificate_is_taken_up(tmp_path: Path) -> None:
    """Without a restart; one that does not fit its key is a condition, and the old one goes on."""
    authority = Authority(tmp_path)
    issued = authority.issue("127.0.0.1", end=24 * HOUR)
    async with opened(with_tls(issued)) as page:
        first = await serial(page, authority.ca)
        other = authority.issue("127.0.0.1", end=24 * HOUR, file="other")
        issued.cert.write_bytes(other.cert.read_bytes())
        await while_time_goes_on(page, RENEW_S, lambda: "certificate_unusable" in page.conditions())
        assert await serial(page, authority.ca) == first
        issued.key.write_bytes(other.key.read_bytes())
        await while_time_goes_on(page, RENEW_S, lambda: "certificate_unusable" not in page.conditions())
        assert await serial(page, authority.ca) != first
        page.clock.set_wall(time.time() + 20 * 3600)
        await while_time_goes_on(page, RENEW_S, lambda: "certificate_expires" in page.conditions())


async def test_a_certificate_renewed_while_the_page_opens_is_taken_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Files that are replaced just after they were read are not taken for those that are in use."""
    authority = Authority(tmp_path)
    issued = authority.issue("127.0.0.1", end=24 * HOUR)
    other = authority.issue("127.0.0.1", end=24 * HOUR, file="other")
    read = listener._context

    def read_and_replaced(settings: Http) -> ssl.SSLContext:
        context = read(settings)
        issued.cert.write_bytes(other.cert.read_bytes())
        issued.key.write_bytes(other.key.read_bytes())
        return context

    monkeypatch.setattr(listener, "_context", read_and_replaced)
    async with opened(with_tls(issued)) as page:
        renewed = x509.load_pem_x509_certificate(other.cert.read_bytes()).serial_number
        async with asyncio.timeout(WITHIN_S):
            while int(await serial(page, authority.ca), 16) != renewed:
                await asyncio.sleep(0.005)


async def test_a_taken_port_is_a_condition_and_is_tried_again() -> None:
    """The gateway goes on without its page, says why, and opens it as soon as that is possible."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        async with opened(Http(ListenAddress("127.0.0.1", port)), wait=False) as page:
            await until(lambda: "page_down" in page.conditions())
            assert page.conditions()["page_down"] == f"cannot listen on 127.0.0.1:{port}: address already in use"
            taken.close()
            await while_time_goes_on(page, RETRY_S, lambda: page.listener.port is not None)
            assert page.conditions() == {}
            assert (await page.ask("GET", "/v1/status"))[0] == 200


async def test_a_missing_key_is_said_with_its_file(tmp_path: Path) -> None:
    """The condition names what cannot be used."""
    issued = Authority(tmp_path).issue("127.0.0.1")
    issued.key.unlink()
    async with opened(with_tls(issued), wait=False) as page:
        await until(lambda: "page_down" in page.conditions())
        assert str(issued.cert) in page.conditions()["page_down"]


async def test_connections_are_bounded_and_places_come_free() -> None:
    """One more than there may be is closed at once; whoever leaves makes room."""
    async with opened(limits=Limits(per_source=2)) as page:
        held = [await connected(page) for _ in range(2)]
        for _, writer in held:  # so that they are inside before the next one comes
            writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        for reader, _ in held:
            await reader.readuntil(b"\r\n\r\n")
        late, gone = await connected(page)
        await ended(late)
        held[0][1].close()
        await held[0][1].wait_closed()
        gone.close()
        async with asyncio.timeout(WITHIN_S):
            while not await _is_served(page):
                await asyncio.sleep(0.01)
        held[1][1].close()


async def _is_served(page: Page) -> bool:
    reader, writer = await connected(page)
    with suppress(ConnectionError):
        writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        answer = await reader.read()
        writer.close()
        return answer.startswith(b"HTTP/1.1 200")
    return False


@pytest.mark.parametrize(
    "begun",
    [
        b"",
        b"GET / HTTP/1.1\r\nHost: local",
        b"POST /v1/login HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n{",
    ],
)
async def test_who_does_not_finish_a_request_is_cut_off(begun: bytes) -> None:
    """Without a word, in the middle of the head, or of the body."""
    async with opened(limits=Limits(idle_s=0.2, body_s=0.2)) as page:
        reader, writer = await connected(page)
        writer.write(begun)
        await ended(reader)
        writer.close()


async def test_who_does_not_negotiate_is_cut_off(tmp_path: Path) -> None:
    """A connection counts from its first moment, and a peer that says nothing loses its place."""
    settings = with_tls(Authority(tmp_path).issue("127.0.0.1"))
    async with opened(settings, limits=Limits(per_source=1, handshake_s=0.2)) as page:
        reader, writer = await connected(page)
        await ended(reader)
        writer.close()
        await until(lambda: not page.listener._acceptor.gate._inside)


async def test_who_does_not_read_is_cut_off() -> None:
    """A peer that asks and asks and takes nothing does not keep its place for ever."""
    async with opened(Http(ANYWHERE), limits=Limits(write_s=0.2)) as page:
        with socket.socket() as peer:
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            peer.setblocking(False)
            loop = asyncio.get_running_loop()
            await loop.sock_connect(peer, ("127.0.0.1", page.port))
            with pytest.raises(ConnectionError):
                async with asyncio.timeout(WITHIN_S):
                    while True:
                        await loop.sock_sendall(peer, b"GET /v1/status HTTP/1.1\r\nHost: localhost\r\n\r\n" * 50)


async def test_a_client_that_speaks_no_tls_leaves_no_trace(tmp_path: Path) -> None:
    """Its place comes free, and the next one is served."""
    authority = Authority(tmp_path)
    async with opened(with_tls(authority.issue("127.0.0.1")), limits=Limits(per_source=1)) as page:
        page.scheme, page.tls = "https", ssl.create_default_context(cafile=authority.ca)
        reader, writer = await connected(page)
        writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        await ended(reader)
        writer.close()
        await until(lambda: not page.listener._acceptor.gate._inside)
        assert (await page.ask("GET", "/v1/me"))[0] == 200
