"""The requests in flight: their limit, and the watch that cancels a request whose client disconnects."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from intellirouter.core import errors
from intellirouter.pipeline import Exchange, InFlight
from intellirouter.pipeline.in_flight import WaitForDisconnect
from tests.support.dialects.standard import ENDPOINTS


def build_exchange(request_id: str = "req_1") -> Exchange:
    return Exchange(request_id, "/test", ENDPOINTS["openai_chat"], started_s=0.0, started_us=0)


class Ticker:
    """Replaces the timer of `InFlight`: the test decides when the requests are checked."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._loop = asyncio.get_running_loop()
        self._call_later = self._loop.call_later
        self._callbacks: list[Callable[[], None]] = []
        monkeypatch.setattr(self._loop, "call_later", self._schedule)

    def _schedule(
        self, delay_s: float, callback: Callable[..., Any], *args: Any, **members: Any
    ) -> asyncio.TimerHandle:
        if not isinstance(getattr(callback, "__self__", None), InFlight):
            return self._call_later(delay_s, callback, *args, **members)
        self._callbacks.append(callback)
        return asyncio.TimerHandle(0.0, callback, args, self._loop)

    @property
    def is_running(self) -> bool:
        return bool(self._callbacks)

    async def tick(self, count: int = 1) -> None:
        """Check the requests, then let the tasks run that this has started."""
        for _ in range(count):
            [callback] = self._callbacks
            self._callbacks.clear()
            callback()
            await settled()


@pytest.fixture
async def ticker(monkeypatch: pytest.MonkeyPatch) -> Ticker:
    return Ticker(monkeypatch)


class Client:
    """A client that disconnects when the test says so. `watches` counts how often its connection was watched."""

    def __init__(self, error: Exception | None = None) -> None:
        self.watches = 0
        self.stopped_watches = 0
        self.disconnected = asyncio.Event()
        self._error = error

    async def wait_for_disconnect(self) -> None:
        self.watches += 1
        if self._error is not None:
            raise self._error
        try:
            await self.disconnected.wait()
        except asyncio.CancelledError:
            self.stopped_watches += 1
            raise


class Request:
    """A request that has been received and is in flight until `end`."""

    def __init__(self, in_flight: InFlight, wait: WaitForDisconnect | None, request_id: str = "req_1") -> None:
        self.exchange = build_exchange(request_id)
        self.exchange.is_received = True
        self._done = asyncio.Event()
        self.task = asyncio.ensure_future(self._run(in_flight, wait))

    async def _run(self, in_flight: InFlight, wait: WaitForDisconnect | None) -> None:
        in_flight.add(self.exchange, 10, wait)
        try:
            await self._done.wait()
        finally:
            in_flight.remove(self.exchange)

    async def end(self) -> None:
        self._done.set()
        await self.task
        await settled()


async def settled() -> None:
    """Let all tasks run that are ready."""
    for _ in range(5):
        await asyncio.sleep(0)


async def test_limit_counts_the_requests_in_flight(ticker: Ticker) -> None:
    in_flight = InFlight()
    first, second = build_exchange(), build_exchange()
    in_flight.add(first, 2, None)
    in_flight.add(second, 2, None)
    with pytest.raises(errors.Overloaded) as caught:
        in_flight.add(build_exchange(), 2, None)
    assert caught.value.message == "The gateway is at its limit of 2 requests in flight."
    assert caught.value.hint == "Try again later, or raise server.max_in_flight."
    assert caught.value.retry_after_s == 1.0
    assert len(in_flight) == 2
    in_flight.remove(first)
    in_flight.add(build_exchange(), 2, None)
    assert len(in_flight) == 2
    assert ticker.is_running


async def test_removing_a_request_that_was_not_added_does_nothing(ticker: Ticker) -> None:
    in_flight = InFlight()
    in_flight.add(build_exchange(), 2, None)
    in_flight.remove(build_exchange())
    assert len(in_flight) == 1
    await ticker.tick()


async def test_short_request_is_not_watched(ticker: Ticker) -> None:
    in_flight, client = InFlight(), Client()
    request = Request(in_flight, client.wait_for_disconnect)
    await settled()
    await ticker.tick()
    await request.end()
    await ticker.tick()
    assert client.watches == 0
    assert not ticker.is_running, "no timer runs while no request is in flight"


async def test_long_request_is_watched_once_until_it_ends(ticker: Ticker) -> None:
    in_flight, client = InFlight(), Client()
    request = Request(in_flight, client.wait_for_disconnect)
    await settled()
    await ticker.tick(4)
    assert (client.watches, client.stopped_watches) == (1, 0)
    await request.end()
    assert (client.watches, client.stopped_watches) == (1, 1)
    assert not request.exchange.is_client_disconnected


async def test_request_is_watched_only_after_its_body_has_been_received(ticker: Ticker) -> None:
    """While the body arrives, the source itself notices that the client disconnects."""
    in_flight, client = InFlight(), Client()
    request = Request(in_flight, client.wait_for_disconnect)
    request.exchange.is_received = False
    await settled()
    await ticker.tick(3)
    assert client.watches == 0
    request.exchange.is_received = True
    await ticker.tick(2)
    assert client.watches == 1
    await request.end()


async def test_request_whose_source_cancels_it_is_not_watched(ticker: Ticker) -> None:
    in_flight, client = InFlight(), Client()
    own, watched = Request(in_flight, None, "req_1"), Request(in_flight, client.wait_for_disconnect, "req_2")
    await settled()
    await ticker.tick(3)
    assert client.watches == 1
    await own.end()
    assert client.stopped_watches == 0, "the end of one request does not end the watch of another one"
    await watched.end()
    assert len(in_flight) == 0


async def test_request_that_ends_between_two_checks_does_not_affect_others(ticker: Ticker) -> None:
    in_flight, clients = InFlight(), (Client(), Client())
    requests = [Request(in_flight, each.wait_for_disconnect) for each in clients]
    await settled()
    await ticker.tick()
    await requests[0].end()
    await ticker.tick()
    assert [each.watches for each in clients] == [0, 1]
    await requests[1].end()


async def test_disconnect_cancels_the_request(ticker: Ticker) -> None:
    in_flight, leaving, staying = InFlight(), Client(), Client()
    canceled = Request(in_flight, leaving.wait_for_disconnect)
    other = Request(in_flight, staying.wait_for_disconnect)
    await settled()
    await ticker.tick(2)
    leaving.disconnected.set()
    await settled()
    assert canceled.task.cancelled()
    assert canceled.exchange.is_client_disconnected
    assert (other.task.done(), other.exchange.is_client_disconnected) == (False, False)
    assert len(in_flight) == 1
    await other.end()


async def test_late_disconnect_does_not_cancel_the_next_work_of_the_task(ticker: Ticker) -> None:
    """A watch that ends after its request must not cancel what the task does then."""
    in_flight = InFlight()
    exchange = build_exchange()
    exchange.is_received = True

    async def return_when_canceled() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return

    in_flight.add(exchange, 1, return_when_canceled)
    await ticker.tick(2)
    in_flight.remove(exchange)
    await settled()
    assert not exchange.is_client_disconnected


async def test_watch_works_again_after_the_gateway_was_idle(ticker: Ticker) -> None:
    in_flight = InFlight()
    for _ in range(2):
        client = Client()
        request = Request(in_flight, client.wait_for_disconnect)
        await settled()
        await ticker.tick(2)
        assert client.watches == 1
        await request.end()
        await ticker.tick()
        assert not ticker.is_running


async def test_failed_watch_is_logged_with_the_request_id(ticker: Ticker, caplog: pytest.LogCaptureFixture) -> None:
    in_flight, client = InFlight(), Client(ZeroDivisionError("boom"))
    request = Request(in_flight, client.wait_for_disconnect, "req_7")
    await settled()
    await ticker.tick(2)
    assert "The background task in flight.req_7 failed." in caplog.messages
    assert not request.task.done(), "the request continues"
    await request.end()
