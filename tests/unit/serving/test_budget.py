"""The memory for large bodies that are arriving."""

import asyncio

import pytest

from intellirouter.core import errors
from intellirouter.serving import budget as budget_module
from intellirouter.serving.budget import BodyBudget


async def test_reservations_are_granted_in_order() -> None:
    budget, granted = BodyBudget(100), list[str]()
    await budget.reserve(60)

    async def wait(name: str, size: int) -> None:
        await budget.reserve(size)
        granted.append(name)

    large, small = asyncio.ensure_future(wait("large", 80)), asyncio.ensure_future(wait("small", 10))
    await asyncio.sleep(0)
    assert granted == []  # the small one does not overtake the large one
    budget.release(60)
    await asyncio.gather(large, small)
    assert granted == ["large", "small"]
    budget.release(80)
    budget.release(10)
    await asyncio.wait_for(budget.reserve(100), 1)


async def test_body_larger_than_the_budget_gets_all_of_it() -> None:
    budget = BodyBudget(100)
    await budget.reserve(500)
    budget.release(500)
    await asyncio.wait_for(budget.reserve(100), 1)


async def test_waiting_too_long_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budget_module, "_MAX_WAIT_S", 0.01)
    budget = BodyBudget(100)
    await budget.reserve(100)
    with pytest.raises(errors.Overloaded, match="too many large request bodies") as refused:
        await budget.reserve(1)
    assert "server.max_buffered_bytes" in refused.value.hint
    budget.release(100)
    await asyncio.wait_for(budget.reserve(100), 1)


async def test_canceled_reservation_returns_its_bytes() -> None:
    budget = BodyBudget(100)
    await budget.reserve(100)
    waiting, behind = asyncio.ensure_future(budget.reserve(100)), asyncio.ensure_future(budget.reserve(50))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.wait([waiting])
    budget.release(100)
    await asyncio.wait_for(behind, 1)
    granted_late = asyncio.ensure_future(budget.reserve(100))
    await asyncio.sleep(0)
    budget.release(50)
    granted_late.cancel()  # it has been granted, but its task has not run yet
    await asyncio.wait([granted_late])
    await asyncio.wait_for(budget.reserve(100), 1)


async def test_number_of_waiting_bodies_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budget_module, "_MAX_WAITING", 1)
    budget = BodyBudget(10)
    await budget.reserve(10)
    waiting = asyncio.ensure_future(budget.reserve(1))
    await asyncio.sleep(0)
    with pytest.raises(errors.Overloaded):
        await budget.reserve(1)
    waiting.cancel()
    await asyncio.wait([waiting])


async def test_a_changed_limit_does_not_change_what_is_released() -> None:
    budget = BodyBudget(100)
    for _ in range(3):
        reserved = await budget.reserve(90)
        budget.limit_bytes = 10
        budget.release(reserved)
        budget.limit_bytes = 100
    assert await asyncio.wait_for(budget.reserve(500), 1) == 100


async def test_a_lowered_limit_does_not_block_who_waits() -> None:
    budget = BodyBudget(100)
    first = await budget.reserve(100)
    waiting = asyncio.ensure_future(budget.reserve(80))
    await asyncio.sleep(0)
    budget.limit_bytes = 50
    budget.release(first)
    assert await asyncio.wait_for(waiting, 1) == 80
