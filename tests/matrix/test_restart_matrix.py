"""Everything that can go away does, in every way, under load: consumer, gateway and field agree on every record.

`make test-matrix` runs this; the quick suite runs some of it, with shorter times.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest
from restart_cell import PARTS, Ways, forgetful, run
from troubles import TROUBLES, Scale

if TYPE_CHECKING:
    from restart_cell import Outcome

SCALE = Scale(away_s=30.0, silent_s=20.0, flaps=8, load_s=3.0, devices=10, interval_s=0.1)


def tell(request: pytest.FixtureRequest, cell: str, outcome: Outcome) -> None:
    """For the line of this cell."""
    request.node.user_properties += [("cell", cell), ("figures", str(outcome))]


@pytest.mark.parametrize("trouble", TROUBLES)
@pytest.mark.parametrize("part", PARTS)
async def test_consumer_gateway_and_field_agree_after(part: str, trouble: str, request: pytest.FixtureRequest) -> None:
    """The report is complete, equal to the gateway's own account, and to what the devices have served."""
    seed = random.SystemRandom().randrange(10_000)
    outcome = await run(part, trouble, SCALE, seed)
    tell(request, f"{part}, {trouble}", outcome)
    assert outcome.faults == [], f"seed {seed}"


@pytest.mark.parametrize(
    "ways",
    [Ways(resend=False), Ways(confirm=False), Ways()],
    ids=["confirmations", "resends", "confirmations and resends"],
)
async def test_what_a_broker_without_memory_forgets_is_brought_back_by(
    ways: Ways, request: pytest.FixtureRequest
) -> None:
    """Acknowledged by the broker, seen by nobody, gone with it: the gateway still has it, and sends it again."""
    outcome = await forgetful(SCALE, ways)
    tell(request, f"forgetful broker, {' '.join(ways.options)}", outcome)
    assert outcome.faults == []
