"""Background tasks are named, canceled at the end, and their failures are logged."""

import asyncio
import logging

import pytest

from intellirouter.core import TaskOwner


async def forever() -> None:
    await asyncio.Event().wait()


async def test_task_has_the_name_of_its_owner() -> None:
    owner = TaskOwner("room")

    async def answer() -> int:
        return 42

    task = owner.start(answer(), "work")
    assert task.get_name() == "room.work"
    assert await task == 42
    await asyncio.sleep(0)
    assert not owner._tasks
    await owner.stop()


async def test_stop_cancels_all_tasks_and_waits_for_them() -> None:
    owner, ended = TaskOwner("room"), []

    async def tidy() -> None:
        try:
            await forever()
        finally:
            await asyncio.sleep(0)
            ended.append(1)

    tasks = [owner.start(tidy(), str(number)) for number in range(3)]
    await asyncio.sleep(0)
    await owner.stop()
    assert len(ended) == 3
    assert all(task.cancelled() for task in tasks)
    await owner.stop()


async def test_failing_task_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    owner = TaskOwner("room")

    async def fail() -> None:
        raise ValueError("inner")

    with caplog.at_level(logging.ERROR):
        task = owner.start(fail(), "work")
        await asyncio.wait([task])
        await asyncio.sleep(0)
    assert "room.work failed" in caplog.text
    assert "ValueError: inner" in caplog.text
    assert not owner._tasks


async def test_canceled_task_is_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    owner = TaskOwner("room")
    owner.start(forever(), "work")
    await owner.stop()
    assert caplog.text == ""


async def test_task_that_fails_during_stop_does_not_affect_others() -> None:
    owner = TaskOwner("room")

    async def stubborn() -> None:
        try:
            await forever()
        except asyncio.CancelledError:
            raise ValueError("inner") from None

    tasks = [owner.start(stubborn(), "a"), owner.start(forever(), "b")]
    await asyncio.sleep(0)
    await owner.stop()
    assert all(task.done() for task in tasks)
