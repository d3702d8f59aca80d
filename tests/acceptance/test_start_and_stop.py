"""How the daemon refuses to start, each time with one sentence, and how it stops and goes on."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from accounting import account, arrivals, compare, samples, schema_faults
from mqtt_peer import free_port, until
from pace import in_time
from plant import Gateway, Link, broker, configure_load, folder, load, run_to_its_end, uplink
from receiver import Receiver

STOP_S_MAX = 3.0

ABSENT = "the journal folder {path} does not exist; create it, or set journal.path in gateway.yaml"
NO_FOLDER = ABSENT.replace("does not exist", "is not a folder")
FORBIDDEN = (
    "the journal folder {path} cannot be written (No such file or directory); "
    "give it to the user that wardgate runs as, or set journal.path in gateway.yaml"
)


@pytest.mark.parametrize(
    ("journal", "sentence"),
    [("./nowhere/journal", ABSENT), ("./gateway.yaml", NO_FOLDER), ("/proc", FORBIDDEN)],
    ids=["nowhere", "a-file", "not-writable"],
)
def test_a_journal_folder_that_cannot_be_used_stops_the_start_with_one_sentence(journal: str, sentence: str) -> None:
    """Exit code 1, one line on standard error, no traceback."""
    with folder() as here, load(here, devices=1) as (running, net):
        configure_load(here, running, net, uplink(free_port()))
        settings = here / "gateway.yaml"
        settings.write_text(settings.read_text().replace('"./journal"', f'"{journal}"'))
        done = run_to_its_end(here)
        path = Path(journal) if journal.startswith("/") else here / journal
    assert done.returncode == 1
    assert done.stderr == f"wardgate: {sentence.format(path=path)}\n"


async def test_a_second_daemon_on_the_same_journal_is_refused_and_the_first_goes_on() -> None:
    """One sentence that names the process; neither the journal nor the first one's socket is touched."""
    with folder() as here, load(here, devices=1) as (running, net), Gateway(here) as gateway:
        configure_load(here, running, net, uplink(free_port()))
        await gateway.ready()
        done = run_to_its_end(here)
        assert done.returncode == 1
        assert done.stderr == (
            f"wardgate: another wardgate (process {gateway.pid}) already uses the journal in {here / 'journal'}; "
            "stop it first, or give this one a journal.path of its own\n"
        )
        before = gateway.device("m1").polls
        await until(lambda: gateway.device("m1").polls > before)
        assert (await gateway.stop())[0] == 0


async def run_a_while(gateway: Gateway, receiver: Receiver) -> float:
    """From start to SIGTERM and the end; gives when that was (seconds since the epoch)."""
    telemetry, farewells = receiver.seen("/telemetry/"), receiver.farewells()
    await gateway.ready()
    await until(lambda: receiver.seen("/telemetry/") > telemetry + 40)
    code, took_s = await gateway.stop()
    assert code == 0
    assert in_time(took_s, STOP_S_MAX)
    assert gateway.unacknowledged() == 0
    await until(lambda: receiver.farewells() > farewells)
    return time.time()


async def test_sigterm_ends_in_order_and_the_next_run_goes_on_where_it_stopped() -> None:
    """Exit code 0 within three seconds under load; the same epoch, no gap, nothing twice, nothing lost."""
    with folder() as here, load(here) as (running, net), Gateway(here) as gateway:
        async with broker(here) as server:
            configure_load(here, running, net, uplink(server.port))
            with Receiver(here / "received.jsonl", server.port) as receiver:
                ends = [await run_a_while(gateway, receiver) for _ in range(2)]
        came = arrivals(receiver.path)
        found = account(came, gateway.lanes())
        assert len({epoch for epoch, _ in found.lanes}) == 1
        assert found.faults == []
        assert found.duplicates == 0
        assert schema_faults(came) == []
        # A reply may be on its way when the lines are closed: nobody has read that.
        assert compare(samples(found), running.end()).excuse(ends).faults == []


async def test_sigterm_does_not_wait_for_a_broker_that_has_frozen() -> None:
    """Exit code 0 within three seconds while nothing is acknowledged; the next run sends what was kept."""
    with folder() as here, load(here, devices=4) as (running, net), Gateway(here) as gateway:
        async with broker(here) as server, Link(server.port) as link:
            configure_load(here, running, net, uplink(link.port))
            with Receiver(here / "received.jsonl", server.port) as receiver:
                await gateway.ready()
                await until(lambda: receiver.seen("/telemetry/") > 10)
                link.swallows = True
                await until(lambda: gateway.status().uplinks[0].in_flight > 3)
                served = running.end()
                await until(lambda: all(view.failures for view in gateway.status().devices))
                code, took_s = await gateway.stop()
                assert code == 0
                assert in_time(took_s, STOP_S_MAX)
                assert gateway.unacknowledged() > 3
                link.swallows = False
                farewells = receiver.farewells()
                await gateway.ready()
                await gateway.drained()
                assert (await gateway.stop())[0] == 0
                await until(lambda: receiver.farewells() > farewells)
        found = account(arrivals(receiver.path), gateway.lanes())
        assert found.faults == []
        assert compare(samples(found), served).faults == []
