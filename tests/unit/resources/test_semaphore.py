"""The adjustable semaphore: its limit, its order, and canceled waiters."""

import asyncio
import contextlib

from intellirouter.core import TaskOwner
from intellirouter.resources.batches.semaphore import AdjustableSemaphore


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_waiters_acquire_in_order_and_within_the_limit() -> None:
    semaphore, owner = AdjustableSemaphore(lambda: 2), TaskOwner("test")
    order: list[int] = []

    async def acquire(number: int) -> None:
        await semaphore.acquire()
        order.append(number)

    for number in range(5):
        owner.start(acquire(number), str(number))
    await settle()
    assert (order, semaphore.held) == ([0, 1], 2)
    semaphore.release()
    await settle()
    assert (order, semaphore.held) == ([0, 1, 2], 2)
    await owner.stop()
    semaphore.release()
    semaphore.release()
    assert semaphore.held == 0


async def test_canceled_waiter_takes_no_slot() -> None:
    semaphore, owner = AdjustableSemaphore(lambda: 1), TaskOwner("test")
    await semaphore.acquire()
    waiting = owner.start(semaphore.acquire(), "waiting", is_awaited=True)
    await settle()
    waiting.cancel()
    await settle()
    semaphore.release()
    assert semaphore.held == 0
    await semaphore.acquire()


async def test_slot_granted_to_a_canceled_waiter_goes_to_the_next() -> None:
    semaphore, owner = AdjustableSemaphore(lambda: 1), TaskOwner("test")
    await semaphore.acquire()
    first = owner.start(semaphore.acquire(), "first", is_awaited=True)
    second = owner.start(semaphore.acquire(), "second", is_awaited=True)
    await settle()
    semaphore.release()
    first.cancel()  # the slot has been granted, but the task has not run yet
    with contextlib.suppress(asyncio.CancelledError):
        await first
    await asyncio.wait_for(second, 1)
    assert semaphore.held == 1


async def test_limit_can_change() -> None:
    limit = 1
    semaphore, owner = AdjustableSemaphore(lambda: limit), TaskOwner("test")
    waiting = [owner.start(semaphore.acquire(), str(number)) for number in range(6)]
    await settle()
    assert semaphore.held == 1
    limit = 3
    semaphore.release()
    await settle()
    assert semaphore.held == 3
    limit = 1
    semaphore.release()
    semaphore.release()
    await settle()
    assert (semaphore.held, waiting[4].done()) == (1, False)
    await owner.stop()


async def test_tenants_take_turns() -> None:
    semaphore, owner = AdjustableSemaphore(lambda: 1), TaskOwner("test")
    order: list[str] = []

    async def work(tenant: str, number: int) -> None:
        await semaphore.acquire(tenant)
        order.append(f"{tenant}{number}")
        await asyncio.sleep(0)
        semaphore.release()

    await semaphore.acquire("a")
    for number in range(4):
        owner.start(work("a", number), f"a{number}")
    await settle()
    for number in range(2):
        owner.start(work("b", number), f"b{number}")
    await settle()
    semaphore.release()
    for _ in range(10):
        await settle()
    assert order == ["a0", "b0", "a1", "b1", "a2", "a3"]
    assert semaphore.held == 0


async def test_tenant_whose_waiters_are_canceled_has_no_turn() -> None:
    semaphore, owner = AdjustableSemaphore(lambda: 1), TaskOwner("test")
    await semaphore.acquire("a")
    gone = owner.start(semaphore.acquire("b"), "gone", is_awaited=True)
    other = owner.start(semaphore.acquire("c"), "other", is_awaited=True)
    await settle()
    gone.cancel()
    await settle()
    semaphore.release()
    await settle()
    assert other.done()
    assert semaphore.held == 1
