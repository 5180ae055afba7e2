"""Opening connections: refusals, names that do not resolve, TLS, unix sockets."""

import asyncio
import socket
import ssl
from pathlib import Path

import pytest

from intellirouter.core import errors
from intellirouter.providers import UpstreamPool
from tests.support.providers.loopback import (
    Authority,
    Peer,
    answer,
    call,
    deployment,
    eventually,
    open_counts,
    serving,
    stream,
    within,
)


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_connection_refused(pool: UpstreamPool, closed_port: int, scheme: str) -> None:
    with pytest.raises(errors.UpstreamConnectFailed, match=f"test/model: Cannot connect to 127.0.0.1:{closed_port}: "):
        await call(pool, deployment(f"{scheme}://127.0.0.1:{closed_port}/v1"))
    await eventually(lambda: open_counts(pool) == [0])


async def test_deployment_without_a_network_address_is_never_connected_to(pool: UpstreamPool) -> None:
    to = deployment("")
    with pytest.raises(errors.UpstreamConnectFailed, match="no network address"):
        await call(pool, to)
    pool.apply([to])
    assert open_counts(pool) == []


@pytest.mark.parametrize("host", ["nowhere.invalid", "a..b", "x" * 70 + ".invalid"], ids=["unknown", "empty", "long"])
async def test_host_name_that_does_not_resolve(pool: UpstreamPool, host: str) -> None:
    with pytest.raises(errors.UpstreamConnectFailed, match=f"Cannot connect to {host}:80: ") as caught:
        await call(pool, deployment(f"http://{host}/v1"))
    assert "base_url" in caught.value.hint
    await eventually(lambda: open_counts(pool) == [0])


async def test_missing_unix_socket_is_tried_again_by_each_request(pool: UpstreamPool, socket_dir: Path) -> None:
    uds = str(socket_dir / "worker.sock")
    to = deployment("http://worker/v1", uds=uds)
    with pytest.raises(errors.UpstreamConnectFailed, match=f"Cannot connect to {uds}: No such file"):
        await call(pool, to)
    async with serving(lambda peer: peer.serve(), uds=uds):
        assert await call(pool, to) == b"{}"


async def test_all_waiting_requests_fail_when_connections_are_refused(pool: UpstreamPool, closed_port: int) -> None:
    to = deployment(f"http://127.0.0.1:{closed_port}/v1", max_connections=2)
    with within(4.0):
        results = await asyncio.gather(*(call(pool, to) for _ in range(50)), return_exceptions=True)
    assert {type(result) for result in results} == {errors.UpstreamConnectFailed}


async def test_unresponsive_host_hits_the_connect_timeout(pool: UpstreamPool) -> None:
    """A full backlog: the kernel drops the SYN, as a host that is down does."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        port = listener.getsockname()[1]
        fillers = []
        for _ in range(8):
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex(("127.0.0.1", port))
            fillers.append(filler)
        with (
            pytest.raises(errors.UpstreamTimeout, match=r"within [\d.]+ s \(timeouts.connect_s\)") as caught,
            within(2.0),
        ):
            await call(pool, deployment(f"http://127.0.0.1:{port}/v1", connect_s=0.2))
        assert caught.value.code == "upstream_connect_timeout"
        await eventually(lambda: open_counts(pool) == [0])
        for filler in fillers:
            filler.close()


async def test_endless_tls_handshake_hits_the_connect_timeout(pool: UpstreamPool, authority: Authority) -> None:
    async with serving(lambda peer: peer.wait_gone()) as server:
        url = server.base_url.replace("http:", "https:")
        with pytest.raises(errors.UpstreamTimeout, match=r"within [\d.]+ s \(timeouts.connect_s\)"), within(2.0):
            await call(pool, deployment(url, ca_file=authority.ca_file, connect_s=0.5))
        await asyncio.wait_for(server.peers[0].is_gone.wait(), 5)
        await eventually(lambda: open_counts(pool) == [0])


async def test_total_timeout_bounds_connecting(pool: UpstreamPool) -> None:
    async with serving(lambda peer: peer.wait_gone()) as server:
        to = deployment(server.base_url.replace("http:", "https:"), connect_s=30.0, total_s=0.2)
        with pytest.raises(errors.UpstreamTimeout), within(2.0):
            await call(pool, to)


@pytest.mark.parametrize("ask", [call, stream], ids=["whole", "stream"])
@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
async def test_tls_with_a_private_authority(
    pool: UpstreamPool, authority: Authority, good_tls: ssl.SSLContext, host: str, ask: object
) -> None:
    async with serving(lambda peer: peer.serve(answer(b"s" * 300_000)), tls=good_tls, host=host) as server:
        to = server.deployment(ca_file=authority.ca_file)
        for _ in range(5):
            assert await ask(pool, to) == b"s" * 300_000  # type: ignore[operator]
        assert len(server.peers) == 1
        assert server.peers[0].writer.get_extra_info("ssl_object").selected_alpn_protocol() == "http/1.1"


async def test_tls_verifies_by_default(pool: UpstreamPool, good_tls: ssl.SSLContext) -> None:
    async with serving(lambda peer: peer.serve(), tls=good_tls) as server:
        with pytest.raises(errors.UpstreamConnectFailed, match=r"TLS handshake.*certificate verify failed") as caught:
            await call(pool, server.deployment())
        assert "ca_file" in caught.value.hint
        await eventually(lambda: open_counts(pool) == [0])


async def test_tls_with_a_wrong_host_name(pool: UpstreamPool, authority: Authority) -> None:
    tls = authority.server_context("DNS:elsewhere.example")
    async with serving(lambda peer: peer.serve(), tls=tls) as server:
        with pytest.raises(errors.UpstreamConnectFailed, match=r"TLS handshake with .* failed.*Hostname mismatch"):
            await call(pool, server.deployment(ca_file=authority.ca_file))


async def test_tls_with_an_expired_certificate(pool: UpstreamPool, authority: Authority) -> None:
    tls = authority.server_context("DNS:localhost", days="-1")
    async with serving(lambda peer: peer.serve(), tls=tls) as server:
        with pytest.raises(errors.UpstreamConnectFailed, match=r"TLS handshake with .* failed.*expired"):
            await call(pool, server.deployment(ca_file=authority.ca_file))


@pytest.mark.parametrize("is_closing", [False, True], ids=["talks-http", "hangs-up"])
async def test_a_server_without_tls_behind_https(pool: UpstreamPool, is_closing: bool) -> None:
    async def script(peer: Peer) -> None:
        await peer.reader.read(1)
        if not is_closing:
            await peer.send(answer(b"plain", status=400))
            await peer.wait_gone()

    async with serving(script) as server:
        with pytest.raises(errors.UpstreamConnectFailed):
            await call(pool, deployment(server.base_url.replace("http:", "https:")))
        await eventually(lambda: open_counts(pool) == [0])


@pytest.mark.parametrize("content", [None, "no certificates here\n"], ids=["missing", "no-pem"])
async def test_invalid_ca_file_is_named_in_the_error(
    pool: UpstreamPool, tmp_path: Path, good_tls: ssl.SSLContext, content: str | None
) -> None:
    ca_file = tmp_path / "own-ca.pem"
    if content is not None:
        ca_file.write_text(content)
    async with serving(lambda peer: peer.serve(), tls=good_tls) as server:
        with pytest.raises(errors.UpstreamConnectFailed, match=f"CA file {ca_file} cannot be loaded"):
            await call(pool, server.deployment(ca_file=str(ca_file)))


async def test_reload_reads_the_ca_file_again(
    pool: UpstreamPool, tmp_path: Path, authority: Authority, good_tls: ssl.SSLContext
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    ca_file = tmp_path / "ca.pem"
    ca_file.write_bytes(Path(Authority(other).ca_file).read_bytes())
    async with serving(lambda peer: peer.serve(), tls=good_tls) as server:
        to = server.deployment(ca_file=str(ca_file))
        with pytest.raises(errors.UpstreamConnectFailed):
            await call(pool, to)
        ca_file.write_bytes(Path(authority.ca_file).read_bytes())
        pool.apply([to])
        assert await call(pool, to) == b"{}"


async def test_tls_connection_closed_while_idle_is_replaced(
    pool: UpstreamPool, authority: Authority, good_tls: ssl.SSLContext
) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(answer())

    async with serving(script, tls=good_tls) as server:
        to = server.deployment(ca_file=authority.ca_file)
        for number in (1, 2, 3):
            assert await call(pool, to) == b"{}"
            await eventually(lambda: open_counts(pool) == [0], "the pool noticing")
            assert len(server.peers) == number


@pytest.mark.parametrize("banner", [b"220 mail.example ESMTP\r\n", b""], ids=["talks", "hangs-up"])
async def test_server_that_sends_before_a_request_is_refused(pool: UpstreamPool, banner: bytes) -> None:
    async def script(peer: Peer) -> None:
        await peer.send(banner)

    async with serving(script) as server:
        to = server.deployment()
        for _ in range(20):
            with pytest.raises(errors.UpstreamError), within(2.0):
                await call(pool, to)
        await eventually(lambda: open_counts(pool) == [0])
