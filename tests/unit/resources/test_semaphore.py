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
