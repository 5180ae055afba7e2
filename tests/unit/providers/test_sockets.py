"""WebSockets to deployments: credentials, certificates, timeouts, refusals, and misbehaving upstreams."""

import asyncio
import contextlib
import http
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection, serve, unix_serve
from websockets.datastructures import Headers
from websockets.http11 import Request, Response

from intellirouter.core import Deployment, SocketClosed, SocketRefusal, UpstreamRequest, errors
from intellirouter.providers import UpstreamPool, WebSocketDialer
from intellirouter.providers.websocket import Socket
from tests.support.providers.google import service_account
from tests.support.providers.loopback import Authority, Peer, answer, deployment, serving

REQUEST = UpstreamRequest(method="GET", path="/realtime?model=up", headers=(("openai-beta", "realtime=v1"),))
Talk = Callable[[ServerConnection], Awaitable[Any]]


async def echo(link: ServerConnection) -> None:
    async for message in link:
        await link.send(message)


@contextlib.asynccontextmanager
async def talking(talk: Talk = echo, **options: Any) -> AsyncIterator[tuple[str, list[Request]]]:
    """Serve WebSockets on loopback; yields the base URL and the handshakes that came."""
    seen: list[Request] = []
    refuse = options.pop("process_request", None)

    def note(link: ServerConnection, request: Request) -> Response | None:
        seen.append(request)
        refused: Response | None = refuse(link, request) if refuse else None
        return refused

    async with serve(talk, "127.0.0.1", 0, process_request=note, **options) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        scheme = "https" if options.get("ssl") else "http"
        yield f"{scheme}://localhost:{port}/v1", seen


async def opened(pool: UpstreamPool, to: Deployment, dialer: WebSocketDialer | None = None) -> Socket:
    socket = await (dialer or WebSocketDialer(pool)).connect(to, REQUEST)
    assert isinstance(socket, Socket)
    return socket


async def test_text_and_binary_messages_pass_in_both_directions(pool: UpstreamPool) -> None:
    async with talking() as (url, seen):
        socket = await opened(pool, deployment(url, credentials=["sk-1"], headers=(("x-ours", "yes"),)))
        for message in ("ünïcode", b"\x00\xff", "x" * 300_000):
            await socket.send(message)
            assert await socket.receive() == message
        await socket.close(1000)
    (request,) = seen
    assert request.path == "/v1/realtime?model=up"
    assert request.headers["authorization"] == "Bearer sk-1"
    assert request.headers["openai-beta"] == "realtime=v1"
    assert request.headers["x-ours"] == "yes"
    assert request.headers["user-agent"] == "intellirouter"
    assert "sec-websocket-extensions" not in request.headers


@pytest.mark.parametrize(("auth", "header"), [("api-key", "api-key"), ("x-api-key", "x-api-key")])
async def test_credential_is_sent_in_the_vendors_header(pool: UpstreamPool, auth: str, header: str) -> None:
    async with talking() as (url, seen):
        socket = await opened(pool, deployment(url, credentials=["k"], auth=auth))
        await socket.close(1000)
    assert seen[0].headers[header] == "k"
    assert "authorization" not in seen[0].headers


async def test_refused_credential_cools_down_and_the_next_is_used(pool: UpstreamPool) -> None:
    def refuse(link: ServerConnection, request: Request) -> Response | None:
        if request.headers["authorization"] == "Bearer good":
            return None
        return link.respond(http.HTTPStatus.UNAUTHORIZED, "no")

    async with talking(process_request=refuse) as (url, seen):
        to = deployment(url, credentials=["bad", "good"])
        dialer = WebSocketDialer(pool)
        refusals = 0
        for _ in range(4):
            result = await dialer.connect(to, REQUEST)
            if isinstance(result, SocketRefusal):
                refusals += 1
            else:
                await result.close(1000)
        (bad, good) = pool.credential_states([to])
    assert refusals == 1
    assert (bad.state, bad.reason, good.state) == ("cooling_down", "unauthorized", "ready")
    assert sum(each.headers["authorization"] == "Bearer bad" for each in seen) == 1


async def test_each_handshake_uses_one_credential(pool: UpstreamPool) -> None:
    def refuse(link: ServerConnection, request: Request) -> Response | None:
        if request.headers["authorization"] == "Bearer good":
            return None
        return link.respond(http.HTTPStatus.UNAUTHORIZED, "no")

    async with talking(process_request=refuse) as (url, seen):
        to = deployment(url, credentials=["good", "bad"])
        dialer = WebSocketDialer(pool)
        refusal = await dialer.connect(to, REQUEST)
        assert isinstance(refusal, SocketRefusal)
        assert pool.can_rotate(to, errors.UpstreamAuthFailed("refused"), refusal.status)
        await (await opened(pool, to, dialer)).close(1000)
    assert [each.headers["authorization"] for each in seen] == ["Bearer bad", "Bearer good"]


async def test_handshake_without_an_access_token_starts_a_cooldown(pool: UpstreamPool) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(answer(b'{"error": "invalid_grant"}', status=400))

    async with serving(script) as server, talking() as (url, _):
        account = service_account(token_uri=server.base_url.replace("/v1", "/token"))
        to = deployment(url, auth="gcp", credentials=["ya29.good", account])
        with pytest.raises(errors.UpstreamAuthFailed) as failed:
            await WebSocketDialer(pool).connect(to, REQUEST)
        assert pool.can_rotate(to, failed.value, None)
        await (await opened(pool, to, WebSocketDialer(pool))).close(1000)
        assert [each.state for each in pool.credential_states([to])] == ["ready", "cooling_down"]


async def test_refusal_is_returned_unchanged(pool: UpstreamPool) -> None:
    def refuse(link: ServerConnection, _: Request) -> Response:
        response = link.respond(http.HTTPStatus.TOO_MANY_REQUESTS, '{"error":{"message":"slow"}}')
        response.headers["Retry-After"] = "7"
        return response

    async with talking(process_request=refuse) as (url, _):
        to = deployment(url, credentials=["only"])
        refusal = await WebSocketDialer(pool).connect(to, REQUEST)
        (state,) = pool.credential_states([to])
    assert isinstance(refusal, SocketRefusal)
    assert refusal.status == 429
    assert dict(refusal.headers)["retry-after"] == "7"
    assert refusal.body == b'{"error":{"message":"slow"}}'
    assert state.state == "cooling_down"
    assert 5 < state.cooldown_remaining_s <= 7


async def test_redirects_are_not_followed(pool: UpstreamPool) -> None:
    async with talking() as (elsewhere, seen):

        def away(_link: ServerConnection, _request: Request) -> Response:
            return Response(302, "Found", Headers(location=elsewhere.replace("http", "ws")))

        async with talking(process_request=away) as (url, _):
            refusal = await WebSocketDialer(pool).connect(deployment(url, credentials=["secret"]), REQUEST)
        assert isinstance(refusal, SocketRefusal)
        assert refusal.status == 302
        assert not seen


async def test_private_certificate_authority(
    pool: UpstreamPool, authority: Authority, good_tls: ssl.SSLContext
) -> None:
    async with talking(ssl=good_tls) as (url, _):
        await (await opened(pool, deployment(url, ca_file=authority.ca_file))).close(1000)
        with pytest.raises(errors.UpstreamConnectFailed, match="TLS handshake with") as failed:
            await opened(pool, deployment(url))
    assert "ca_file" in failed.value.hint


async def test_unix_socket(pool: UpstreamPool, socket_dir: Path) -> None:
    path = str(socket_dir / "s")
    async with unix_serve(echo, path):
        socket = await opened(pool, deployment("http://worker/v1", uds=path))
        await socket.send("hello")
        assert await socket.receive() == "hello"
        await socket.close(1000)


async def test_deployment_without_a_network_address(pool: UpstreamPool) -> None:
    with pytest.raises(errors.UpstreamConnectFailed, match="no network address"):
        await opened(pool, deployment(""))


async def test_connection_refused(pool: UpstreamPool) -> None:
    async with talking() as (url, _):
        pass
    with pytest.raises(errors.UpstreamConnectFailed, match="Cannot connect"):
        await opened(pool, deployment(url))


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (answer(b"not a socket"), "SocketRefusal"),
        (b"HTTP/1.1 101 Switching Protocols\r\n\r\n", errors.UpstreamMalformed),
        (b"nonsense\r\n\r\n", errors.UpstreamMalformed),
        (b"HTTP/1.1 101 Swi", errors.UpstreamDisconnected),
        (b"", errors.UpstreamDisconnected),
    ],
)
async def test_responses_that_are_not_websocket_handshakes(pool: UpstreamPool, data: bytes, expected: Any) -> None:
    async def talk(peer: Peer) -> None:
        await peer.reader.readuntil(b"\r\n\r\n")
        await peer.send(data)

    async with serving(talk) as server:
        if expected == "SocketRefusal":
            refusal = await WebSocketDialer(pool).connect(server.deployment(), REQUEST)
            assert isinstance(refusal, SocketRefusal)
            assert (refusal.status, refusal.body) == (200, b"not a socket")
        else:
            with pytest.raises(expected):
                await WebSocketDialer(pool).connect(server.deployment(), REQUEST)


async def test_handshake_times_out(pool: UpstreamPool) -> None:
    async def hang(peer: Peer) -> None:
        await peer.reader.read()

    async with serving(hang) as server:
        with pytest.raises(errors.UpstreamTimeout, match="handshake"):
            await WebSocketDialer(pool).connect(server.deployment(connect_s=0.05, first_token_s=0.05), REQUEST)


async def test_sessions_count_against_max_connections(pool: UpstreamPool) -> None:
    async with talking() as (url, _):
        to = deployment(url, max_connections=2)
        dialer = WebSocketDialer(pool)
        first, second = await opened(pool, to, dialer), await opened(pool, to, dialer)
        with pytest.raises(errors.Overloaded, match="All 2 connections"):
            await opened(pool, to, dialer)
        await first.close(1000)
        await first.close(1000)
        third = await opened(pool, to, dialer)
        with pytest.raises(errors.Overloaded):
            await opened(pool, to, dialer)
        await second.close(1000)
        await third.close(1000)


async def test_close_of_the_upstream_is_raised(pool: UpstreamPool) -> None:
    async def leave(link: ServerConnection) -> None:
        await link.send("last")
        await link.close(4001, "bye")

    async with talking(leave) as (url, _):
        socket = await opened(pool, deployment(url))
        assert await socket.receive() == "last"
        for attempt in (socket.receive(), socket.send("x"), socket.receive()):
            with pytest.raises(SocketClosed) as closed:
                await attempt
            assert (closed.value.code, closed.value.reason) == (4001, "bye")
        await socket.close(1000)


async def test_aborted_connection_is_1006(pool: UpstreamPool) -> None:
    async def cut(link: ServerConnection) -> None:
        link.transport.abort()

    async with talking(cut) as (url, _):
        socket = await opened(pool, deployment(url))
        with pytest.raises(SocketClosed) as closed:
            await socket.receive()
        assert closed.value.code == 1006
        await socket.close(1000)


async def test_too_large_message_is_refused(pool: UpstreamPool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("intellirouter.providers.websocket._MAX_MESSAGE_BYTES", 1000)

    async def shout(link: ServerConnection) -> None:
        await link.send("x" * 1001)
        await link.wait_closed()

    async with talking(shout) as (url, _):
        socket = await opened(pool, deployment(url))
        with pytest.raises(SocketClosed) as closed:
            await socket.receive()
        assert closed.value.code == 1009
        await socket.close(1000)


async def test_cancellation_while_closing_aborts_the_connection(pool: UpstreamPool) -> None:
    is_aborted = asyncio.Event()

    async def deaf(peer: Peer) -> None:
        head = await peer.reader.readuntil(b"\r\n\r\n")
        key = next(line for line in head.decode().splitlines() if line.lower().startswith("sec-websocket-key"))
        peer.writer.write(accepting(key.partition(":")[2].strip()))
        with contextlib.suppress(ConnectionError):
            while await peer.reader.read(100):
                pass
        is_aborted.set()

    async with serving(deaf) as server:
        socket = await opened(pool, server.deployment())
        closing = asyncio.ensure_future(socket.close(1000))
        await asyncio.sleep(0)
        closing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await closing
        async with asyncio.timeout(5):
            await is_aborted.wait()


def accepting(key: str) -> bytes:
    from websockets.utils import accept_key

    return (
        "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n"
        f"sec-websocket-accept: {accept_key(key)}\r\n\r\n"
    ).encode()
