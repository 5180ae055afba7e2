"""Each phase of an attempt has a timeout, and only the upstream's silence counts towards it."""

import asyncio
import time

import pytest

from intellirouter.core import UpstreamRequest, errors
from intellirouter.providers import UpstreamPool
from tests.support.providers.loopback import (
    CHUNKED_HEAD,
    Peer,
    answer,
    call,
    chunked,
    eventually,
    open_counts,
    rest,
    serving,
    within,
)

SHORT_S = 0.15
LONG_S = 30.0


def _sends(*pieces: bytes) -> object:
    """Send these pieces, then stay silent until the pool closes the connection."""

    async def script(peer: Peer) -> None:
        await peer.request()
        for piece in pieces:
            await peer.send(piece)
        await peer.wait_gone()

    return script


@pytest.mark.parametrize("data", [(), (b"HTTP/1.1 200 OK\r\ncontent-le",), (b"HTTP/1.1 100 Continue\r\n\r\n",)])
async def test_missing_headers_hit_the_first_token_timeout(pool: UpstreamPool, data: tuple[bytes, ...]) -> None:
    async with serving(_sends(*data)) as server:
        to = server.deployment(first_token_s=SHORT_S, idle_s=LONG_S, total_s=LONG_S)
        started = time.monotonic()
        with (
            pytest.raises(errors.UpstreamTimeout, match=r"did not respond within [\d.]+ s \(timeouts.first_token_s\)"),
            within(2.0),
        ):
            await call(pool, to)
        assert time.monotonic() - started >= SHORT_S
        await asyncio.wait_for(server.peers[0].is_gone.wait(), 5)
        await eventually(lambda: open_counts(pool) == [0])


async def test_stream_without_content_hits_the_first_token_timeout(pool: UpstreamPool) -> None:
    """Headers and comments are not content: until the caller reports content, the first-token timeout applies."""

    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(CHUNKED_HEAD)
        while True:
            await peer.send(chunked(b": still working\n\n", end=b""))
            await asyncio.sleep(0.01)

    async with serving(script) as server:
        to = server.deployment(first_token_s=SHORT_S, idle_s=LONG_S, total_s=LONG_S)
        response = await pool.send(to, UpstreamRequest(path="/x", body=b"{}"))
        with (
            pytest.raises(errors.UpstreamTimeout, match=r"did not respond within [\d.]+ s \(timeouts.first_token_s\)"),
            within(2.0),
        ):
            await rest(response)


async def test_headers_are_returned_before_the_body_arrives(pool: UpstreamPool) -> None:
    async with serving(_sends(CHUNKED_HEAD)) as server:
        with within(2.0):
            response = await pool.send(server.deployment(), UpstreamRequest(path="/x", body=b"{}"))
        assert response.status == 200
        response.abort()


@pytest.mark.parametrize("is_stream", [False, True], ids=["whole", "stream"])
async def test_silence_after_the_start_hits_the_idle_timeout(pool: UpstreamPool, is_stream: bool) -> None:
    async with serving(_sends(CHUNKED_HEAD, chunked(b"first", end=b""))) as server:
        to = server.deployment(first_token_s=LONG_S, idle_s=SHORT_S, total_s=LONG_S)
        response = await pool.send(to, UpstreamRequest(path="/x", body=b"{}"))
        if is_stream:
            assert await response.next_chunk() == b"first"
            response.content_began()
        with pytest.raises(errors.UpstreamTimeout, match=r"sent nothing for [\d.]+ s \(timeouts.idle_s\)"), within(2.0):
            await (response.next_chunk() if is_stream else response.read(100))
        await eventually(lambda: open_counts(pool) == [0])


async def test_whole_response_needs_only_its_headers_within_the_first_token_timeout(pool: UpstreamPool) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        data = answer(b"late")
        await peer.send(data[:-4])
        await late.wait()
        await peer.send(data[-4:])

    late = asyncio.Event()
    async with serving(script) as server:
        to = server.deployment(first_token_s=SHORT_S, idle_s=LONG_S, total_s=LONG_S)
        response = await pool.send(to, UpstreamRequest(path="/x", body=b"{}"))
        reading = asyncio.ensure_future(response.read(100))
        asyncio.get_running_loop().call_later(2 * SHORT_S, late.set)
        assert await reading == b"late"


async def test_steady_stream_is_not_ended_by_the_idle_timeout(pool: UpstreamPool) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(CHUNKED_HEAD)
        started = time.monotonic()
        while time.monotonic() - started < 3 * SHORT_S:
            await peer.send(chunked(b"x", end=b""))
            await asyncio.sleep(0.01)
        await peer.send(b"0\r\n\r\n")

    async with serving(script) as server:
        to = server.deployment(first_token_s=LONG_S, idle_s=SHORT_S, total_s=LONG_S)
        assert set(await call(pool, to)) == {ord("x")}


@pytest.mark.parametrize("is_stream", [False, True], ids=["whole", "stream"])
async def test_endless_response_hits_the_total_timeout(pool: UpstreamPool, is_stream: bool) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(CHUNKED_HEAD)
        while True:
            await peer.send(chunked(b"x", end=b""))
            await asyncio.sleep(0.01)

    async with serving(script) as server:
        to = server.deployment(first_token_s=LONG_S, idle_s=LONG_S, total_s=2 * SHORT_S)
        response = await pool.send(to, UpstreamRequest(path="/x", body=b"{}"))
        if is_stream:
            response.content_began()
        with (
            pytest.raises(
                errors.UpstreamTimeout, match=r"did not complete its response within [\d.]+ s \(timeouts.total_s\)"
            ),
            within(2.0),
        ):
            await (rest(response) if is_stream else response.read(1 << 30))
        await eventually(lambda: open_counts(pool) == [0])


async def test_shorter_total_timeout_is_named_in_the_error(pool: UpstreamPool) -> None:
    async with serving(_sends()) as server:
        to = server.deployment(first_token_s=LONG_S, idle_s=LONG_S, total_s=SHORT_S)
        with (
            pytest.raises(
                errors.UpstreamTimeout, match=r"did not complete its response within [\d.]+ s \(timeouts.total_s\)"
            ),
            within(2.0),
        ):
            await call(pool, to)


async def test_slow_reading_does_not_time_the_upstream_out(pool: UpstreamPool) -> None:
    async with serving(_sends(CHUNKED_HEAD + chunked(b"first", end=b""), chunked(b"second"))) as server:
        to = server.deployment(first_token_s=SHORT_S, idle_s=SHORT_S, total_s=LONG_S)
        response = await pool.send(to, UpstreamRequest(path="/x", body=b"{}"))
        got = await response.next_chunk()
        response.content_began()
        await asyncio.sleep(3 * SHORT_S)  # the client reads slowly: longer than every timeout of the upstream
        assert got + await rest(response) == b"firstsecond"


@pytest.mark.parametrize("framing", [CHUNKED_HEAD, b"HTTP/1.1 200 OK\r\n\r\n"], ids=["chunked", "until-close"])
async def test_timeout_during_a_pause_is_raised_after_the_received_bytes(pool: UpstreamPool, framing: bytes) -> None:
    """Closing the connection ourselves must not look like the end of a body that ends with the connection."""
    piece = b"first" if framing != CHUNKED_HEAD else chunked(b"first", end=b"")
    async with serving(_sends(framing, piece, piece)) as server:
        to = server.deployment(first_token_s=LONG_S, idle_s=LONG_S, total_s=SHORT_S)
        response = await pool.send(to, UpstreamRequest(path="/x", body=b"{}"))
        response.content_began()
        assert await response.next_chunk() in {b"first", b"firstfirst"}
        await eventually(lambda: open_counts(pool) == [0], "the total deadline")
        with pytest.raises(
            errors.UpstreamTimeout, match=r"did not complete its response within [\d.]+ s \(timeouts.total_s\)"
        ):
            await rest(response)


async def test_requests_have_no_timers_of_their_own(pool: UpstreamPool, monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving(lambda peer: peer.serve()) as server:
        to = server.deployment()
        await call(pool, to)
        loop = asyncio.get_running_loop()
        made: list[object] = []
        counting = _CountingLoop(loop, made)
        monkeypatch.setattr(pool, "_loop", counting)
        for _ in range(50):
            await call(pool, to)
        assert len(made) <= 1  # the sweep's


class _CountingLoop:
    def __init__(self, loop: asyncio.AbstractEventLoop, made: list[object]) -> None:
        self._loop = loop
        self._made = made

    def call_later(self, *arguments: object) -> object:
        self._made.append(arguments)
        return self._loop.call_later(*arguments)  # type: ignore[arg-type]

    def __getattr__(self, name: str) -> object:
        return getattr(self._loop, name)
