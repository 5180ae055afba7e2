"""The memory for answers that arrive and for those that clients have not read yet."""

import asyncio

import pytest

from intellirouter.core import FREE_ANSWER_BYTES, AnswerBudget, ArrivingAnswer, answer_budget, errors

KIB = 1024
LIMIT = 1000 * KIB


def grow(answer: ArrivingAnswer, size: int) -> "asyncio.Task[None]":
    return asyncio.ensure_future(answer.grow_to(size))


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_answers_within_the_limit_never_wait() -> None:
    budget = AnswerBudget(LIMIT)
    for number in range(10):
        answer = ArrivingAnswer(budget, f"tenant {number}")
        await answer.grow_to(50 * KIB)
        await answer.grow_to(100 * KIB)
        budget.hold(number, 100 * KIB, f"tenant {number}")
        answer.end()
    assert budget.used_bytes == LIMIT
    for number in range(10):
        budget.release(number)
        budget.release(number)
    assert budget.used_bytes == 0


async def test_small_answers_are_not_counted() -> None:
    budget = AnswerBudget(LIMIT)
    budget.hold("a", FREE_ANSWER_BYTES)
    assert budget.used_bytes == 0


async def test_answer_waits_until_a_client_has_read_another_one() -> None:
    budget = AnswerBudget(LIMIT)
    budget.hold("slow", 900 * KIB, "slow")
    answer = ArrivingAnswer(budget)
    await answer.grow_to(100 * KIB)
    waiting = grow(answer, 200 * KIB)
    await settle()
    assert not waiting.done()
    assert budget.used_bytes == LIMIT
    budget.release("slow")
    await asyncio.wait_for(waiting, 1)
    answer.end()
    assert budget.used_bytes == 0


@pytest.mark.parametrize("tenants", [1, 3, 20])
async def test_answers_that_arrive_do_not_wait_for_each_other_for_ever(tenants: int) -> None:
    budget = AnswerBudget(LIMIT)
    finished: list[int] = []

    async def read(number: int) -> None:
        answer = ArrivingAnswer(budget, f"tenant {number % tenants}")
        for size in range(100, 601, 100):
            await answer.grow_to(size * KIB)
            await asyncio.sleep(0)
        budget.hold(number, 600 * KIB, answer.tenant)
        answer.end()
        finished.append(number)
        assert budget.used_bytes <= 2 * LIMIT
        await asyncio.sleep(0.001)
        budget.release(number)

    await asyncio.wait_for(asyncio.gather(*[read(number) for number in range(20)]), 5)
    assert sorted(finished) == list(range(20))
    assert budget.used_bytes == 0


@pytest.mark.parametrize("tenants", [1, 3, 50])
async def test_memory_is_bounded_whatever_the_number_of_slow_clients(tenants: int) -> None:
    budget = AnswerBudget(LIMIT)
    peak = 0

    async def read(number: int) -> None:
        nonlocal peak
        answer = ArrivingAnswer(budget, f"tenant {number % tenants}")
        for size in range(100, 901, 100):
            await answer.grow_to(size * KIB)
            peak = max(peak, budget.used_bytes)
        budget.hold(number, 900 * KIB, answer.tenant)
        answer.end()

    tasks = [asyncio.ensure_future(read(number)) for number in range(50)]
    await asyncio.sleep(0.05)
    assert sum(task.done() for task in tasks) == 1
    assert peak <= 2 * LIMIT
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_answer_that_can_be_made_again_does_not_wait() -> None:
    budget = AnswerBudget(LIMIT)
    budget.hold_if_possible("alone", 2 * LIMIT)
    budget.hold_if_possible("small", FREE_ANSWER_BYTES)
    with pytest.raises(errors.AnswerBufferFull):
        budget.hold_if_possible("next", 100 * KIB)
    budget.release("alone")
    budget.hold_if_possible("next", 100 * KIB)
    assert budget.used_bytes == 100 * KIB


async def test_one_answer_alone_may_exceed_the_limit() -> None:
    answer = ArrivingAnswer(AnswerBudget(LIMIT))
    await asyncio.wait_for(answer.grow_to(50 * LIMIT), 1)


async def test_waiting_too_long_is_an_error_that_does_not_block_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answer_budget, "_MAX_WAIT_S", 0.01)
    budget = AnswerBudget(LIMIT)
    budget.hold("slow", LIMIT, "slow")
    answer = ArrivingAnswer(budget)
    with pytest.raises(errors.AnswerBufferFull, match="Clients read their answers too slowly") as caught:
        await answer.grow_to(100 * KIB)
    assert caught.value.status == 503
    assert not caught.value.retryable
    assert not caught.value.fallback
    answer.end()
    budget.release("slow")
    await asyncio.wait_for(ArrivingAnswer(budget).grow_to(LIMIT), 1)


async def test_canceled_answer_lets_the_next_one_proceed() -> None:
    budget = AnswerBudget(LIMIT)
    budget.hold("slow", 900 * KIB, "slow")
    large, small = ArrivingAnswer(budget), ArrivingAnswer(budget)
    first, second = grow(large, 500 * KIB), grow(small, 100 * KIB)
    await settle()
    assert not second.done()  # it does not overtake
    first.cancel()
    await asyncio.wait_for(second, 1)
    assert budget.used_bytes == LIMIT


async def test_higher_limit_wakes_those_that_wait() -> None:
    budget = AnswerBudget(LIMIT)
    budget.hold("slow", LIMIT, "slow")
    waiting = grow(ArrivingAnswer(budget), 100 * KIB)
    await settle()
    budget.set_limit(2 * LIMIT)
    await asyncio.wait_for(waiting, 1)


async def test_tenant_that_does_not_read_leaves_a_share_for_each_of_the_others() -> None:
    budget = AnswerBudget(LIMIT)
    held = 0
    for number in range(20):
        answer = ArrivingAnswer(budget, "slow")
        growing = grow(answer, 100 * KIB)
        await settle()
        if not growing.done():
            break
        budget.hold(number, 100 * KIB, "slow")
        answer.end()
        held += 1
    assert held == 5  # half of the budget
    for tenant, expected in (("b", 2), ("c", 1)):
        for number in range(expected):
            answer = ArrivingAnswer(budget, tenant)
            await asyncio.wait_for(answer.grow_to(100 * KIB), 1)
            budget.hold(f"{tenant} {number}", 100 * KIB, tenant)
            answer.end()
    assert not growing.done(), "others do not wait behind it"
    growing.cancel()
    await asyncio.gather(growing, return_exceptions=True)


async def test_share_of_a_tenant_is_given_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answer_budget, "_MAX_WAIT_S", 0.01)
    budget = AnswerBudget(LIMIT)
    for number in range(3):
        budget.hold(number, 200 * KIB, "slow")
    answer = ArrivingAnswer(budget, "slow")
    with pytest.raises(errors.AnswerBufferFull, match=f"{600 * KIB} bytes are waiting"):
        await answer.grow_to(200 * KIB)
    with pytest.raises(errors.AnswerBufferFull):
        budget.hold_if_possible("page", 200 * KIB, "slow")
    budget.hold_if_possible("page", 200 * KIB, "other")
    budget.release("page")
    budget.release(0)
    budget.release(1)
    await asyncio.wait_for(answer.grow_to(200 * KIB), 1)
    answer.end()
    budget.release(2)
    assert budget.used_bytes == 0
    assert budget._shares == {}


async def test_answers_of_one_tenant_that_fill_its_share_do_not_wait_for_each_other() -> None:
    budget = AnswerBudget(LIMIT)
    first, second = ArrivingAnswer(budget, "a"), ArrivingAnswer(budget, "a")
    for size in (100, 200, 300, 400):
        await asyncio.wait_for(first.grow_to(size * KIB), 1)
        if size < 300:
            await asyncio.wait_for(second.grow_to(size * KIB), 1)
    waiting = grow(second, 300 * KIB)
    await settle()
    assert not waiting.done()
    await asyncio.wait_for(first.grow_to(900 * KIB), 1)
    first.end()
    await asyncio.wait_for(waiting, 1)
    second.end()
