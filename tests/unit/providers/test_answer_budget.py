"""Large answers are not read while too much is buffered for clients."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from intellirouter.core import AnswerBudget, UpstreamRequest, answer_budget, errors
from intellirouter.providers import UpstreamPool
from tests.support.providers.loopback import Peer, answer, serving

LIMIT = 1_000_000
BODY = b"x" * 900_000


@pytest.fixture
def budget() -> AnswerBudget:
    return AnswerBudget(LIMIT)


@pytest.fixture
async def small_pool(budget: AnswerBudget) -> AsyncIterator[UpstreamPool]:
    pool = UpstreamPool(answers=budget)
    yield pool
    await pool.close()


async def serve(peer: Peer) -> None:
    while True:
        await peer.request()
        await peer.send(answer(BODY))


async def test_answer_is_read_when_clients_have_read_others(budget: AnswerBudget, small_pool: UpstreamPool) -> None:
    async with serving(serve) as server:
        budget.hold("slow", LIMIT)
        response = await small_pool.send(server.deployment(), UpstreamRequest(path="/", body=b"{}"))
        reading = asyncio.ensure_future(response.read(LIMIT))
        await asyncio.sleep(0.2)
        assert not reading.done()
        assert budget.used_bytes == LIMIT
        budget.release("slow")
        assert await asyncio.wait_for(reading, 5) == BODY
        assert budget.used_bytes == len(BODY)  # until the pipeline has taken it over
        response.abort()
        assert budget.used_bytes == 0


async def test_answer_that_waits_too_long_is_given_up(
    budget: AnswerBudget, small_pool: UpstreamPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(answer_budget, "_MAX_WAIT_S", 0.05)
    async with serving(serve) as server:
        budget.hold("slow", LIMIT)
        response = await small_pool.send(server.deployment(), UpstreamRequest(path="/", body=b"{}"))
        with pytest.raises(errors.AnswerBufferFull):
            await response.read(LIMIT)
        response.abort()
        assert budget.used_bytes == LIMIT


@pytest.mark.parametrize("limit", [len(BODY) - 1, 100_000, 10])
async def test_answer_over_its_own_limit_is_not_counted(
    budget: AnswerBudget, small_pool: UpstreamPool, limit: int
) -> None:
    async with serving(serve) as server:
        response = await small_pool.send(server.deployment(), UpstreamRequest(path="/", body=b"{}"))
        with pytest.raises(errors.UpstreamAnswerTooLarge):
            await response.read(limit)
        assert budget.used_bytes == 0
