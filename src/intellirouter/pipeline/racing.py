"""Runs two attempts at the same time, the second one after a delay. The first that opens wins."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final, Generic, TypeVar

from intellirouter.core import TaskOwner, errors

T = TypeVar("T")
_CANCEL_S: Final = 0.1
"""How long the winner waits until the other attempt has been canceled. The owner of the tasks keeps that one."""


class Race(Generic[T]):
    """One race. After `run`, the attributes say how the attempts have ended."""

    def __init__(self, owner: TaskOwner) -> None:
        self._owner = owner
        self.is_second = False
        """The second attempt has won."""
        self.first_error: errors.GatewayError | None = None
        self.second_error: errors.GatewayError | None = None
        self.unused: list[tuple[bool, T]] = []
        """What attempts have opened that have not won, and whether it was the second one."""

    async def run(
        self,
        first: Awaitable[T],
        delay_s: float,
        start_second: Callable[[], Coroutine[Any, Any, T] | None],
    ) -> T:
        """Return what the winner has opened. Raises the error of the first attempt if both fail.

        If this is canceled, both attempts are canceled and have ended.
        """
        tasks = [self._owner.start(_result_of(first), "first", is_awaited=True)]
        has_won = False
        try:
            await asyncio.wait(tasks, timeout=delay_s)
            if tasks[0].done() or (second := start_second()) is None:
                value: T = await tasks[0]
            else:
                tasks.append(self._owner.start(second, "second", is_awaited=True))
                value = await self._first_to_open(*tasks)
            has_won = True
            return value
        finally:
            running = [each for each in tasks if each.cancel()]
            if running:
                await asyncio.wait(running, timeout=_CANCEL_S)
            for number, task in enumerate(tasks):
                is_winner = has_won and number == self.is_second
                if not is_winner and task.done() and not task.cancelled() and task.exception() is None:
                    self.unused.append((number == 1, task.result()))

    async def _first_to_open(self, first: "asyncio.Task[T]", second: "asyncio.Task[T]") -> T:
        await asyncio.wait({first, second}, return_when=asyncio.FIRST_COMPLETED)
        if first.done() and (error := _error_of(first)) is not None:
            self.first_error = error
            if not isinstance(error, errors.UpstreamError | errors.HostError | errors.Overloaded):
                raise error
            try:
                value = await second
            except errors.GatewayError as second_error:
                self.second_error = second_error
                raise error from None
            self.is_second = True
            return value
        if not first.done():
            self.second_error = _error_of(second)
            if self.second_error is not None:
                return await first
            self.is_second = True
            return second.result()
        if second.done():
            self.second_error = _error_of(second)
        return first.result()


async def _result_of(opening: Awaitable[T]) -> T:
    return await opening


def _error_of(task: "asyncio.Task[Any]") -> errors.GatewayError | None:
    """Return the error of a task that is done. Raises what is no `GatewayError`."""
    try:
        task.result()
    except errors.GatewayError as error:
        return error
    return None
