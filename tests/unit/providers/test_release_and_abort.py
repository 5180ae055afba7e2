"""Ends other than the last byte: cancellation, release, abort, closing the pool. And backpressure."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from intellirouter.core import UpstreamRequest, errors
from intellirouter.providers import UpstreamPool
from intellirouter.providers.transport.connection import Connection
from tests.support.providers.loopback import (
    CHUNKED_HEAD,
    Peer,
    answer,
    call,
    chunked,
    deployment,
    eventually,
    open_counts,
    rest,
    serving,
    within,
)

LARGE = 50 * 1024 * 1024


def _sends(*pieces: bytes) -> Callable[[Peer], Awaitable[None]]:
    async def script(peer: Peer) -> None:
        await peer.request()
        for piece in pieces:
            await peer.send(piece)
        await peer.wait_gone()

    return script


def _one(pool: UpstreamPool) -> Connection:
    [connection] = pool._connections
    return connection


@pytest.mark.parametrize(
    "data",
    [(), (b"HTTP/1.1 200 OK\r\n",), (answer(b"hello")[:-2],), (CHUNKED_HEAD, chunked(b"hello", end=b""))],
    ids=["waiting", "headers", "body", "stream"],
)
async def test_canceled_request_closes_its_connection_at_once(pool: UpstreamPool, data: tuple[bytes, ...]) -> None:
    async with serving(_sends(*data)) as server:
        to = server.deployment()

        async def ask() -> None:
            response = await pool.send(to, UpstreamRequest(path="/x", body=b"{}"))
            try:
                await rest(response)
            finally:
                response.abort()

        task = asyncio.ensure_future(ask())
        await eventually(lambda: server.peers, "the request arriving")
        if data:
            await eventually(lambda: _one(pool)._non_body_bytes or _one(pool).has_headers, "the answer beginning")
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        with within(1.0):
            await asyncio.wait_for(server.peers[0].is_gone.wait(), 5)
        await eventually(lambda: open_counts(pool) == [0])


@pytest.mark.parametrize("turns", range(1, 13))
async def test_cancellation_while_connecting_leaves_nothing_open(pool: UpstreamPool, turns: int) -> None:
    """At every turn of the loop at which a call can be cancelled."""
    async with serving(lambda peer: peer.serve()) as server:
        to = server.deployment()
        tasks = [asyncio.ensure_future(call(pool, to)) for _ in range(10)]
        for _ in range(turns):
            await asyncio.sleep(0)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await eventually(
            lambda: open_counts(pool) == [sum(len(peers.idle) for peers in pool._address_pools.values())], "the count"
        )
        await eventually(lambda: [server.open_count] == open_counts(pool), "the upstream seeing it")


async def test_cancellation_during_the_handshake_leaves_nothing_open(pool: UpstreamPool) -> None:
    async with serving(lambda peer: peer.wait_gone()) as server:
        to = deployment(server.base_url.replace("http:", "https:"))
        task = asyncio.ensure_future(call(pool, to))
        await eventually(lambda: server.peers)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await eventually(lambda: open_counts(pool) == [0])
        await asyncio.wait_for(server.peers[0].is_gone.wait(), 5)


@pytest.mark.parametrize("end", ["release", "abort"])
async def test_release_and_abort_are_idempotent_and_harmless_after_the_last_byte(pool: UpstreamPool, end: str) -> None:
    async with serving(lambda peer: peer.serve(answer(b"hello"))) as server:
        to = server.deployment()
        response = await pool.send(to, UpstreamRequest(path="/x", body=b"{}"))
        assert await response.read(100) == b"hello"
        # The same connection, which now serves another request.
        other = await pool.send(to, UpstreamRequest(path="/x", body=b"{}"))
        for _ in range(3):
            getattr(response, end)()
        assert await response.next_chunk() == b""
        assert await other.read(100) == b"hello"
        assert len(server.peers) == 1


@pytest.mark.parametrize("end", ["release", "abort"])
@pytest.mark.parametrize("size", [10, 1_000_000], ids=["small", "large"])
async def test_connection_of_an_unread_complete_response_is_reused(pool: UpstreamPool, end: str, size: int) -> None:
    """A large one had stopped the reading: the connection must read again for its next request."""
    async with serving(lambda peer: peer.serve(answer(b"x" * size))) as server:
        to = server.deployment(idle_s=2.0, first_token_s=2.0)
        for _ in range(3):
            response = await pool.send(to, UpstreamRequest(path="/x", body=b"{}"))
            connection = _one(pool)
            if size == 10:
                await eventually(lambda: connection.is_complete)  # noqa: B023 - evaluated in this round
            getattr(response, end)()
            assert await call(pool, to) == b"x" * size
        if size == 10:
            assert len(server.peers) == 1


async def test_response_completed_while_reading_was_paused_does_not_block_the_next(
    pool: UpstreamPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving(lambda peer: peer.serve(answer(b"x" * 200_000))) as server:
        monkeypatch.setattr("intellirouter.providers.transport.connection._HIGH_WATER_BYTES", 1000)
        to = server.deployment(first_token_s=3.0, idle_s=3.0)
        response = await pool.send(to, UpstreamRequest(path="/x", body=b"{}"))
        connection = _one(pool)
        got = 0
        while not (connection.is_complete and connection._is_paused):
            await eventually(lambda: connection.is_complete or connection._is_paused)
            if not connection.is_complete:
                got += len(await response.next_chunk())
        response.abort()
        assert await call(pool, to) == b"x" * 200_000
        assert len(server.peers) == 1


@pytest.mark.parametrize("end", ["release", "abort"])
async def test_late_end_of_a_stream(pool: UpstreamPool, end: str) -> None:
    """After `[DONE]` only the last chunk is missing: released, the connection is kept; aborted, it is closed."""

    async def script(peer: Peer) -> None:
        while True:
            await peer.request()
            await peer.send(CHUNKED_HEAD + chunked(b"data: [DONE]\n\n", end=b""))
            await late.wait()
            await peer.send(b"0\r\n\r\n")

    late = asyncio.Event()
    async with serving(script) as server:
        to = server.deployment()
        response = await pool.send(to, UpstreamRequest(path="/x", body=b"{}"))
        assert await response.next_chunk() == b"data: [DONE]\n\n"
        getattr(response, end)()
        assert await response.next_chunk() == b""
        late.set()
        if end == "release":
            await eventually(
                lambda: any(each.idle for each in pool._address_pools.values()), "the connection being kept"
            )
        await call(pool, to)
        assert len(server.peers) == (1 if end == "release" else 2)


@pytest.mark.parametrize("tail", ["silent", "endless", "cut", "malformed"])
async def test_rest_that_is_too_long_or_invalid_closes_the_connection(pool: UpstreamPool, tail: str) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(CHUNKED_HEAD + chunked(b"data: [DONE]\n\n", end=b""))
        await released.wait()
        while tail == "endless":
            await peer.send(chunked(b"x" * 1000, end=b""))
        if tail == "malformed":
            await peer.send(b"zz\r\n")
        if tail != "cut":
            await peer.wait_gone()

    released = asyncio.Event()
    async with serving(script) as server:
        response = await pool.send(server.deployment(), UpstreamRequest(path="/x", body=b"{}"))
        assert await response.next_chunk() == b"data: [DONE]\n\n"
        response.release()
        released.set()
        with within(3.0):
            await asyncio.wait_for(server.peers[0].is_gone.wait(), 5)
            await eventually(lambda: open_counts(pool) == [0])


async def test_released_connection_serves_waiting_requests(pool: UpstreamPool) -> None:
    async def script(peer: Peer) -> None:
        while True:
            await peer.request()
            await peer.send(CHUNKED_HEAD + chunked(b"data: [DONE]\n\n", end=b""))
            await peer.send(b"0\r\n\r\n")

    async with serving(script) as server:
        to = server.deployment(max_connections=1)

        async def ask() -> None:
            response = await pool.send(to, UpstreamRequest(path="/x", body=b"{}"))
            await response.next_chunk()
            response.release()

        await asyncio.gather(*(ask() for _ in range(50)))
        assert len(server.peers) == 1


@pytest.mark.parametrize("framing", ["length", "until-close"])
async def test_response_over_the_limit_is_aborted(pool: UpstreamPool, framing: str) -> None:
    head = b"HTTP/1.1 200 OK\r\n" + (b"content-length: 10000000\r\n\r\n" if framing == "length" else b"\r\n")
    async with serving(_sends(head, b"x" * 2_000_000)) as server:
        response = await pool.send(server.deployment(), UpstreamRequest(path="/x", body=b"{}"))
        with pytest.raises(errors.UpstreamMalformed, match="larger than 1000000 bytes"):
            await response.read(1_000_000)
        await asyncio.wait_for(server.peers[0].is_gone.wait(), 5)


@pytest.mark.parametrize("framing", ["length", "chunked", "until-close"])
async def test_slow_reader_applies_backpressure(pool: UpstreamPool, framing: str) -> None:
    sent = 0

    async def script(peer: Peer) -> None:
        nonlocal sent
        await peer.request()
        heads = {"length": b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % LARGE, "chunked": CHUNKED_HEAD}
        await peer.send(heads.get(framing, b"HTTP/1.1 200 OK\r\n\r\n"))
        block = b"x" * 65536
        wire = chunked(block, end=b"") if framing == "chunked" else block
        while sent < LARGE:
            await peer.send(wire)
            sent += len(block)
        if framing == "chunked":
            await peer.send(b"0\r\n\r\n")

    async with serving(script) as server:
        response = await pool.send(server.deployment(), UpstreamRequest(path="/x", body=b"{}"))
        connection = _one(pool)
        await eventually(lambda: connection._is_paused, "the reading being stopped")
        seen = -1
        while seen != sent:  # until the kernel's buffers are full and the upstream stands still
            seen = sent
            await asyncio.sleep(0.05)
        assert sent < LARGE
        got = largest = 0
        while piece := await response.next_chunk():
            got += len(piece)
            largest = max(largest, len(piece), connection.buffered_bytes())
        assert got == LARGE
        assert largest <= 1024 * 1024


async def test_disconnect_under_backpressure(pool: UpstreamPool) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(b"HTTP/1.1 200 OK\r\ncontent-length: 10000000\r\n\r\n" + b"x" * 400_000)
        await stopped.wait()
        peer.reset()

    stopped = asyncio.Event()
    async with serving(script) as server:
        response = await pool.send(server.deployment(), UpstreamRequest(path="/x", body=b"{}"))
        await eventually(lambda: _one(pool)._is_paused)
        stopped.set()
        with pytest.raises(errors.UpstreamDisconnected):
            await rest(response)
        await eventually(lambda: open_counts(pool) == [0])


@pytest.mark.parametrize(
    "data",
    [(), (answer(b"hello")[:-2],), (CHUNKED_HEAD, chunked(b"he", end=b"")), (b"HTTP/1.1 200 OK\r\n\r\n", b"he")],
    ids=["waiting", "length", "chunked", "until-close"],
)
async def test_closing_the_pool_fails_requests_in_flight(data: tuple[bytes, ...]) -> None:
    pool = UpstreamPool()
    async with serving(_sends(*data)) as server:
        asked = asyncio.ensure_future(call(pool, server.deployment(max_connections=1)))
        await eventually(lambda: server.peers)
        waiting = asyncio.ensure_future(call(pool, server.deployment(max_connections=1)))
        await eventually(lambda: any(peers.waiting for peers in pool._address_pools.values()))
        await pool.close()
        assert (pool._connections, open_counts(pool), pool._is_closed) == ({}, [0], True)
        with within(1.0):
            results = await asyncio.gather(asked, waiting, return_exceptions=True)
        assert [type(result) for result in results] == [errors.UpstreamDisconnected, errors.UpstreamConnectFailed]
        with pytest.raises(errors.UpstreamConnectFailed, match="stopping"):
            await call(pool, server.deployment())
        assert len(server.peers) == 1


@pytest.mark.parametrize("turns", range(8))
async def test_closing_the_pool_while_connecting_leaves_nothing_open(turns: int) -> None:
    pool = UpstreamPool()
    async with serving(lambda peer: peer.wait_gone()) as server:
        calls = [asyncio.ensure_future(call(pool, server.deployment())) for _ in range(5)]
        for _ in range(turns):
            await asyncio.sleep(0)
        await pool.close()
        with within(2.0):
            results = await asyncio.gather(*calls, return_exceptions=True)
        assert all(isinstance(result, errors.UpstreamError) for result in results)
        await eventually(lambda: server.open_count == 0 and not pool._connections)
        assert sum(open_counts(pool)) == 0
        assert pool._sweep_timer is None or pool._sweep_timer.cancelled()


async def test_closing_twice_with_idle_connections() -> None:
    pool = UpstreamPool()
    async with serving(lambda peer: peer.serve()) as server:
        await call(pool, server.deployment())
        await pool.close()
        await pool.close()
        assert pool._connections == {}
        await asyncio.wait_for(server.peers[0].is_gone.wait(), 5)
