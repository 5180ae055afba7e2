"""The live feed: everybody hears what is new; nobody can hold it up."""

import asyncio

from intellirouter.core import ExchangeRecord
from intellirouter.telemetry import LiveFeed


def names(queue: asyncio.Queue[ExchangeRecord | None]) -> list[str]:
    entries = [queue.get_nowait() for _ in range(queue.qsize())]
    return [each.request_id for each in entries if each is not None]


def record(number: int) -> ExchangeRecord:
    return ExchangeRecord(
        request_id=f"req_{number}", started_us=0, endpoint="/v1/x", tenant="t", status=200, duration_ms=1.0
    )


async def test_every_listener_hears_what_came_after_it() -> None:
    feed = LiveFeed()
    feed.publish(record(0))
    first = feed.listen()
    assert first is not None
    feed.publish(record(1))
    second = feed.listen()
    assert second is not None
    feed.publish(record(2))
    assert names(first) == ["req_1", "req_2"]
    assert names(second) == ["req_2"]


async def test_who_has_left_hears_nothing_and_may_leave_twice() -> None:
    feed = LiveFeed()
    queue = feed.listen()
    assert queue is not None
    feed.leave(queue)
    feed.leave(queue)
    feed.publish(record(1))
    assert queue.empty()


async def test_a_slow_listener_loses_entries_and_holds_nobody_up() -> None:
    feed = LiveFeed()
    slow, quick = feed.listen(), feed.listen()
    assert slow is not None
    assert quick is not None
    for number in range(1000):
        feed.publish(record(number))
        assert names(quick) == [f"req_{number}"]
    assert 0 < slow.qsize() < 1000
    assert names(slow)[0] == "req_0"


async def test_the_end_reaches_everybody_even_a_slow_listener() -> None:
    feed = LiveFeed()
    slow, idle = feed.listen(), feed.listen()
    assert slow is not None
    assert idle is not None
    for number in range(1000):
        feed.publish(record(number))
        idle.get_nowait()
    feed.close()
    assert idle.get_nowait() is None
    entries = [slow.get_nowait() for _ in range(slow.qsize())]
    assert entries[-1] is None
    assert None not in entries[:-1]


async def test_listeners_are_bounded() -> None:
    feed = LiveFeed()
    queues = []
    while (queue := feed.listen()) is not None:
        queues.append(queue)
        assert len(queues) <= 1000
    feed.leave(queues[0])
    assert feed.listen() is not None
    assert feed.listen() is None
