"""A broker that cannot be reached, or that refuses us: one line that says what to do, and nothing is lost meanwhile."""

from __future__ import annotations

from typing import TYPE_CHECKING

from accounting import account, arrivals, compare, samples, schema_faults
from mqtt_peer import free_port, password_line, until
from pace import in_time
from plant import UPLINK, Gateway, broker, configure_load, folder, load, uplink
from receiver import Receiver

if TYPE_CHECKING:
    from collections.abc import Callable

    from agent.status import UplinkView

SAID = "uplink cannot connect"
STOP_S_MAX = 3.0
WRONG_PASSWORD = "not-the-right-one"


def failures(gateway: Gateway) -> Callable[[], int]:
    """Counts, each time it is called, the failed attempts that have shown up so far."""
    seen: set[str] = set()

    def count() -> int:
        view = uplink_of(gateway)
        seen.update({view.since} if view.state in {"waiting", "refused"} else ())
        return len(seen)

    return count


def uplink_of(gateway: Gateway) -> UplinkView:
    (view,) = gateway.status().uplinks
    assert view.id == UPLINK
    return view


async def test_an_unreachable_broker_is_one_line_and_what_was_read_is_sent_by_the_next_run() -> None:
    """The gateway collects; SIGTERM ends it at once; started again with a broker it sends all, in the same epoch."""
    port = free_port()
    with folder() as here, load(here, devices=4) as (running, net), Gateway(here) as gateway:
        configure_load(here, running, net, uplink(port))
        await gateway.ready()
        attempts = failures(gateway)
        await until(lambda: attempts() >= 3)
        await until(lambda: uplink_of(gateway).waiting["telemetry"] > 20)
        assert all(view.state == "online" for view in gateway.status().devices)
        served = running.end()
        await until(lambda: all(view.failures for view in gateway.status().devices))
        code, took_s = await gateway.stop()
        (line,) = gateway.said(SAID)
        assert line["error"] == f"127.0.0.1 refuses connections on port {port}"
        assert line["todo"] == "check that the broker runs there, and the port"
        assert code == 0
        assert in_time(took_s, STOP_S_MAX)
        async with broker(here, port=port) as server:
            with Receiver(here / "received.jsonl", server.port) as receiver:
                await gateway.ready()
                await gateway.drained()
                assert (await gateway.stop())[0] == 0
                await until(receiver.farewells)
        came = arrivals(receiver.path)
        found = account(came, gateway.lanes())
        assert len({epoch for epoch, _ in found.lanes}) == 1
        assert found.faults == []
        assert schema_faults(came) == []
        assert compare(samples(found), served).faults == []


async def test_a_broker_that_refuses_us_is_one_line_and_shown_with_the_next_step() -> None:
    """With a wrong password: `refused` with what to do, the journal grows, and the password is nowhere in the log."""
    with folder() as here, load(here, devices=1) as (running, net), Gateway(here) as gateway:
        accounts = here / "accounts"
        accounts.write_text(password_line("gw-1", "right"))
        secret = here / "password"
        secret.write_text(WRONG_PASSWORD)
        secret.chmod(0o600)
        async with broker(here, "allow_anonymous false", f"password_file {accounts}") as server:
            login = uplink(server.port, user="gw-1", password={"file": str(secret)})
            configure_load(here, running, net, login)
            await gateway.ready()
            attempts = failures(gateway)
            await until(lambda: attempts() >= 2)
            view = uplink_of(gateway)
            assert view.state == "refused"
            assert view.error == "the broker does not let us in (not authorized)"
            assert view.todo == "check the uplink's user and password and the broker's accounts"
            await until(lambda: uplink_of(gateway).waiting["telemetry"] > 5)
            (line,) = gateway.said(SAID)
            assert (line["error"], line["todo"]) == (view.error, view.todo)
            assert WRONG_PASSWORD not in gateway.log.read_text()
            assert (await gateway.stop())[0] == 0
