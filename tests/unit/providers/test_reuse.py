"""Reuse of connections: which one is taken, and which ones must not be reused."""

import asyncio
import os
import socket
from pathlib import Path

import pytest

from intellirouter.core import Deployment, UpstreamRequest, errors
from intellirouter.providers import RotatingUpstream, UpstreamPool
from tests.support.providers.loopback import CHUNKED_HEAD, Peer, answer, call, chunked, eventually, open_counts, serving


def _pretend_idle_for(pool: UpstreamPool, seconds: float) -> None:
    for connection in pool._connections:
        connection.idle_since_s -= seconds


@pytest.mark.parametrize("data", [answer(b"hello"), CHUNKED_HEAD + chunked(b"hel", b"lo")], ids=["length", "chunked"])
async def test_one_connection_serves_consecutive_requests(pool: UpstreamPool, data: bytes) -> None:
    async with serving(lambda peer: peer.serve(data)) as server:
        to = server.deployment()
        assert [await call(pool, to) for _ in range(20)] == [b"hello"] * 20
        assert len(server.peers) == 1


async def test_unix_socket_connection_is_reused(pool: UpstreamPool, socket_dir: Path) -> None:
    async with serving(lambda peer: peer.serve(answer(b"here")), uds=str(socket_dir / "w.sock")) as server:
        to = server.deployment()
        assert [await call(pool, to) for _ in range(3)] == [b"here"] * 3
        assert len(server.peers) == 1


async def test_most_recently_used_connection_is_taken_first(pool: UpstreamPool) -> None:
    async def script(peer: Peer) -> None:
        await peer.serve(answer(b"%d" % peer.number))

    async with serving(script) as server:
        to = server.deployment()
        responses = [await pool.send(to, UpstreamRequest(path="/x", body=b"{}")) for _ in range(3)]
        for index in (0, 2, 1):
            assert await responses[index].read(100) == b"%d" % (index + 1)
        assert [await call(pool, to) for _ in range(3)] == [b"2"] * 3
        assert len(server.peers) == 3


async def test_deployments_with_one_address_share_its_connections(pool: UpstreamPool) -> None:
    async with serving(lambda peer: peer.serve()) as server:
        await call(pool, server.deployment())
        await call(pool, server.deployment(credentials=("other",)))
        assert len(server.peers) == 1


@pytest.mark.parametrize(
    "last_words",
    [
        answer(b"{}", "connection: close"),
        answer(b"{}", version="1.0"),
        CHUNKED_HEAD.replace(b"\r\n\r\n", b"\r\nConnection: Close\r\n\r\n") + chunked(b"{}"),
        b"HTTP/1.0 200 OK\r\n\r\n{}",
    ],
    ids=["announced", "http-1.0", "announced-chunked", "until-close"],
)
async def test_connection_closed_with_a_response_is_not_reused(pool: UpstreamPool, last_words: bytes) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(last_words)

    async with serving(script) as server:
        to = server.deployment()
        assert [await call(pool, to) for _ in range(10)] == [b"{}"] * 10
        assert len(server.peers) == 10
        await eventually(lambda: open_counts(pool) == [0])


async def test_worker_that_closes_after_every_hundredth_response_fails_no_request(pool: UpstreamPool) -> None:
    async def like_llama_cpp(peer: Peer) -> None:
        for _ in range(99):
            await peer.request()
            await peer.send(answer(b"{}", "Keep-Alive: timeout=5, max=100"))
        await peer.request()
        await peer.send(answer(b"{}", "Connection: close"))

    async with serving(like_llama_cpp) as server:
        to = server.deployment(max_connections=4)

        async def client() -> None:
            for _ in range(80):
                assert await call(pool, to) == b"{}"

        await asyncio.gather(*(client() for _ in range(8)))
        assert len(server.peers) >= 6


@pytest.mark.parametrize("is_reset", [False, True], ids=["fin", "reset"])
async def test_connection_closed_while_idle_is_replaced(pool: UpstreamPool, is_reset: bool) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(answer())
        if is_reset:
            peer.reset()

    async with serving(script) as server:
        to = server.deployment()
        await call(pool, to)
        await eventually(lambda: open_counts(pool) == [0], "the pool noticing")
        assert await call(pool, to) == b"{}"
        assert len(server.peers) == 2


@pytest.mark.parametrize("what", ["fin", "bytes"])
async def test_stale_connection_is_detected_before_the_loop_notices(pool: UpstreamPool, what: str) -> None:
    """The upstream acted a moment ago: only the socket itself shows it."""
    async with serving(lambda peer: peer.serve()) as server:
        to = server.deployment()
        await call(pool, to)
        [connection] = pool._connections
        assert not connection.is_stale()
        # The other end of the socket acts at once. The loop does not run before the next request.
        with _duplicate_socket(server.peers[0]) as sock:
            if what == "fin":
                sock.shutdown(socket.SHUT_WR)
            else:
                sock.send(b"HTTP/1.1 408 Request Timeout\r\n\r\n")
        assert connection.is_stale()
        _pretend_idle_for(pool, 1.0)
        assert await call(pool, to) == b"{}"
        assert len(server.peers) == 2


def _duplicate_socket(peer: Peer) -> socket.socket:
    """Return the same socket, to act on it without its loop."""
    return socket.socket(fileno=os.dup(peer.writer.get_extra_info("socket").fileno()))


async def test_unsolicited_bytes_close_an_idle_connection(pool: UpstreamPool) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(answer())
        if peer.number == 1:
            await released.wait()
            await peer.send(answer(b"stolen"))
            await peer.wait_gone()
        else:
            await peer.wait_gone()

    released = asyncio.Event()
    async with serving(script) as server:
        to = server.deployment()
        await call(pool, to)
        released.set()
        await asyncio.wait_for(server.peers[0].is_gone.wait(), 5)
        assert await call(pool, to) == b"{}"
        assert len(server.peers) == 2


async def test_announced_keep_alive_timeout_is_respected_with_a_margin(pool: UpstreamPool) -> None:
    async with serving(lambda peer: peer.serve(answer(b"{}", "Keep-Alive: timeout=5, max=100"))) as server:
        to = server.deployment()
        for idle_s, connections in ((3.5, 1), (4.5, 2)):
            await call(pool, to)
            _pretend_idle_for(pool, idle_s)
            await call(pool, to)
            assert len(server.peers) == connections


@pytest.mark.parametrize(
    ("value", "usable_s"),
    [
        ("timeout=5", 4.0),
        ("max=100, Timeout = 5", 4.0),
        ("timeout=1", 0.5),
        ("timeout=0", 0.0),
        ("timeout=100000", 55.0),
        ("max=7", 55.0),
        ("timeout=soon", 55.0),
    ],
)
async def test_usable_idle_time_from_the_keep_alive_header(pool: UpstreamPool, value: str, usable_s: float) -> None:
    async with serving(lambda peer: peer.serve(answer(b"{}", f"Keep-Alive: {value}"))) as server:
        await call(pool, server.deployment())
        [connection] = pool._connections
        assert connection.max_idle_s == usable_s


async def test_idle_connections_are_closed_and_no_timer_is_left(pool: UpstreamPool) -> None:
    async with serving(lambda peer: peer.serve()) as server:
        await call(pool, server.deployment())
        assert pool._sweep_timer is not None
        _pretend_idle_for(pool, 56.0)
        await asyncio.wait_for(server.peers[0].is_gone.wait(), 5)
        await eventually(lambda: pool._sweep_timer is None, "the sweep stopping")
        await eventually(lambda: open_counts(pool) == [0])


async def test_idle_connection_has_no_deadline(pool: UpstreamPool) -> None:
    async with serving(lambda peer: peer.serve()) as server:
        await call(pool, server.deployment())
        [connection] = pool._connections
        assert (connection.deadline_s, connection.total_deadline_s) == (float("inf"), float("inf"))


async def test_close_instead_of_a_response_fails_the_request_and_nothing_is_resent(
    pool: UpstreamPool,
) -> None:
    seen: list[bytes] = []

    async def script(peer: Peer) -> None:
        seen.append(await peer.request())
        if peer.number == 1:
            await peer.send(answer())
            seen.append(await peer.request())

    async with serving(script) as server:
        to = server.deployment()
        await call(pool, to, b"first")
        with pytest.raises(errors.UpstreamDisconnected, match="without sending a response"):
            await call(pool, to, b"second")
        assert seen == [b"first", b"second"]


async def test_credentials_rotate(pool: UpstreamPool) -> None:
    heads: list[str] = []

    async def script(peer: Peer) -> None:
        while True:
            heads.append(await peer.head())
            await peer.reader.readexactly(peer.length)
            await peer.send(answer())

    async with serving(script) as server:
        to = server.deployment(credentials=("one", "two", "three"))
        for _ in range(6):
            await call(pool, to)
    used = [line.removeprefix("authorization: ") for head in heads for line in head.split("\r\n") if "Bearer" in line]
    assert sorted(used[:3]) == ["Bearer one", "Bearer three", "Bearer two"]
    assert used[:3] == used[3:]


async def test_reload_forgets_deployments_but_not_their_connections(pool: UpstreamPool) -> None:
    async with serving(lambda peer: peer.serve()) as server:
        old, new = server.deployment(), server.deployment(max_connections=7)
        await call(pool, old)
        await call(pool, new)
        pool.apply([new])
        assert set(pool._states) == {new}
        await call(pool, new)
        await call(pool, old)  # a request that was in flight during the reload
        assert len(server.peers) == 1


@pytest.mark.parametrize("is_applied", [False, True], ids=["on-first-use", "applied"])
async def test_reload_raises_the_limit(pool: UpstreamPool, is_applied: bool) -> None:
    async with serving(lambda peer: peer.serve()) as server:
        await call(pool, server.deployment(max_connections=1))
        to = server.deployment(max_connections=3)
        if is_applied:
            pool.apply([to])
        responses = [await pool.send(to, UpstreamRequest(path="/x", body=b"{}")) for _ in range(3)]
        for response in responses:
            await response.read(100)


async def test_reload_lowers_the_limit_and_requests_with_the_old_deployment_do_not_raise_it_again(
    pool: UpstreamPool,
) -> None:
    async with serving(lambda peer: peer.serve()) as server:
        old, new = server.deployment(max_connections=3), server.deployment(max_connections=1, connect_s=0.05)
        await call(pool, old)
        pool.apply([new])
        assert await call(pool, old) == b"{}"  # in flight during the reload
        response = await pool.send(new, UpstreamRequest(path="/x", body=b"{}"))
        with pytest.raises(errors.UpstreamTimeout, match="None of the 1 connections"):
            await call(pool, new)
        await response.read(100)


async def test_deployments_that_share_an_address_share_the_highest_limit(pool: UpstreamPool) -> None:
    async with serving(lambda peer: peer.serve()) as server:
        low, high = server.deployment(max_connections=1), server.deployment(max_connections=2)
        for order in ([low, high], [high, low]):
            pool.apply(order)
            responses = [await pool.send(low, UpstreamRequest(path="/x", body=b"{}")) for _ in range(2)]
            for response in responses:
                await response.read(100)


async def test_reload_without_changes_keeps_connections_and_cooldowns(pool: UpstreamPool) -> None:
    async def script(peer: Peer) -> None:
        while True:
            head = await peer.head()
            await peer.reader.readexactly(peer.length)
            await peer.send(answer(status=429 if "Bearer two" in head else 200))

    async with serving(script) as server:
        old, new = (server.deployment(credentials=("one", "two")) for _ in range(2))
        for _ in range(2):
            assert await call(pool, old) == b"{}"
        before = pool.credential_states([old])
        pool.apply([new])
        assert await call(pool, new) == b"{}"
        after = pool.credential_states([new])
        assert [each.state for each in before] == [each.state for each in after] == ["ready", "cooling_down"]
        assert [each.uses for each in after] == [2, 1]
        assert len(server.peers) == 1


async def test_unused_addresses_are_forgotten(pool: UpstreamPool) -> None:
    async with serving(lambda peer: peer.serve(answer(b"{}", "connection: close"))) as server:
        await call(pool, server.deployment())
        await eventually(lambda: open_counts(pool) == [0])
    pool.apply([])
    assert (pool._states, pool._address_pools) == ({}, {})


async def test_paths_with_ids_do_not_accumulate(pool: UpstreamPool) -> None:
    async with serving(lambda peer: peer.serve(answer(b"here"))) as server:
        to = server.deployment()
        for number in range(100):
            for method in ("GET", "DELETE", "POST"):
                response = await pool.send(to, UpstreamRequest(path=f"/responses/r_{number}", method=method))
                assert await response.read(100) == b"here"
        assert len(pool._states[to]._heads) <= 32


async def test_heads_differ_by_method_and_headers(pool: UpstreamPool) -> None:
    heads: list[str] = []

    async def script(peer: Peer) -> None:
        while True:
            heads.append(await peer.head())
            await peer.reader.readexactly(peer.length)
            await peer.send(answer())

    asked = [
        UpstreamRequest(path="/x"),
        UpstreamRequest(path="/x", method="GET"),
        UpstreamRequest(path="/x", headers=(("x-one", "1"),)),
        UpstreamRequest(path="/x", headers=(("x-one", "2"),)),
    ]
    async with serving(script) as server:
        to = server.deployment()
        for request in asked * 2:
            await (await pool.send(to, request)).read(100)
    seen = [(head.split(" ")[0], "x-one: 1" in head, "x-one: 2" in head) for head in heads]
    assert seen == [("POST", False, False), ("GET", False, False), ("POST", True, False), ("POST", False, True)] * 2


async def test_states_of_wildcard_deployments_do_not_accumulate(
    pool: UpstreamPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("intellirouter.providers.transport.pool._MAX_DEPLOYMENTS", 3)
    async with serving(lambda peer: peer.serve()) as server:
        deployments = [server.deployment() for _ in range(10)]
        for to in deployments * 2:
            await call(pool, to)
        assert len(pool._states) == 3
        assert len(server.peers) == 1


async def _dead_connections(peer: Peer, count: int) -> None:
    """Serve one request; the first connections reset when they get another one."""
    await peer.request()
    arrived.append(peer.number)
    while len(arrived) < count:
        await asyncio.sleep(0.001)
    await peer.send(answer())
    if peer.number <= count:
        await peer.head()
        peer.reset()
        await peer.wait_gone()
    else:
        await peer.serve()


arrived: list[int] = []


async def _warm(pool: UpstreamPool, to: Deployment, count: int) -> None:
    arrived.clear()
    await asyncio.gather(*(call(pool, to) for _ in range(count)))


async def test_dead_connection_is_reported_and_the_other_idle_ones_are_dropped(pool: UpstreamPool) -> None:
    async with serving(lambda peer: _dead_connections(peer, 6)) as server:
        to = server.deployment()
        await _warm(pool, to, 6)
        with pytest.raises(errors.UpstreamDisconnected) as caught:
            await call(pool, to)
        assert caught.value.is_stale_connection
        assert await call(pool, to) == b"{}"
        assert len(server.peers) == 7, "the next request opens a new connection"


async def test_rotating_upstream_replaces_a_dead_connection(pool: UpstreamPool) -> None:
    async with serving(lambda peer: _dead_connections(peer, 3)) as server:
        to = server.deployment()
        await _warm(pool, to, 3)
        response = await RotatingUpstream(pool).send(to, UpstreamRequest(path="/x", body=b"{}"))
        assert await response.read(100) == b"{}"
        assert len(server.peers) == 4


@pytest.mark.parametrize("case", ["new connection", "after a byte", "late"])
async def test_failure_of_a_living_connection_is_not_stale(
    pool: UpstreamPool, case: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def script(peer: Peer) -> None:
        if case != "new connection":
            await peer.request()
            await peer.send(answer())
        await peer.request()
        if case == "after a byte":
            await peer.send(b"HTTP/1.1 2")
        if case == "late":
            [connection] = pool._connections
            await asyncio.sleep(0.05)
            assert connection.is_busy
        peer.reset()

    async with serving(script) as server:
        to = server.deployment()
        if case != "new connection":
            await call(pool, to)
        if case == "late":
            monkeypatch.setattr("intellirouter.providers.transport.pool._STALE_WITHIN_S", 0.02)
        with pytest.raises(errors.UpstreamDisconnected) as caught:
            await call(pool, to)
        assert not caught.value.is_stale_connection
