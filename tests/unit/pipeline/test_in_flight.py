"""The requests in flight: their limit, and how those are canceled whose client disconnects."""

import asyncio

import pytest

from intellirouter.core import errors
from intellirouter.pipeline import Exchange, InFlight
from tests.support.dialects.standard import ENDPOINTS


def build_exchange(request_id: str = "req_1") -> Exchange:
    return Exchange(request_id, "/test", ENDPOINTS["openai_chat"], started_s=0.0, started_us=0)


async def run(in_flight: InFlight, exchange: Exchange, ended: list[str]) -> None:
    in_flight.add(exchange, 10)
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        ended.append(exchange.request_id)
        raise
    finally:
        in_flight.remove(exchange)


async def test_requests_beyond_the_limit_are_refused() -> None:
    in_flight = InFlight()
    first, second = build_exchange("req_1"), build_exchange("req_2")
    in_flight.add(first, 1)
    with pytest.raises(errors.Overloaded, match="limit of 1 requests") as refused:
        in_flight.add(second, 1)
    assert refused.value.retry_after_s == 1.0
    in_flight.remove(second)
    assert len(in_flight) == 1
    in_flight.remove(first)
    in_flight.add(second, 1)
    assert len(in_flight) == 1


async def test_disconnect_cancels_only_the_request_of_that_client() -> None:
    in_flight, ended = InFlight(), list[str]()
    exchanges = [build_exchange("req_1"), build_exchange("req_2")]
    tasks = [asyncio.ensure_future(run(in_flight, each, ended)) for each in exchanges]
    await asyncio.sleep(0)
    in_flight.disconnect(exchanges[0])
    await asyncio.wait([tasks[0]])
    assert ended == ["req_1"]
    assert [each.is_client_disconnected for each in exchanges] == [True, False]
    assert (tasks[0].cancelled(), tasks[1].done(), len(in_flight)) == (True, False, 1)
    tasks[1].cancel()
    await asyncio.wait([tasks[1]])


async def test_disconnect_after_the_end_does_nothing() -> None:
    in_flight, exchange = InFlight(), build_exchange()
    in_flight.add(exchange, 1)
    in_flight.remove(exchange)
    in_flight.disconnect(exchange)
    await asyncio.sleep(0)  # the current task would be canceled here
    assert not exchange.is_client_disconnected


async def test_large_bodies_are_limited_together_until_their_requests_end() -> None:
    in_flight = InFlight()
    first, second, third = build_exchange(), build_exchange(), build_exchange()
    in_flight.add_body(first, 5_000_000, 1_000_000)  # one body may always be served
    with pytest.raises(errors.Overloaded, match="limit of 1000000 bytes") as caught:
        in_flight.add_body(second, 100_000, 1_000_000)
    assert caught.value.hint == "Try again later, or raise server.max_in_flight_bytes."
    in_flight.add_body(second, 64 * 1024, 1_000_000)  # small bodies do not count
    in_flight.remove(second)
    in_flight.remove(first)
    in_flight.add_body(second, 600_000, 1_000_000)
    in_flight.add_body(third, 400_000, 1_000_000)
    with pytest.raises(errors.Overloaded):
        in_flight.add_body(first, 100_000, 1_000_000)
    in_flight.remove(third)
    in_flight.remove(third)
    in_flight.add_body(first, 400_000, 1_000_000)
