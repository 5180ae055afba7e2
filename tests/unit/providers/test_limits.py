"""Connections per address are bounded. Requests beyond the limit wait in a queue that never stalls."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from intellirouter.core import errors
from intellirouter.providers import UpstreamPool
from intellirouter.providers.transport import pool as pool_module
from intellirouter.providers.transport.address_pool import AddressPool
from tests.support.providers.loopback import Peer, answer, call, eventually, open_counts, serving


def _waiting(pool: UpstreamPool) -> int:
    return sum(len(peers.waiting) for peers in pool._address_pools.values())


class Gate:
    """An upstream that records requests and responds when the test lets it."""

    def __init__(self, *headers: str) -> None:
        self.asked: list[bytes] = []
        self._headers = headers
        self._permits = asyncio.Semaphore(0)

    def let(self, count: int = 1) -> None:
        for _ in range(count):
            self._permits.release()

    async def script(self, peer: Peer) -> None:
        while True:
            self.asked.append(await peer.request())
            await self._permits.acquire()
            await peer.send(answer(b"{}", *self._headers))


@pytest.mark.parametrize("headers", [(), ("connection: close",)], ids=["keep-alive", "close"])
async def test_first_come_first_served_over_one_connection(pool: UpstreamPool, headers: tuple[str, ...]) -> None:
    gate = Gate(*headers)
    async with serving(gate.script) as server:
        to = server.deployment(max_connections=1)
        calls = [asyncio.ensure_future(call(pool, to, b"%d" % number)) for number in range(30)]
        await eventually(lambda: _waiting(pool) == 29 and gate.asked)
        gate.let(30)
        await asyncio.gather(*calls)
        assert gate.asked == [b"%d" % number for number in range(30)]
        assert len(server.peers) == (30 if headers else 1)


async def test_newcomer_does_not_overtake(pool: UpstreamPool) -> None:
    gate = Gate()
    async with serving(gate.script) as server:
        to = server.deployment(max_connections=1)
        first = asyncio.ensure_future(call(pool, to, b"first"))
        await eventually(lambda: gate.asked)
        second = asyncio.ensure_future(call(pool, to, b"second"))
        await eventually(lambda: _waiting(pool) == 1)
        gate.let(3)
        await first
        newcomer = asyncio.ensure_future(
            call(pool, to, b"newcomer")
        )  # in the iteration of the loop that frees the connection
        await asyncio.gather(second, newcomer)
        assert gate.asked == [b"first", b"second", b"newcomer"]


async def test_connections_are_counted_by_what_they_do(pool: UpstreamPool) -> None:
    gate = Gate()
    async with serving(gate.script) as server:
        to = server.deployment(max_connections=2)
        assert pool.count_connections() == (0, 0, 0)
        calls = [asyncio.ensure_future(call(pool, to)) for _ in range(5)]
        await eventually(lambda: len(gate.asked) == 2)
        assert pool.count_connections() == (2, 0, 3)
        gate.let(5)
        await asyncio.gather(*calls)
        await eventually(lambda: pool.count_connections() == (2, 2, 0))


@pytest.mark.parametrize("limit", [1, 3])
async def test_concurrent_requests_never_exceed_the_limit(pool: UpstreamPool, limit: int) -> None:
    most = 0

    async def script(peer: Peer) -> None:
        nonlocal most
        most = max(most, server.open_count)
        await peer.serve()

    async with serving(script) as server:
        to = server.deployment(max_connections=limit)
        await asyncio.gather(*(call(pool, to) for _ in range(200)))
        assert (most, len(server.peers), open_counts(pool)) == (limit, limit, [limit])


async def test_canceled_waiters_leave_the_queue(pool: UpstreamPool) -> None:
    gate = Gate()
    async with serving(gate.script) as server:
        to = server.deployment(max_connections=1)
        calls = [asyncio.ensure_future(call(pool, to, b"%d" % number)) for number in range(6)]
        await eventually(lambda: _waiting(pool) == 5 and gate.asked)
        for number in (1, 2, 4):
            calls[number].cancel()
        await eventually(lambda: _waiting(pool) == 2, "the line getting shorter")
        gate.let(6)
        results = await asyncio.gather(*calls, return_exceptions=True)
        assert [result == b"{}" for result in results] == [True, False, False, True, False, True]
        assert gate.asked == [b"0", b"3", b"5"]


def _when_served(monkeypatch: pytest.MonkeyPatch, act: Callable[[], object]) -> None:
    """Call `act` once, right after a waiter was assigned its result and before it has run."""
    acts = [act]
    for name in ("assign", "grant"):
        original = getattr(AddressPool, name)

        def served(peers: Any, *given: Any, original: Any = original) -> Any:
            waiting_before = len(peers.waiting)
            result = original(peers, *given)
            if len(peers.waiting) < waiting_before and acts:
                acts.pop()()
            return result

        monkeypatch.setattr(AddressPool, name, served)


@pytest.mark.parametrize("headers", [(), ("connection: close",)], ids=["keep-alive", "close"])
async def test_waiter_canceled_while_being_served_gives_its_slot_back(
    pool: UpstreamPool, headers: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = Gate(*headers)
    async with serving(gate.script) as server:
        to = server.deployment(max_connections=1)
        calls = [asyncio.ensure_future(call(pool, to, b"%d" % number)) for number in range(3)]
        await eventually(lambda: _waiting(pool) == 2 and gate.asked)
        _when_served(monkeypatch, calls[1].cancel)
        gate.let(3)
        assert await asyncio.wait_for(calls[2], 5) == b"{}"
        with pytest.raises(asyncio.CancelledError):
            await calls[1]
        assert gate.asked == [b"0", b"2"]


@pytest.mark.parametrize("is_noticed", [False, True], ids=["closing", "closed"])
async def test_connection_closed_while_being_assigned_loses_no_slot(
    pool: UpstreamPool, is_noticed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = Gate()
    async with serving(gate.script) as server:
        to = server.deployment(max_connections=1)
        calls = [asyncio.ensure_future(call(pool, to, b"%d" % number)) for number in range(3)]
        await eventually(lambda: _waiting(pool) == 2 and gate.asked)
        [connection] = pool._connections

        def die() -> None:
            connection.close()
            if is_noticed:
                connection.connection_lost(None)

        _when_served(monkeypatch, die)
        gate.let(3)
        assert await asyncio.wait_for(asyncio.gather(*calls), 5) == [b"{}"] * 3
        assert sorted(gate.asked) == [b"0", b"1", b"2"]
        assert len(server.peers) == 2


async def test_waiting_for_a_connection_hits_the_connect_timeout(pool: UpstreamPool) -> None:
    gate = Gate()
    async with serving(gate.script) as server:
        to = server.deployment(max_connections=1, connect_s=0.1)
        first = asyncio.ensure_future(call(pool, to, b"first"))
        await eventually(lambda: gate.asked)
        with pytest.raises(errors.UpstreamTimeout, match="None of the 1 connections became free") as caught:
            await call(pool, to, b"second")
        assert caught.value.code == "upstream_connect_timeout"
        assert "max_connections" in caught.value.hint
        assert _waiting(pool) == 0
        gate.let()
        assert await first == b"{}"


async def test_queue_is_bounded(pool: UpstreamPool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool_module, "_MAX_WAITING_PER_ADDRESS", 3)
    gate = Gate()
    async with serving(gate.script) as server:
        to = server.deployment(max_connections=1)
        calls = [asyncio.ensure_future(call(pool, to)) for _ in range(4)]
        await eventually(lambda: _waiting(pool) == 3 and gate.asked)
        with pytest.raises(errors.Overloaded, match="3 requests already wait for one of its 1 connections"):
            await call(pool, to)
        calls[1].cancel()  # a canceled waiter does not count
        await eventually(lambda: _waiting(pool) == 2)
        calls.append(asyncio.ensure_future(call(pool, to)))
        gate.let(4)
        results = await asyncio.gather(*calls, return_exceptions=True)
        assert [type(result) for result in results] == [bytes, asyncio.CancelledError, bytes, bytes, bytes]


async def test_failing_upstream_fails_all_waiting_requests(pool: UpstreamPool) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()

    async with serving(script) as server:
        to = server.deployment(max_connections=2)
        results = await asyncio.gather(*(call(pool, to) for _ in range(40)), return_exceptions=True)
        assert {type(result) for result in results} == {errors.UpstreamDisconnected}
        await eventually(lambda: open_counts(pool) == [0])


async def test_raised_limit_serves_requests_that_are_already_waiting(pool: UpstreamPool) -> None:
    gate = Gate()
    async with serving(gate.script) as server:
        to = server.deployment(max_connections=1)
        calls = [asyncio.ensure_future(call(pool, to)) for _ in range(3)]
        await eventually(lambda: _waiting(pool) == 2 and gate.asked)
        calls.append(asyncio.ensure_future(call(pool, server.deployment(max_connections=4))))
        await eventually(lambda: len(gate.asked) == 4, "everyone being served")
        gate.let(4)
        await asyncio.gather(*calls)
