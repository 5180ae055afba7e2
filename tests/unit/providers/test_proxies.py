"""Upstreams behind an HTTP proxy: tunnels, forwarded requests, logins, and proxies that fail."""

import asyncio
import ssl

import pytest
from websockets.asyncio.server import ServerConnection, serve

from intellirouter.core import (
    Deployment,
    ProxyRules,
    SocketRefusal,
    UpstreamRequest,
    environment_proxies,
    errors,
    proxy_at,
)
from intellirouter.providers import UpstreamPool, WebSocketDialer, discover_models
from intellirouter.providers.transport.connection import Connection
from intellirouter.providers.transport.tunnel import TunnelRoute, open_tunnel
from tests.support.providers.google import service_account
from tests.support.providers.loopback import (
    CHUNKED_HEAD,
    Authority,
    Peer,
    Server,
    answer,
    call,
    chunked,
    deployment,
    eventually,
    open_counts,
    serving,
    stream,
    within,
)
from tests.support.providers.proxy import proxying

VENDOR_HOST = UPSTREAM = "api.vendor.example"
"""The proxy connects to loopback for every name, so the gateway itself must not resolve it."""


def through(url: str) -> ProxyRules:
    proxy = proxy_at(url)
    return ProxyRules(http=proxy, https=proxy, has_loopback=True)


def at_vendor(server: Server) -> str:
    return server.base_url.replace("localhost", UPSTREAM)


@pytest.mark.parametrize("ask", [call, stream], ids=["whole", "stream"])
async def test_tls_upstream_is_reached_through_a_tunnel(
    pool: UpstreamPool, authority: Authority, vendor_tls: ssl.SSLContext, ask: object
) -> None:
    async def script(peer: Peer) -> None:
        while True:
            await peer.request()
            await peer.send(CHUNKED_HEAD + chunked(b"a" * 300_000, b"b"))

    async with serving(script, tls=vendor_tls) as server, proxying() as proxy:
        to = deployment(at_vendor(server), ca_file=authority.ca_file, proxies=through(proxy.url), credentials=["sk-1"])
        for _ in range(3):
            assert await ask(pool, to) == b"a" * 300_000 + b"b"  # type: ignore[operator]
        port = server.base_url.rpartition(":")[2].removesuffix("/v1")
        assert proxy.targets == [f"CONNECT {UPSTREAM}:{port}"]
        assert "sk-1" not in proxy.heads[0]
        assert f"\r\nhost: {UPSTREAM}:{port}\r\n" in proxy.heads[0]
        assert server.peers[0].writer.get_extra_info("ssl_object").selected_alpn_protocol() == "http/1.1"


@pytest.mark.parametrize("ask", [call, stream], ids=["whole", "stream"])
async def test_plain_upstream_gets_forwarded_requests(pool: UpstreamPool, ask: object) -> None:
    heads = []

    async def script(peer: Peer) -> None:
        heads.append(await peer.head())
        await peer.reader.readexactly(peer.length)
        await peer.send(CHUNKED_HEAD + chunked(b"one", b"two"))

    async with serving(script) as server, proxying(login="ann:s3cret") as proxy:
        url = at_vendor(server)
        to = deployment(url, proxies=through(proxy.with_login("ann:s3cret")), credentials=["sk-1"])
        for _ in range(2):
            assert await ask(pool, to) == b"onetwo"  # type: ignore[operator]
        assert proxy.targets == [f"POST {url}/chat/completions"] * 2
        assert all("proxy-authorization" not in head for head in heads)
        assert all("authorization: Bearer sk-1" in head for head in heads)
        assert open_counts(pool) == [1]


@pytest.mark.parametrize("is_tls", [True, False])
async def test_proxy_that_is_reached_over_tls(
    pool: UpstreamPool,
    authority: Authority,
    good_tls: ssl.SSLContext,
    vendor_tls: ssl.SSLContext,
    is_tls: bool,
) -> None:
    async with (
        serving(lambda peer: peer.serve(answer(b"x" * 300_000)), tls=vendor_tls if is_tls else None) as server,
        proxying(tls=good_tls, login="a:b") as proxy,
    ):
        proxies = through(proxy.with_login("a:b"))
        to = deployment(at_vendor(server), ca_file=authority.ca_file, proxies=proxies)
        for _ in range(2):
            assert await call(pool, to) == b"x" * 300_000
        assert proxy.targets[0].startswith("CONNECT" if is_tls else "POST http://")


async def test_untrusted_proxy_is_refused(pool: UpstreamPool, good_tls: ssl.SSLContext) -> None:
    async with serving(lambda peer: peer.serve()) as server, proxying(tls=good_tls) as proxy:
        with pytest.raises(
            errors.ProxyFailed, match=f"test/model: The TLS handshake with the proxy {proxy.url} failed"
        ):
            await call(pool, deployment(at_vendor(server), proxies=through(proxy.url)))
        assert proxy.heads == []


async def test_certificate_of_the_upstream_is_verified_in_the_tunnel(
    pool: UpstreamPool, authority: Authority, good_tls: ssl.SSLContext, vendor_tls: ssl.SSLContext
) -> None:
    for tls, ca_file in ((vendor_tls, None), (good_tls, authority.ca_file)):
        async with serving(lambda peer: peer.serve(), tls=tls) as server, proxying() as proxy:
            to = deployment(at_vendor(server), ca_file=ca_file, proxies=through(proxy.url))
            with pytest.raises(errors.UpstreamConnectFailed, match="TLS handshake") as caught:
                await call(pool, to)
            assert not isinstance(caught.value, errors.ProxyFailed)
            assert f"through the proxy {proxy.url}" in caught.value.message
            await eventually(lambda: proxy.open_count == 0)
    await eventually(lambda: set(open_counts(pool)) == {0})


@pytest.mark.parametrize("is_tls", [True, False], ids=["tunnel", "forwarded"])
@pytest.mark.parametrize(
    ("login", "message"), [("", "requires a user name"), ("ann:wrong-s3cret", "rejected the user name")]
)
async def test_login_that_the_proxy_does_not_accept(
    pool: UpstreamPool, vendor_tls: ssl.SSLContext, is_tls: bool, login: str, message: str
) -> None:
    tls = vendor_tls if is_tls else None
    async with serving(lambda peer: peer.serve(), tls=tls) as server, proxying(login="ann:s3cret") as proxy:
        url = proxy.with_login(login) if login else proxy.url
        to = deployment(at_vendor(server), proxies=through(url), credentials=["sk-one", "sk-two"])
        for _ in range(3):
            with pytest.raises(errors.ProxyRefused, match=f"test/model: The proxy {proxy.url} {message}") as caught:
                await call(pool, to)
            assert "s3cret" not in caught.value.full_message
            assert not caught.value.retryable
        assert server.peers == []
        assert {state.state for state in pool.credential_states([to])} == {"ready"}
        assert {state.consecutive_refusals for state in pool.credential_states([to])} == {0}
        await eventually(lambda: open_counts(pool) == [0])


@pytest.mark.parametrize(
    ("response", "kind", "message"),
    [
        (b"HTTP/1.1 403 Forbidden\r\n\r\n", errors.ProxyRefused, r"refused to connect to .*:\d+ \(status 403\)"),
        (b"HTTP/1.1 302 Found\r\nlocation: http://x\r\n\r\n", errors.ProxyRefused, "status 302"),
        (b"HTTP/1.1 502 Bad Gateway\r\n\r\n", errors.ProxyFailed, "could not connect to .*status 502"),
        (b"HTTP/1.1 503 Busy\r\ncontent-length: 4\r\n\r\nbusy", errors.ProxyFailed, "status 503"),
        (b"HTTP/1.0 504\r\n\r\n", errors.ProxyFailed, "status 504"),
        (b"HTTP/1.1 429 Slow\r\n\r\n", errors.ProxyFailed, "status 429"),
        (b"SSH-2.0-OpenSSH_9\r\n", errors.ProxyFailed, "not valid HTTP"),
        (b"HTTP/1.1 abc\r\n\r\n", errors.ProxyFailed, "not valid HTTP"),
        (b"\x15\x03\x01\x00\x02", errors.ProxyFailed, "not valid HTTP"),
        (b"HTTP/1.1 200 OK\r\n" + b"x: " + b"y" * 70_000, errors.ProxyFailed, "more than 16384 bytes of headers"),
        (b"HTTP/1.1 200 OK\r\n\r\nsurprise", errors.ProxyFailed, "before the tunnel was used"),
    ],
)
async def test_proxy_that_answers_something_else(
    pool: UpstreamPool, response: bytes, kind: type[errors.ProxyFailed], message: str
) -> None:
    async with proxying(answer=response) as proxy:
        to = deployment(f"https://{UPSTREAM}/v1", proxies=through(proxy.with_login("ann:s3cret")))
        with (
            pytest.raises(errors.ProxyFailed, match=f"test/model: The proxy {proxy.url} .*{message}") as caught,
            within(2.0),
        ):
            await call(pool, to)
        assert type(caught.value) is kind
        assert caught.value.retryable == (kind is errors.ProxyFailed)
        assert "s3cret" not in caught.value.full_message
        await eventually(lambda: open_counts(pool) == [0] and proxy.open_count == 0)


async def test_response_in_pieces_after_an_interim_one(
    pool: UpstreamPool, authority: Authority, vendor_tls: ssl.SSLContext
) -> None:
    async with serving(lambda peer: peer.serve(), tls=vendor_tls) as server, proxying() as proxy:
        proxy.established = [b"HTTP/1.1 100 Continue\r\n\r\nHT", b"TP/1.1 200 OK\r\n", b"\r\n"]
        to = deployment(at_vendor(server), ca_file=authority.ca_file, proxies=through(proxy.url))
        assert await call(pool, to) == b"{}"


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_proxy_that_is_down(pool: UpstreamPool, closed_port: int, scheme: str) -> None:
    to = deployment(f"{scheme}://{UPSTREAM}/v1", proxies=through(f"http://ann:s3cret@127.0.0.1:{closed_port}"))
    with pytest.raises(
        errors.ProxyFailed, match=f"test/model: Cannot connect to the proxy http://127.0.0.1:{closed_port}: Conn"
    ) as caught:
        await call(pool, to)
    assert caught.value.retryable
    assert "s3cret" not in caught.value.full_message
    await eventually(lambda: open_counts(pool) == [0])


async def test_name_of_the_proxy_that_does_not_resolve(pool: UpstreamPool) -> None:
    to = deployment(f"https://{UPSTREAM}/v1", proxies=through("http://proxy.invalid:3128"))
    with pytest.raises(errors.ProxyFailed, match=r"Cannot connect to the proxy http://proxy.invalid:3128: "):
        await call(pool, to)


async def test_hang_up_of_the_proxy(pool: UpstreamPool) -> None:
    async def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    async with proxying(answer=hang_up) as proxy:
        to = deployment(f"https://{UPSTREAM}/v1", proxies=through(proxy.url))
        with pytest.raises(errors.ProxyFailed, match="closed the connection without answering"):
            await call(pool, to)


@pytest.mark.parametrize(
    "response", [b"", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\n\r\n"], ids=["silent", "half", "no-tls"]
)
async def test_connect_timeout_covers_the_tunnel(pool: UpstreamPool, response: bytes) -> None:
    async with proxying(answer=response) as proxy:
        to = deployment(f"https://{UPSTREAM}/v1", proxies=through(proxy.url), connect_s=0.2)
        message = rf"No connection to {UPSTREAM}:443 through the proxy {proxy.url} could be opened within 0.2 s"
        with pytest.raises(errors.UpstreamTimeout, match=message) as caught, within(2.0):
            await call(pool, to)
        assert caught.value.code == "upstream_connect_timeout"
        await eventually(lambda: open_counts(pool) == [0] and proxy.open_count == 0)


async def test_canceled_request_closes_the_tunnel_that_it_opens(pool: UpstreamPool) -> None:
    async with proxying(answer=b"HTTP/1.1 200") as proxy:
        to = deployment(f"https://{UPSTREAM}/v1", proxies=through(proxy.url))
        task = asyncio.get_running_loop().create_task(call(pool, to))
        await eventually(lambda: proxy.heads)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await eventually(lambda: proxy.open_count == 0 and open_counts(pool) == [0])


@pytest.mark.parametrize("is_tls_proxy", [False, True])
async def test_aborted_stream_closes_the_tunnel(
    pool: UpstreamPool, authority: Authority, good_tls: ssl.SSLContext, vendor_tls: ssl.SSLContext, is_tls_proxy: bool
) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(CHUNKED_HEAD + chunked(b"first", end=b""))
        await peer.wait_gone()

    async with (
        serving(script, tls=vendor_tls) as server,
        proxying(tls=good_tls if is_tls_proxy else None) as proxy,
    ):
        to = deployment(at_vendor(server), ca_file=authority.ca_file, proxies=through(proxy.url))
        response = await pool.send(to, UpstreamRequest(path="/chat/completions", body=b"{}"))
        assert await response.next_chunk() == b"first"
        response.abort()
        await asyncio.wait_for(server.peers[0].is_gone.wait(), 5)
        await eventually(lambda: proxy.open_count == 0 and open_counts(pool) == [0])


async def test_concurrent_requests_have_tunnels_of_their_own(
    pool: UpstreamPool, authority: Authority, vendor_tls: ssl.SSLContext
) -> None:
    async def script(peer: Peer) -> None:
        while True:
            body = await peer.request()
            await asyncio.sleep(0.05)
            await peer.send(answer(body))

    async with serving(script, tls=vendor_tls) as server, proxying() as proxy:
        to = deployment(at_vendor(server), ca_file=authority.ca_file, proxies=through(proxy.url), max_connections=8)
        bodies = [b'{"n": %d}' % number for number in range(40)]
        assert await asyncio.gather(*(call(pool, to, body) for body in bodies)) == bodies
        assert len(proxy.heads) == len(server.peers) == 8


async def test_connections_of_different_proxies_are_separate(pool: UpstreamPool) -> None:
    """Two deployments have the same address, but not the same way to it."""
    async with serving(lambda peer: peer.serve()) as server, proxying() as one, proxying() as two:
        for proxies in (through(one.url), through(two.url), ProxyRules()):
            assert await call(pool, deployment(server.base_url, proxies=proxies)) == b"{}"
        assert (len(one.heads), len(two.heads), len(server.peers)) == (1, 1, 3)
        assert open_counts(pool) == [1, 1, 1]


async def test_loopback_and_unix_sockets_do_not_use_the_proxy_of_the_environment(
    pool: UpstreamPool, socket_dir: object, closed_port: int
) -> None:
    proxies = environment_proxies({"ALL_PROXY": f"http://127.0.0.1:{closed_port}"})
    async with serving(lambda peer: peer.serve()) as server:
        assert await call(pool, deployment(server.base_url, proxies=proxies)) == b"{}"
        with pytest.raises(errors.ProxyFailed):
            await call(pool, deployment("http://vendor.example/v1", proxies=proxies))
    async with serving(lambda peer: peer.serve(), uds=f"{socket_dir}/w.sock") as worker:
        to = deployment("http://vendor.example/v1", uds=worker.uds, proxies=proxies)
        assert await call(pool, to) == b"{}"


async def test_unusable_proxy_of_the_environment_is_not_bypassed(pool: UpstreamPool) -> None:
    proxies = environment_proxies({"ALL_PROXY": "socks5://ann:s3cret@127.0.0.1:1080"})
    with pytest.raises(
        errors.ProxyRefused, match=r"The proxy of the environment variable ALL_PROXY cannot be used. SOCKS"
    ) as caught:
        await call(pool, deployment("https://vendor.example/v1", proxies=proxies))
    assert "s3cret" not in caught.value.full_message


async def test_error_response_does_not_repeat_the_login(pool: UpstreamPool) -> None:
    encoded = "YW5uOnMzY3JldC1wYXNzd29yZA=="  # ann:s3cret-password
    body = f"denied: {encoded} s3cret-password".encode()
    async with proxying(answer=answer(body, status=502)) as proxy:
        to = deployment(f"http://{UPSTREAM}/v1", proxies=through(proxy.with_login("ann:s3cret-password")))
        assert await call(pool, to) == b"denied: *** ***"


async def test_status_407_from_inside_of_a_tunnel_is_the_upstreams(
    pool: UpstreamPool, authority: Authority, vendor_tls: ssl.SSLContext
) -> None:
    odd = answer(b"odd", status=407)
    async with serving(lambda peer: peer.serve(odd), tls=vendor_tls) as server, proxying() as proxy:
        to = deployment(at_vendor(server), ca_file=authority.ca_file, proxies=through(proxy.url))
        assert await call(pool, to) == b"odd"


# WebSockets


async def echo(link: ServerConnection) -> None:
    async for message in link:
        await link.send(message)


@pytest.mark.parametrize("is_tls", [True, False])
async def test_websocket_through_a_tunnel(
    pool: UpstreamPool, authority: Authority, vendor_tls: ssl.SSLContext, is_tls: bool
) -> None:
    tls = vendor_tls if is_tls else None
    async with serve(echo, "127.0.0.1", 0, ssl=tls) as server, proxying(login="ann:s3cret") as proxy:
        port = next(iter(server.sockets)).getsockname()[1]
        to = _socket_deployment(
            f"{'https' if is_tls else 'http'}://{UPSTREAM}:{port}/v1", authority, proxy.with_login("ann:s3cret")
        )
        socket = await WebSocketDialer(pool).connect(to, UpstreamRequest(method="GET", path="/realtime"))
        assert not isinstance(socket, SocketRefusal)
        for message in ("ünïcode", b"\x00\xff", "x" * 300_000):
            await socket.send(message)
            assert await socket.receive() == message
        assert proxy.targets == [f"CONNECT {UPSTREAM}:{port}"]
        await socket.close(1000)
        await eventually(lambda: proxy.open_count == 0)


async def test_websocket_that_the_proxy_refuses(pool: UpstreamPool, authority: Authority) -> None:
    async with proxying(login="ann:s3cret") as proxy:
        dialer = WebSocketDialer(pool)
        to = _socket_deployment(f"https://{UPSTREAM}/v1", authority, proxy.url)
        with pytest.raises(errors.ProxyRefused, match=f"test/model: The proxy {proxy.url} requires"):
            await dialer.connect(to, UpstreamRequest(method="GET", path="/realtime"))
        assert not dialer._open_sessions


def _socket_deployment(url: str, authority: Authority, proxy: str) -> Deployment:
    return deployment(url, ca_file=authority.ca_file, proxies=through(proxy), credentials=["sk-1"])


async def test_tunnel_to_an_ipv6_address_and_a_name_in_unicode() -> None:
    async with proxying(answer=b"HTTP/1.1 403 no\r\n\r\n") as proxy:
        loop = asyncio.get_running_loop()
        for host in ("2001:db8::1", "bücher.example"):
            route = TunnelRoute(proxy=proxy_at(proxy.url), host=host, port=443, proxy_tls=None, tls=None)
            with pytest.raises(errors.ProxyRefused):
                await open_tunnel(loop, Connection(loop, Connection.close, lambda _: None), route)
        assert proxy.targets == ["CONNECT [2001:db8::1]:443", "CONNECT xn--bcher-kva.example:443"]


# Access tokens and lists of models


async def test_access_tokens_are_obtained_through_the_proxy_of_the_provider(
    pool: UpstreamPool, closed_port: int
) -> None:
    async def script(peer: Peer) -> None:
        while True:
            await peer.request()
            await peer.send(answer(b'{"access_token": "tok", "expires_in": 3600}'))

    async with serving(script) as server, proxying(login="ann:s3cret") as new:
        url = at_vendor(server)
        account = service_account(token_uri=url.replace(VENDOR_HOST, "localhost").replace("/v1", "/token"))
        settings = {"auth": "gcp", "credentials": [account]}
        refused = deployment(url, proxies=through(f"http://127.0.0.1:{closed_port}"), **settings)
        with pytest.raises(
            errors.ProxyFailed, match="test/model: token endpoint localhost: Cannot connect to the proxy"
        ):
            await call(pool, refused)
        to = deployment(url, proxies=through(new.with_login("ann:s3cret")), **settings)
        pool.apply([to])
        pool._credentials._credentials.clear()  # the authenticator waits before it tries again
        pool._credentials._rotations.clear()
        await call(pool, to)
        assert [target.rpartition("/")[2] for target in new.targets] == ["token", "completions"]


async def test_models_are_listed_through_the_proxy(pool: UpstreamPool) -> None:
    async with serving(lambda peer: peer.serve(answer(b'{"data": [{"id": "m"}]}'))) as server, proxying() as proxy:
        to = deployment(at_vendor(server), proxies=through(proxy.url))
        assert [model.id for model in await discover_models(pool, to)] == ["m"]
        assert proxy.targets == [f"GET {at_vendor(server)}/models"]
