"""A stream that must have a throughput fails if its upstream is too slow, and not because its client is."""

import asyncio

import pytest

from intellirouter.core import UpstreamRequest, UpstreamResponse, errors
from intellirouter.providers import UpstreamPool
from tests.support.providers.loopback import (
    CHUNKED_HEAD,
    Peer,
    Server,
    chunked,
    eventually,
    open_counts,
    rest,
    serving,
    within,
)

WINDOW_S = 0.4
PIECE = b"x"
PING = b": ping\n\n"


class Tokens:
    """Reads a response, and counts what is not a ping as tokens."""

    def __init__(self, response: UpstreamResponse) -> None:
        self.response = response
        self.produced_tokens = 0

    async def read(self, *, pause_s: float = 0.0) -> None:
        self.response.content_began(self)
        while chunk := await self.response.next_chunk():
            self.produced_tokens += chunk.count(PIECE)
            await asyncio.sleep(pause_s)


async def tokens_of(pool: UpstreamPool, server: Server, *, min_tokens_per_s: float = 20) -> Tokens:
    to = server.deployment(
        first_token_s=9, idle_s=9, total_s=9, min_tokens_per_s=min_tokens_per_s, throughput_window_s=WINDOW_S
    )
    return Tokens(await pool.send(to, UpstreamRequest(path="/x", body=b"{}")))


async def send_forever(peer: Peer, data: bytes, interval_s: float) -> None:
    await peer.request()
    await peer.send(CHUNKED_HEAD + chunked(PIECE, end=b""))
    while True:
        await peer.send(chunked(data, end=b""))
        await asyncio.sleep(interval_s)


@pytest.mark.parametrize(("data", "interval_s"), [(PING, 0.01), (PIECE, 0.3)], ids=["pings", "drip"])
async def test_slow_upstream_fails(pool: UpstreamPool, data: bytes, interval_s: float) -> None:
    async with serving(lambda peer: send_forever(peer, data, interval_s)) as server:
        tokens = await tokens_of(pool, server)
        message = r"produced fewer than 20 tokens per second for too long \(timeouts.min_tokens_per_s\)"
        with pytest.raises(errors.UpstreamTimeout, match=message), within(4.0):
            await tokens.read()
        await eventually(lambda: open_counts(pool) == [0], "the connection is closed")


async def test_fast_upstream_does_not_fail(pool: UpstreamPool) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(CHUNKED_HEAD)
        for _ in range(100):
            await peer.send(chunked(PIECE * 5, end=b""))
            await asyncio.sleep(0.01)
        await peer.send(b"0\r\n\r\n")

    async with serving(script) as server:
        tokens = await tokens_of(pool, server)
        await tokens.read()
        assert tokens.produced_tokens == 500


async def test_slow_client_does_not_make_the_upstream_fail(pool: UpstreamPool) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(CHUNKED_HEAD)
        for _ in range(4):
            await peer.send(chunked(PIECE, end=b""))
            await asyncio.sleep(0.3)
        await peer.send(b"0\r\n\r\n")

    async with serving(script) as server:
        tokens = await tokens_of(pool, server)
        await tokens.read(pause_s=0.45)
        assert tokens.produced_tokens == 4


async def test_without_the_setting_pings_are_enough(pool: UpstreamPool) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(CHUNKED_HEAD)
        for _ in range(100):
            await peer.send(chunked(PING, end=b""))
            await asyncio.sleep(0.01)
        await peer.send(b"0\r\n\r\n")

    async with serving(script) as server:
        tokens = await tokens_of(pool, server, min_tokens_per_s=0)
        await tokens.read()


async def test_next_request_on_the_connection_starts_anew(pool: UpstreamPool) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(CHUNKED_HEAD + chunked(PIECE))
        await peer.request()
        await peer.send(CHUNKED_HEAD)
        await asyncio.sleep(3 * WINDOW_S)
        await peer.send(chunked(b"late"))

    async with serving(script) as server:
        first = await tokens_of(pool, server)
        await first.read()
        second = await tokens_of(pool, server)
        assert await rest(second.response) == b"late"
        assert len(server.peers) == 1
