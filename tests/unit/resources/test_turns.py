"""Turns: never more than allowed, first come first served, none lost when somebody stops waiting."""

import asyncio
import contextlib

from intellirouter.core import TaskOwner
from intellirouter.resources.batches.turns import Turns


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_turns_come_in_the_order_of_asking_and_never_too_many() -> None:
    turns, owner = Turns(lambda: 2), TaskOwner("test")
    order: list[int] = []

    async def ask(number: int) -> None:
        await turns.take()
        order.append(number)

    for number in range(5):
        owner.start(ask(number), str(number))
    await settle()
    assert (order, turns.taken) == ([0, 1], 2)
    turns.give_back()
    await settle()
    assert (order, turns.taken) == ([0, 1, 2], 2)
    await owner.stop()
    turns.give_back()
    turns.give_back()
    assert turns.taken == 0


async def test_who_stops_waiting_takes_no_turn() -> None:
    turns, owner = Turns(lambda: 1), TaskOwner("test")
    await turns.take()
    waiting = owner.start(turns.take(), "waiting", is_awaited=True)
    await settle()
    waiting.cancel()
    await settle()
    turns.give_back()
    assert turns.taken == 0
    await turns.take()


async def test_a_turn_that_comes_with_the_cancellation_goes_on_to_the_next() -> None:
    turns, owner = Turns(lambda: 1), TaskOwner("test")
    await turns.take()
    unlucky = owner.start(turns.take(), "unlucky", is_awaited=True)
    following = owner.start(turns.take(), "following", is_awaited=True)
    await settle()
    turns.give_back()
    unlucky.cancel()  # its turn has come, and it has not noticed
    with contextlib.suppress(asyncio.CancelledError):
        await unlucky
    await asyncio.wait_for(following, 1)
    assert turns.taken == 1


async def test_the_bound_may_change() -> None:
    limit = 1
    turns, owner = Turns(lambda: limit), TaskOwner("test")
    waiting = [owner.start(turns.take(), str(number)) for number in range(6)]
    await settle()
    assert turns.taken == 1
    limit = 3
    turns.give_back()
    await settle()
    assert turns.taken == 3
    limit = 1
    turns.give_back()
    turns.give_back()
    await settle()
    assert (turns.taken, waiting[4].done()) == (1, False)
    await owner.stop()
