"""Untrusted URLs: what is fetched, and above all what is refused."""

import asyncio
import ipaddress
import ssl
from typing import Any

import pytest

from intellirouter.core import errors
from intellirouter.providers import UrlFetcher
from intellirouter.providers.fetch.guard import AddressGuard
from tests.support.providers.loopback import CHUNKED_HEAD, Peer, answer, chunked, serving, within

PNG = "content-type: image/png; charset=x"
LOCAL = ("127.0.0.1",)


async def _fetch(url: str, allowed: tuple[str, ...] = LOCAL, **limits: Any) -> tuple[str, bytes]:
    return await UrlFetcher(allowed).fetch(url, **{"limit_bytes": 1000, "deadline_s": 5.0, **limits})


async def _reason(url: str, allowed: tuple[str, ...] = LOCAL, **limits: Any) -> str:
    with pytest.raises(errors.InvalidRequest) as caught:
        await _fetch(url, allowed, **limits)
    assert caught.value.code == "invalid_url"
    assert caught.value.hint
    return caught.value.message


@pytest.mark.parametrize(
    "data", [answer(b"image", PNG), CHUNKED_HEAD[:-2] + b"content-type: IMAGE/PNG\r\n\r\n" + chunked(b"im", b"age")]
)
async def test_allowed_url_is_fetched(data: bytes) -> None:
    heads: list[str] = []

    async def script(peer: Peer) -> None:
        heads.append((await peer.reader.readuntil(b"\r\n\r\n")).decode())
        await peer.send(data)
        await peer.wait_gone()

    async with serving(script, host="127.0.0.1") as server:
        url = server.base_url + "/a b/ü%20c.png?x=1&y=%2f#fragment"
        assert await _fetch(url, types=("image/",)) == ("image/png", b"image")
    assert heads[0].startswith("GET /v1/a%20b/%C3%BC%20c.png?x=1&y=%2f HTTP/1.1\r\nhost: 127.0.0.1:")
    assert "authorization" not in heads[0]


@pytest.mark.parametrize(
    "address",
    [
        "0.0.0.0",
        "0.1.2.3",
        "10.0.0.1",
        "100.64.0.1",
        "100.100.100.200",
        "127.0.0.1",
        "127.255.255.254",
        "168.63.129.16",
        "169.254.169.254",
        "172.16.0.1",
        "172.31.255.255",
        "192.0.0.192",
        "192.0.2.1",
        "192.88.99.1",
        "192.168.1.1",
        "198.18.0.1",
        "198.51.100.1",
        "203.0.113.1",
        "224.0.0.1",
        "239.255.255.255",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::ffff:127.0.0.1",
        "::ffff:8.8.8.8",
        "::127.0.0.1",
        "64:ff9b::7f00:1",
        "64:ff9b:1::1",
        "100::1",
        "2001::1",
        "2001:db8::1",
        "2002:7f00:1::",
        "3fff::1",
        "fc00::1",
        "fd00:ec2::254",
        "fe80::1",
        "fe80::1%eth0",
        "fec0::1",
        "ff02::1",
        "4000::1",
        "not-an-address",
    ],
)
def test_addresses_that_are_not_public_are_refused(address: str) -> None:
    assert not AddressGuard().allows_address(address)


@pytest.mark.parametrize("address", ["8.8.8.8", "1.1.1.1", "172.32.0.1", "100.128.0.1", "2606:4700::1111", "2a00::1"])
def test_public_addresses_are_allowed(address: str) -> None:
    assert AddressGuard().allows_address(address)


def test_all_addresses_of_refused_networks_are_refused() -> None:
    for network in ("10.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "192.168.0.0/16", "fc00::/7", "fe80::/10"):
        net = ipaddress.ip_network(network)
        for number in (0, 1, net.num_addresses // 2, net.num_addresses - 1):
            assert not AddressGuard().allows_address(str(net[number]))


def test_operator_can_allow_networks_addresses_and_names() -> None:
    guard = AddressGuard(["10.0.0.0/8", "192.168.1.7", "fd00::/8", "Files.Corp.example."])
    assert guard.allows_address("10.1.2.3")
    assert guard.allows_address("192.168.1.7")
    assert guard.allows_address("fd00::1")
    assert not guard.allows_address("192.168.1.8")
    assert guard.allows_host("files.corp.EXAMPLE")
    assert not guard.allows_host("corp.example")
    assert not guard.allows_host("evil-files.corp.example")


_ODD_NAMES = ("[::ffff:127.0.0.1]", "0", "0x7f.1", "2130706433", "127.1", "LOCALHOST.")


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", *_ODD_NAMES])
async def test_this_machine_is_refused_by_any_name_before_connecting(host: str) -> None:
    if host in _ODD_NAMES and isinstance(asyncio.get_running_loop(), asyncio.BaseEventLoop):
        pytest.skip("the tests' network guard knows plain names only and does not see what asyncio's loop resolves")
    async with serving(lambda peer: peer.serve(answer(b"secret"))) as server:
        port = server.base_url.rpartition(":")[2].partition("/")[0]
        reason = await _reason(f"http://{host}:{port}/x", allowed=())
        assert "not on the public internet" in reason or "cannot be resolved" in reason
        assert server.peers == []


class Names:
    """A resolver that returns a different result each time."""

    def __init__(self, *answers: list[str]) -> None:
        self.answers = list(answers)
        self.asked: list[str] = []

    async def __call__(self, host: str, port: int) -> list[str]:
        self.asked.append(host)
        return self.answers.pop(0)


@pytest.mark.parametrize("addresses", [["93.184.216.34", "10.0.0.1"], ["169.254.169.254"], ["::1", "2a00::1"]])
async def test_name_with_one_private_address_is_refused(addresses: list[str]) -> None:
    with pytest.raises(errors.InvalidRequest, match="not on the public internet"):
        await UrlFetcher(resolve=Names(addresses)).fetch("http://x.example/", limit_bytes=10, deadline_s=5)


async def test_name_is_resolved_once_and_the_checked_address_is_used() -> None:
    # The system resolver does not know the name, so a second lookup would fail.
    names = Names(["127.0.0.1"], ["10.0.0.1"])
    async with serving(lambda peer: peer.serve(answer(b"here"))) as server:
        port = server.base_url.rpartition(":")[2].partition("/")[0]
        fetcher = UrlFetcher(LOCAL, resolve=names)
        url = f"http://rebinding.example:{port}/x"
        assert await fetcher.fetch(url, limit_bytes=10, deadline_s=5) == ("", b"here")
        assert names.asked == ["rebinding.example"]
        with pytest.raises(errors.InvalidRequest, match="not on the public internet"):
            await fetcher.fetch(url, limit_bytes=10, deadline_s=5)


async def test_next_address_is_tried_when_the_first_is_unreachable() -> None:
    async with serving(lambda peer: peer.serve(answer(b"here"))) as server:
        port = server.base_url.rpartition(":")[2].partition("/")[0]
        fetcher = UrlFetcher(("127.0.0.0/8",), resolve=Names(["127.0.0.99", "127.0.0.1"]))
        assert await fetcher.fetch(f"http://two.example:{port}/", limit_bytes=10, deadline_s=5) == ("", b"here")


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_redirects_are_followed_including_relative_ones(status: int) -> None:
    async def script(peer: Peer) -> None:
        head = await peer.head()
        if head.startswith("GET /v1/a "):
            await peer.send(answer(b"", "location: ../b?c=d", status=status))
        else:
            assert head.startswith("GET /b?c=d ")
            await peer.send(answer(b"found", PNG))
        await peer.wait_gone()

    async with serving(script, host="127.0.0.1") as server:
        assert await _fetch(server.base_url + "/a") == ("image/png", b"found")


async def test_redirects_are_checked_like_the_first_url() -> None:
    target = "location: http://127.0.0.2:1/x"
    async with serving(lambda peer: peer.serve(answer(b"", target, status=302)), host="127.0.0.1") as server:
        assert "The URL http://127.0.0.2:1/x cannot be fetched." in await _reason(server.base_url)


@pytest.mark.parametrize("where", ["file:///etc/passwd", "gopher://127.0.0.1/", "//user@127.0.0.1/", "http://[bad/"])
async def test_redirects_to_refused_urls_are_refused(where: str) -> None:
    async with serving(
        lambda peer: peer.serve(answer(b"", f"location: {where}", status=302)), host="127.0.0.1"
    ) as server:
        await _reason(server.base_url)


async def test_redirects_are_bounded() -> None:
    async with serving(
        lambda peer: peer.serve(answer(b"", "location: /again", status=302)), host="127.0.0.1"
    ) as server:
        assert "redirects more than 3 times" in await _reason(server.base_url)
        assert len(server.peers) == 4


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (answer(b"x" * 1001), "larger than 1000 bytes"),
        (CHUNKED_HEAD + chunked(b"x" * 600, b"x" * 600), "larger than 1000 bytes"),
        (b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 5000, "larger than 1000 bytes"),
        (answer(b"no", status=404), "responded with status 404"),
        (answer(b"x", "content-encoding: gzip"), "compressed"),
        (b"SSH-2.0-x\r\n\r\n", "not valid HTTP"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nx", "closed early"),
        (b"", "closed early"),
    ],
)
async def test_unusable_responses_are_refused(data: bytes, reason: str) -> None:
    async def script(peer: Peer) -> None:
        await peer.head()
        await peer.send(data)

    async with serving(script, host="127.0.0.1") as server:
        assert reason in await _reason(server.base_url)


@pytest.mark.parametrize(
    ("content_type", "types", "is_taken"),
    [
        ("image/webp", ("image/",), True),
        ("application/pdf", ("image/", "application/pdf"), True),
        ("application/pdfx", ("application/pdf",), False),
        ("text/html", ("image/",), False),
        ("", ("image/",), False),
        ("", (), True),
    ],
)
async def test_only_accepted_media_types_are_fetched(content_type: str, types: tuple[str, ...], is_taken: bool) -> None:
    headers = (f"content-type: {content_type}",) if content_type else ()
    async with serving(lambda peer: peer.serve(answer(b"x", *headers)), host="127.0.0.1") as server:
        if is_taken:
            assert await _fetch(server.base_url, types=types) == (content_type, b"x")
        else:
            assert "Its media type is" in await _reason(server.base_url, types=types)


async def test_deadline_covers_a_slow_body() -> None:
    async def script(peer: Peer) -> None:
        await peer.head()
        await peer.send(b"HTTP/1.1 200 OK\r\ncontent-length: 900\r\n\r\n")
        while True:
            await peer.send(b"x")
            await asyncio.sleep(0.02)

    async with serving(script, host="127.0.0.1") as server:
        with within(2):
            assert "did not arrive within 0.2 s" in await _reason(server.base_url, deadline_s=0.2)
        await asyncio.wait_for(server.peers[0].is_gone.wait(), 5)


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("ftp://8.8.8.8/x", "Only http"),
        ("file:///etc/passwd", "Only http"),
        ("/x", "Only http"),
        ("", "Only http"),
        ("http://", "does not contain a host"),
        ("http://8.8.8.8:0/", "does not contain a host"),
        ("http://8.8.8.8:99999/", "not a valid URL"),
        ("http://[::1/", "not a valid URL"),
        ("http://user:secret@8.8.8.8/", "user name or a password"),
        ("http://" + "a" * 70 + ".example/", "not a valid URL"),
        ("http://8.8.8.8/" + "a" * 9000, "longer than"),
        ("http://nobody.invalid/", "cannot be resolved"),
    ],
)
async def test_invalid_urls_are_refused(url: str, reason: str) -> None:
    assert reason in await _reason(url)


async def test_error_contains_neither_query_nor_control_characters() -> None:
    message = await _reason("http://127.0.0.1:1/a\x1bb?token=secret", allowed=())
    assert "secret" not in message
    assert message.isprintable()


async def test_unreachable_server_is_reported() -> None:
    assert "cannot be reached" in await _reason("http://127.0.0.1:1/")


async def test_untrusted_certificate_is_refused(good_tls: ssl.SSLContext) -> None:
    async with serving(lambda peer: peer.serve(), tls=good_tls, host="localhost") as server:
        assert "TLS certificate" in await _reason(server.base_url, allowed=("localhost",))
