"""Some of the restart matrix, shorter: consumer, gateway and field agree, and a gateway that settles early is found.

`make test-matrix` runs all of it with the real times.
"""

from __future__ import annotations

import asyncio

import mutants
from plant import show
from restart_cell import Ways, forgetful, run
from troubles import Scale

SCALE = Scale(away_s=3.0, silent_s=3.0, flaps=3, load_s=1.0, devices=4, interval_s=0.2)
SEED = 7
"""Of the flapping: the same moments each time."""


async def test_consumer_gateway_and_field_agree_and_an_early_settlement_is_found() -> None:
    """Confirmation alone brings back what a broker forgets; without it the same cell turns red."""
    confirmed = Ways(resend=False)
    early = Ways(resend=False, build=mutants.settles_without_confirmation)
    *right, wrong = await asyncio.gather(
        run("consumer", "flapping", SCALE, SEED),
        run("gateway", "silent", SCALE, SEED),
        forgetful(SCALE, confirmed),
        forgetful(SCALE, early),
    )
    for outcome in right:
        show(str(outcome))
        assert outcome.faults == []
    assert any("the consumer's report says GAPS" in fault for fault in wrong.faults), wrong.faults
    assert any("the gateway's last sequence" in fault for fault in wrong.faults), wrong.faults
