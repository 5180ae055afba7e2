"""Work off the event loop: results, errors, cancellation, limits, and what it must not keep alive."""

import asyncio
import contextlib
import gc
import threading
import time
import weakref

import pytest

from intellirouter.core import OffLoop, errors

MEDIUM = 500_000
LARGE = 5_000_000


class Gate:
    """Work that ends when the test opens it."""

    def __init__(self) -> None:
        self.is_running = threading.Event()
        self.opened = threading.Event()

    def __call__(self) -> str:
        self.is_running.set()
        assert self.opened.wait(5)
        return "done"


async def until_running(gate: Gate) -> None:
    while not gate.is_running.is_set():
        await asyncio.sleep(0.001)


@pytest.mark.parametrize("size", [MEDIUM, LARGE])
async def test_work_runs_in_another_thread_and_returns_its_result(size: int) -> None:
    off_loop = OffLoop()
    assert await off_loop.run(size, threading.get_ident) != threading.get_ident()
    off_loop.close()


async def test_error_of_the_work_is_raised() -> None:
    def fail() -> None:
        raise errors.InvalidRequest("wrong")

    def crash() -> None:
        raise ZeroDivisionError

    off_loop = OffLoop()
    with pytest.raises(errors.InvalidRequest, match="wrong"):
        await off_loop.run(LARGE, fail)
    with pytest.raises(ZeroDivisionError):
        await off_loop.run(LARGE, crash)
    assert await off_loop.run(LARGE, lambda: 7) == 7
    off_loop.close()


async def test_event_loop_continues_while_the_work_runs() -> None:
    off_loop, gate = OffLoop(), Gate()
    result = asyncio.create_task(off_loop.run(LARGE, gate))
    await until_running(gate)
    assert await off_loop.run(MEDIUM, lambda: "medium") == "medium"
    gate.opened.set()
    assert await result == "done"
    off_loop.close()


async def test_canceled_work_that_waits_is_not_done_and_running_work_is_discarded() -> None:
    off_loop, gate, done = OffLoop(), Gate(), []
    running = asyncio.create_task(off_loop.run(LARGE, gate))
    waiting = asyncio.create_task(off_loop.run(LARGE, lambda: done.append(1)))
    await until_running(gate)
    for task in (running, waiting):
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    gate.opened.set()
    assert await off_loop.run(LARGE, lambda: 7) == 7
    assert done == []
    off_loop.close()


async def test_work_beyond_the_limit_is_refused() -> None:
    off_loop, gate = OffLoop(max_waiting=1), Gate()
    running = asyncio.create_task(off_loop.run(LARGE, gate))
    await until_running(gate)
    waiting = asyncio.create_task(off_loop.run(LARGE, lambda: 7))
    await asyncio.sleep(0)
    with pytest.raises(errors.Overloaded) as raised:
        await off_loop.run(LARGE, lambda: 8)
    assert raised.value.retry_after_s is not None
    gate.opened.set()
    assert (await running, await waiting) == ("done", 7)
    off_loop.close()


async def test_closing_ends_the_threads() -> None:
    off_loop, others = OffLoop(), set(threading.enumerate())
    await off_loop.run(LARGE, lambda: None)
    [own] = set(threading.enumerate()) - others
    assert own.name == "off-loop-large"
    off_loop.close()
    deadline = time.monotonic() + 5
    while own.is_alive():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.005)


class Body:
    """Something that the work refers to."""


async def test_nothing_of_the_work_is_kept_alive_by_the_thread_or_by_its_error() -> None:
    off_loop = OffLoop()
    gc.disable()
    try:
        seen = weakref.ref(await failed_work(off_loop))
        await asyncio.sleep(0.01)
        assert seen() is None
    finally:
        gc.enable()
        off_loop.close()


async def failed_work(off_loop: OffLoop) -> Body:
    body = Body()

    def fail() -> None:
        raise errors.InvalidRequest(f"wrong: {body}")

    with contextlib.suppress(errors.InvalidRequest):
        await off_loop.run(LARGE, fail)
    return body
