"""Asking one device: what to send, and what to make of a refusal.

Bytes are `codec`, batches `plan`, sockets `stack`; when to ask is the caller's business.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass, field
from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING

from drivers.bacnet import answers, codec, values
from drivers.bacnet.alarms import AlarmBatch
from drivers.bacnet.codec import READ_PROPERTY
from drivers.bacnet.encoding import AccessError, Malformed
from drivers.bacnet.refusals import Refusal, UnknownService
from drivers.contract import Grade, Quality

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from drivers.bacnet.batches import Answer, Batch
    from drivers.bacnet.codec import Key
    from drivers.bacnet.encoding import Raw
    from drivers.bacnet.peer import Peer
    from drivers.bacnet.plan import AnyBatch, Plan
    from drivers.bacnet.stack import Stack
    from drivers.bacnet.values import Judged


SILENCES_OF_LENGTH = 2
"""Reads in a row without an answer, by a device that is there: the second asks for less."""


@dataclass(slots=True, eq=False)
class Met:
    """What was learnt of a device: `batch` is how many objects it bears in a request, `lacks` what services it has not.

    `most` is how many objects its answers could hold.

    `certain` ends when it falls silent, and when somebody says to be who it is, or where it is: another may stand there
    afterwards. It is `disputed` in the second case, until a search finds only one.
    """

    peer: Peer
    batch: int
    most: int
    lacks: set[int] = field(default_factory=set)
    certain: bool = True
    disputed: bool = False


def after_silence(met: Met, plan: Plan) -> Met:
    """What to believe of a device that did not answer, though it had just said that it is there.

    It may drop a request that is too long for it without a word. The first silence proves nothing; after two in a row
    less is asked for. Where that size was answered before, requests are lost for another reason: then nothing of what
    was learnt holds.
    """
    plan.silences += 1
    if plan.silences < SILENCES_OF_LENGTH or plan.largest <= 1:
        return met
    if plan.answered and met.batch < met.most:
        return Met(met.peer, met.most, met.most)
    plan.silences, plan.answered = 0, False
    met.batch = max(1, min(met.batch, plan.largest) // 4)
    return met


async def ask_one(stack: Stack, peer: Peer, key: Key, *, exact: bool = True) -> Raw:
    """One property; `None` where the device refuses or its answer cannot be read or is about something else."""
    try:
        about, raw = codec.single_result(await stack.ask(peer, READ_PROPERTY, codec.read_property(key)))
    except Refusal as refusal:
        return refusal.error
    except Malformed:
        return None
    return raw if about == key or not exact else None


async def ask_all(stack: Stack, met: Met, keys: Sequence[Key]) -> Mapping[Key, Raw]:
    """Some properties, in one request where the device can."""
    peer = met.peer
    if codec.READ_PROPERTY_MULTIPLE in met.lacks:
        return {key: await ask_one(stack, peer, key) for key in keys}
    groups = [list(group) for _, group in groupby(keys, key=itemgetter(0))]
    try:
        answer = await stack.ask(peer, codec.READ_PROPERTY_MULTIPLE, codec.read_multiple(groups))
        return dict(answers.multiple_results(answer))
    except (Refusal, Malformed):
        return {key: await ask_one(stack, peer, key) for key in keys}


async def learn(stack: Stack, met: Met, plan: Plan) -> None:
    """Ask for what a device says of its points themselves, before their values."""
    keys = plan.unknown_units()
    raw: dict[Key, Raw] = {}
    for start in range(0, len(keys), met.batch):
        raw.update(await ask_all(stack, met, keys[start : start + met.batch]))
    if keys:
        plan.learn_units(raw)


async def refresh(stack: Stack, met: Met, plan: Plan) -> None:
    """Ask for every batch, as many at once as the device bears; one that is refused becomes smaller, and stays so."""
    todo = deque(plan.batches)
    workers = [_work_off(stack, met, plan, todo) for _ in range(min(met.peer.at_once, len(todo)))]
    if len(workers) == 1:
        await workers[0]
        return
    tasks = [asyncio.create_task(worker) for worker in workers]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _work_off(stack: Stack, met: Met, plan: Plan, todo: deque[AnyBatch]) -> None:
    while todo:
        batch = todo.popleft()
        smaller = _known_too_much(met, batch) or await _ask(stack, met, plan, batch)
        if smaller:
            plan.replace(batch, smaller)
            todo.extendleft(reversed(smaller))


def _known_too_much(met: Met, batch: AnyBatch) -> list[Batch]:
    """What to ask instead of a batch that the device would refuse, as it refused others before."""
    if batch.service in met.lacks:
        return batch.singles()
    if isinstance(batch, AlarmBatch) or not batch.multiple:
        return []
    return batch.halves() if len(batch) > met.batch else []


async def _ask(stack: Stack, met: Met, plan: Plan, batch: AnyBatch) -> list[Batch]:
    """Ask for a batch and store what came; gives what to ask instead where it was refused."""
    try:
        judged = await _read(stack, met.peer, batch)
    except Refusal as refusal:
        smaller = _smaller(met, batch, refusal)
        if smaller:
            return smaller
        judged = batch.flawed(_refused(refusal))
    except Malformed as malformed:
        judged = batch.flawed(Quality(Grade.BAD, "decode_error", str(malformed)))
    if judged is not None:
        plan.store(batch, judged)
    return []


async def _read(stack: Stack, peer: Peer, batch: AnyBatch) -> list[Judged] | None:
    """Values and flaws, or `None` where the device said byte for byte what it said last."""
    before, batch.last = batch.last, None
    batch.begin()
    while True:
        answer = await _answer(stack, peer, batch)
        judged = None if answer == before else batch.read(answer)
        if judged is not None or answer == before:
            batch.last = None if batch.overtaken or not batch.whole else answer
            return judged


async def _answer(stack: Stack, peer: Peer, batch: AnyBatch) -> Answer:
    parts: list[bytes | AccessError] = []
    for service, parameters in batch.requests:
        try:
            parts.append(await stack.ask(peer, service, parameters))
        except Refusal as refusal:
            if batch.multiple or refusal.error is None:
                raise
            parts.append(refusal.error)
    return tuple(parts)


def _smaller(met: Met, batch: AnyBatch, refusal: Refusal) -> list[Batch]:
    """What to ask instead of a refused batch; nothing where asking for less would not help."""
    if not batch.multiple:
        return []
    if isinstance(refusal, UnknownService):
        met.lacks.add(batch.service)
        return batch.singles()
    if not refusal.divide:
        return []
    if isinstance(batch, AlarmBatch):
        return batch.singles()
    if refusal.too_long:
        met.batch = min(met.batch, max(1, len(batch) // 2))
    return batch.halves() if len(batch) > 1 else batch.singles()


def _refused(refusal: Refusal) -> Quality:
    if refusal.error is not None:
        return values.error_flaw(refusal.error)
    return Quality(Grade.BAD, "comm_lost", str(refusal))
