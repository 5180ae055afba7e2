"""A semaphore: never more than allowed, first come first served, none lost when somebody stops waiting."""

import asyncio
import contextlib

from intellirouter.core import TaskOwner
from intellirouter.resources.batches.semaphore import AdjustableSemaphore


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_turns_come_in_the_order_of_asking_and_never_too_many() -> None:
    semaphore, owner = AdjustableSemaphore(lambda: 2), TaskOwner("test")
    order: list[int] = []

    async def ask(number: int) -> None:
        await semaphore.acquire()
        order.append(number)

    for number in range(5):
        owner.start(ask(number), str(number))
    await settle()
    assert (order, semaphore.held) == ([0, 1], 2)
    semaphore.release()
    await settle()
    assert (order, semaphore.held) == ([0, 1, 2], 2)
    await owner.stop()
    semaphore.release()
    semaphore.release()
    assert semaphore.held == 0


async def test_who_stops_waiting_takes_no_turn() -> None:
    semaphore, owner = AdjustableSemaphore(lambda: 1), TaskOwner("test")
    await semaphore.acquire()
    waiting = owner.start(semaphore.acquire(), "waiting", is_awaited=True)
    await settle()
    waiting.cancel()
    await settle()
    semaphore.release()
    assert semaphore.held == 0
    await semaphore.acquire()


async def test_a_turn_that_comes_with_the_cancellation_goes_on_to_the_next() -> None:
    semaphore, owner = AdjustableSemaphore(lambda: 1), TaskOwner("test")
    await semaphore.acquire()
    unlucky = owner.start(semaphore.acquire(), "unlucky", is_awaited=True)
    following = owner.start(semaphore.acquire(), "following", is_awaited=True)
    await settle()
    semaphore.release()
    unlucky.cancel()  # its turn has come, and it has not noticed
    with contextlib.suppress(asyncio.CancelledError):
        await unlucky
    await asyncio.wait_for(following, 1)
    assert semaphore.held == 1


async def test_the_bound_may_change() -> None:
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
