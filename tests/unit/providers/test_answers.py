"""Every way in which HTTP/1.1 frames an answer, and every way in which an answer can be wrong."""

import asyncio
from collections.abc import Callable

import pytest
import uvloop
from hypothesis import given, settings
from hypothesis import strategies as st

from intellirouter.core import UpstreamRequest, errors
from intellirouter.providers import UpstreamPool
from tests.support.providers.loopback import (
    CHUNKED_HEAD,
    Peer,
    Server,
    answer,
    call,
    chunked,
    eventually,
    open_counts,
    serving,
    stream,
    within,
)

UNTIL_CLOSE = b"HTTP/1.1 200 OK\r\n\r\n"


def once(*writes: bytes) -> Callable[[Peer], object]:
    """Answer the first request of a connection in these writes, then close."""

    async def script(peer: Peer) -> None:
        await peer.request()
        for data in writes:
            await peer.send(data)

    return script


@pytest.mark.parametrize(
    ("data", "body"),
    [
        (answer(b"hello"), b"hello"),
        (answer(b""), b""),
        (CHUNKED_HEAD + chunked(b"hel", b"lo"), b"hello"),
        (CHUNKED_HEAD + b"5;name=value\r\nhello\r\n0\r\n\r\n", b"hello"),
        (CHUNKED_HEAD + chunked(b"hello", end=b"0\r\nx-trailer: late\r\n\r\n"), b"hello"),
        (UNTIL_CLOSE + b"hello", b"hello"),
        (UNTIL_CLOSE, b""),
        (b"HTTP/1.0 200 OK\r\n\r\nhello", b"hello"),
        (b"HTTP/1.0 200 OK\r\ncontent-length: 5\r\n\r\nhello", b"hello"),
        (b"HTTP/1.1 204 No Content\r\n\r\n", b""),
        (b"HTTP/1.1 304 Not Modified\r\ncontent-length: 500\r\n\r\n", b""),
        (b"HTTP/1.1 100 Continue\r\n\r\n" + answer(b"hello"), b"hello"),
        (b"HTTP/1.1 103 Early Hints\r\nlink: </x>\r\ncontent-length: 7\r\n\r\n" + answer(b"hello"), b"hello"),
        (b"HTTP/1.1 102 Processing\r\n\r\n" * 5 + CHUNKED_HEAD + chunked(b"hello"), b"hello"),
        (b"HTTP/1.1 100 Continue\r\ntransfer-encoding: chunked\r\n\r\n" + UNTIL_CLOSE + b"hello", b"hello"),
        (b"HTTP/1.1 200\r\ncontent-length: 5\r\n\r\nhello", b"hello"),
        (b"HTTP/1.1 200 OK\r\nconnection: upgrade\r\nupgrade: h2c\r\ncontent-length: 5\r\n\r\nhello", b"hello"),
    ],
)
@pytest.mark.parametrize("step", [1_000_000, 1], ids=["at-once", "byte-by-byte"])
async def test_body_arrives_unchanged(pool: UpstreamPool, data: bytes, body: bytes, step: int) -> None:
    writes = [data[at : at + step] for at in range(0, len(data), step)]
    async with serving(once(*writes)) as server:
        response = await pool.send(server.deployment(), UpstreamRequest(path="/x", body=b"{}"))
        assert response.status in {200, 204, 304}
        assert {name for name, _ in response.headers}.isdisjoint({"link", "x-trailer"})
        assert await response.read(100) == body
        assert {name for name, _ in response.headers}.isdisjoint({"x-trailer"})
        assert await response.next_chunk() == b""


@pytest.mark.parametrize("is_stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"HTTP/1.1 20",
        b"HTTP/1.1 200 OK\r\ncontent-le",
        b"HTTP/1.1 100 Continue\r\n\r\n",
        answer(b"hello")[:-1],
        CHUNKED_HEAD,
        CHUNKED_HEAD + chunked(b"hello", end=b""),
        CHUNKED_HEAD + b"50\r\nhello",
        CHUNKED_HEAD + b"5\r\nhello\r\n0\r\n",
        b"HTTP/1.0 200 OK\r\ncontent-length: 50\r\n\r\nhello",
    ],
    ids=["nothing", "status", "header", "interim", "length", "no-chunk", "no-end", "in-chunk", "in-end", "http-1.0"],
)
async def test_truncated_response_is_a_disconnect(pool: UpstreamPool, data: bytes, is_stream: bool) -> None:
    async with serving(once(data)) as server:
        ask = stream if is_stream else call
        with pytest.raises(errors.UpstreamDisconnected), within(2.0):
            await ask(pool, server.deployment())
        await eventually(lambda: open_counts(pool) == [0])


@pytest.mark.parametrize(
    "data", [answer(b"hello")[:-1], CHUNKED_HEAD + chunked(b"hell", end=b""), UNTIL_CLOSE + b"hell"]
)
async def test_reset_is_a_disconnect_after_the_received_bytes_whatever_the_framing(
    pool: UpstreamPool, data: bytes
) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(data)
        await given_out.wait()
        peer.reset()

    given_out = asyncio.Event()
    async with serving(script) as server:
        response = await pool.send(server.deployment(), UpstreamRequest(path="/x", body=b"{}"))
        came = b""
        while len(came) < 4:
            came += await response.next_chunk()
        assert came == b"hell"
        given_out.set()
        with pytest.raises(errors.UpstreamDisconnected, match="before its response was complete"):
            await response.next_chunk()


@pytest.mark.parametrize(
    "data",
    [
        b"SSH-2.0-OpenSSH_9.2p1\r\n",
        b"{}\r\n\r\n",
        b"HTTP/2 200 OK\r\n\r\n",
        b"HTTP/1.1 abc OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nbad header\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nx: a\x00b\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: five\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nhello!",
        b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n\x81\x00",
        b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00",
        b"\r\n" * 40_000,
    ],
)
async def test_invalid_http_is_malformed_at_once(pool: UpstreamPool, data: bytes) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(data)
        await peer.wait_gone()

    async with serving(script) as server:
        with pytest.raises(errors.UpstreamMalformed), within(2.0):
            await call(pool, server.deployment())
        await asyncio.wait_for(server.peers[0].is_gone.wait(), 5)
        await eventually(lambda: open_counts(pool) == [0])


async def test_invalid_chunk_is_malformed_after_the_valid_ones(pool: UpstreamPool) -> None:
    async with serving(once(CHUNKED_HEAD + chunked(b"good", end=b"zz\r\n"))) as server:
        response = await pool.send(server.deployment(), UpstreamRequest(path="/x", body=b"{}"))
        assert await response.next_chunk() == b"good"
        with pytest.raises(errors.UpstreamMalformed):
            await response.next_chunk()


async def _flood(peer: Peer, start: bytes, block: bytes) -> None:
    """Send for ever."""
    await peer.request()
    await peer.send(start)
    while True:
        await peer.send(block)


@pytest.mark.parametrize(
    ("start", "block"),
    [
        (b"HTTP/1.1 200 OK\r\n", b"x-header: value\r\n" * 100),
        (b"HTTP/1.1 200 OK\r\nx: ", b"a" * 4096),
        (b"HTTP/1.1 200 OK\r\n", b"a" * 4096),
        (b"HTTP/1.1 200 ", b"a" * 4096),
        (b"", b"HTTP/1.1 102 Processing\r\n\r\n" * 100),
        (CHUNKED_HEAD + b"1;", b"a" * 4096),
        (CHUNKED_HEAD + chunked(b"a", end=b"0\r\nx: "), b"a" * 4096),
    ],
    ids=["headers", "value", "name", "reason", "interim", "extension", "trailer"],
)
async def test_endless_heads_are_refused_before_the_deadline(pool: UpstreamPool, start: bytes, block: bytes) -> None:
    async with serving(lambda peer: _flood(peer, start, block)) as server:
        with pytest.raises(errors.UpstreamMalformed, match="65536 bytes of headers"), within(2.0):
            await call(pool, server.deployment())
        await asyncio.wait_for(server.peers[0].is_gone.wait(), 5)


async def test_large_head_within_the_limit_is_accepted(pool: UpstreamPool) -> None:
    headers = [f"x-{number}: {'v' * 1000}" for number in range(60)]
    async with serving(lambda peer: peer.serve(answer(b"ok", *headers))) as server:
        to = server.deployment()
        for _ in range(3):
            response = await pool.send(to, UpstreamRequest(path="/x", body=b"{}"))
            assert len(response.headers) == 61
            assert await response.read(10) == b"ok"
        assert len(server.peers) == 1


@pytest.mark.parametrize(
    "extra", [answer(b"second", "x: 2", status=500), b"HTTP/1.1 200 OK\r\nx: ", b"H", b"junk", b"0\r\n\r\n"]
)
@pytest.mark.parametrize("when", ["same-write", "later"])
async def test_bytes_after_a_response_never_reach_another_request(pool: UpstreamPool, extra: bytes, when: str) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        if peer.number > 1:
            await peer.send(answer(b"own"))
        elif when == "same-write":
            await peer.send(answer(b"first") + extra)
        else:
            await peer.send(answer(b"first"))
            await peer.send(extra)
        await peer.wait_gone()

    async with serving(script) as server:
        to = server.deployment()
        response = await pool.send(to, UpstreamRequest(path="/x", body=b"{}"))
        if when == "later":
            connection = next(iter(pool._connections))
            await eventually(lambda: connection.is_closed, "the extra bytes being noticed")
        assert (response.status, await response.read(100)) == (200, b"first")
        assert [name for name, _ in response.headers] == ["content-length"]
        assert await call(pool, to) == b"own"
        assert len(server.peers) == 2


@pytest.mark.parametrize("is_stream", [False, True], ids=["whole", "stream"])
async def test_bytes_after_a_drained_response_never_reach_another_request(pool: UpstreamPool, is_stream: bool) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        if peer.number == 1:
            await peer.send(CHUNKED_HEAD + b"1\r\na\r\n")
            await let_go.wait()
            await peer.send(b"0\r\n\r\n" + (answer(b"second") if is_stream else b"HTTP/1.1 200"))
            await peer.wait_gone()
        await peer.send(answer(b"own"))

    let_go = asyncio.Event()
    async with serving(script) as server:
        to = server.deployment()
        response = await pool.send(to, UpstreamRequest(path="/x", body=b"{}"))
        assert await response.next_chunk() == b"a"
        response.release()
        let_go.set()
        await asyncio.wait_for(server.peers[0].is_gone.wait(), 5)
        assert await call(pool, to) == b"own"


async def test_empty_line_after_a_response_is_ignored(pool: UpstreamPool) -> None:
    async with serving(lambda peer: peer.serve(answer(b"hello") + b"\r\n")) as server:
        to = server.deployment()
        assert [await call(pool, to) for _ in range(3)] == [b"hello"] * 3


async def test_early_response_is_returned_and_its_connection_closed(
    pool: UpstreamPool,
) -> None:
    async def script(peer: Peer) -> None:
        await peer.head()
        await peer.send(answer(b"too large", status=413))
        await peer.is_gone.wait()  # the body is never read

    async with serving(script) as server:
        to = server.deployment()
        response = await pool.send(to, UpstreamRequest(path="/x", body=bytes(32 * 1024 * 1024)))
        assert (response.status, await response.read(100)) == (413, b"too large")
        await eventually(lambda: open_counts(pool) == [0], "the connection being dropped")


async def test_large_request_arrives_complete(pool: UpstreamPool) -> None:
    got: list[int] = []

    async def script(peer: Peer) -> None:
        got.append(sum(await peer.request()))
        await peer.send(answer())

    async with serving(script) as server:
        body = bytes(range(256)) * 50_000
        assert await call(pool, server.deployment(), body) == b"{}"
        assert got == [sum(body)]


async def test_request_on_the_wire(pool: UpstreamPool) -> None:
    heads: list[str] = []

    async def script(peer: Peer) -> None:
        heads.append(await peer.head())
        heads.append((await peer.reader.readexactly(peer.length)).decode())
        await peer.send(answer())

    async with serving(script) as server:
        to = server.deployment(headers=(("x-team", "blue"),), credentials=("sk-1",))
        await call(pool, to, b'{"a":1}')
        host = server.base_url.split("/")[2]
    lines = heads[0].split("\r\n")
    assert lines[0] == "POST /v1/chat/completions HTTP/1.1"
    assert {f"host: {host}", "authorization: Bearer sk-1", "x-team: blue", "content-length: 7"} <= set(lines)
    assert {"content-type: application/json", "accept-encoding: identity"} <= set(lines)
    assert heads[1] == '{"a":1}'


BODIES = st.lists(st.binary(min_size=1, max_size=40), max_size=6)


@pytest.mark.parametrize("loop_factory", [uvloop.new_event_loop, asyncio.new_event_loop], ids=["uvloop", "asyncio"])
def test_response_may_be_split_anywhere(loop_factory: Callable[[], asyncio.AbstractEventLoop]) -> None:
    """Each example is one answer on a connection that was used before, in writes of arbitrary sizes."""
    script: list[tuple[bytes, list[int]]] = []

    async def serve(peer: Peer) -> None:
        while True:
            await peer.request()
            data, cuts = script[-1]
            at = 0
            for cut in [*sorted(cut % (len(data) + 1) for cut in cuts), len(data)]:
                await peer.send(data[at:cut])
                at = cut
                for _ in range(3):  # the other side gets a turn to read what has been written
                    await asyncio.sleep(0)

    async def start() -> tuple[UpstreamPool, Server, object]:
        context = serving(serve)
        return UpstreamPool(), await context.__aenter__(), context

    with asyncio.Runner(loop_factory=loop_factory) as runner:
        pool, server, context = runner.run(start())
        to = server.deployment()

        @settings(max_examples=120)
        @given(
            bodies=BODIES,
            is_chunked=st.booleans(),
            interim=st.integers(0, 2),
            cuts=st.lists(st.integers(0, 2**16), max_size=8),
        )
        def check(bodies: list[bytes], is_chunked: bool, interim: int, cuts: list[int]) -> None:
            data = CHUNKED_HEAD + chunked(*bodies) if is_chunked else answer(b"".join(bodies))
            script.append((b"HTTP/1.1 100 Continue\r\n\r\n" * interim + data, cuts))
            assert runner.run(call(pool, to)) == b"".join(bodies)

        check()
        assert len(server.peers) == 1
        runner.run(pool.close())
        runner.run(context.__aexit__(None, None, None))


async def test_credential_in_an_error_response_does_not_leave_the_transport(pool: UpstreamPool) -> None:
    key = "sk-live-0123456789abcdefghij"
    body = f'{{"error": "bad key {key}"}}'.encode()
    async with serving(lambda peer: peer.serve(answer(body, status=401))) as server:
        assert await call(pool, server.deployment(credentials=(key,))) == b'{"error": "bad key ***"}'


TWICE = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nx: y\r\ncontent-length:5\r\n\r\nhello"


async def test_an_equal_content_length_is_ignored(pool: UpstreamPool) -> None:
    async with serving(once(TWICE)) as server:
        response = await pool.send(server.deployment(), UpstreamRequest(path="/x", body=b"{}"))
        assert await response.read(100) == b"hello"


async def test_another_content_length_is_an_error_that_is_not_repeated(pool: UpstreamPool) -> None:
    async with serving(once(TWICE.replace(b"length:5", b"length:6"))) as server:
        with pytest.raises(errors.UpstreamAnswerUnusable, match="Content-Length"):
            await call(pool, server.deployment())
