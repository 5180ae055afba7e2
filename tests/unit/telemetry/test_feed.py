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


async def test_subscriber_receives_records_after_its_subscription() -> None:
    feed = LiveFeed()
    feed.publish(record(0))
    first = feed.subscribe("t")
    assert first is not None
    feed.publish(record(1))
    second = feed.subscribe("t")
    assert second is not None
    feed.publish(record(2))
    assert names(first) == ["req_1", "req_2"]
    assert names(second) == ["req_2"]


async def test_unsubscribed_queue_receives_nothing_and_unsubscribing_twice_is_allowed() -> None:
    feed = LiveFeed()
    queue = feed.subscribe("t")
    assert queue is not None
    feed.unsubscribe(queue)
    feed.unsubscribe(queue)
    feed.publish(record(1))
    assert queue.empty()


async def test_slow_subscriber_loses_entries_and_does_not_delay_others() -> None:
    feed = LiveFeed()
    slow, quick = feed.subscribe("t"), feed.subscribe("t")
    assert slow is not None
    assert quick is not None
    for number in range(1000):
        feed.publish(record(number))
        assert names(quick) == [f"req_{number}"]
    assert 0 < slow.qsize() < 1000
    assert names(slow)[0] == "req_0"


async def test_end_reaches_every_subscriber_even_a_slow_one() -> None:
    feed = LiveFeed()
    slow, idle = feed.subscribe("t"), feed.subscribe("t")
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


async def test_number_of_subscribers_is_limited() -> None:
    feed = LiveFeed()
    queues = []
    while (queue := feed.subscribe("t")) is not None:
        queues.append(queue)
        assert len(queues) <= 1000
    feed.unsubscribe(queues[0])
    assert feed.subscribe("t") is not None
    assert feed.subscribe("t") is None


async def test_tenant_cannot_take_all_subscribers() -> None:
    feed = LiveFeed()
    held = [sum(feed.subscribe(tenant) is not None for _ in range(100)) for tenant in "abcdefg"]
    assert held == [32, 16, 8, 4, 2, 1, 1]
