"""URLs in requests behind a proxy: it gets checked addresses only."""

import ssl
from pathlib import Path

import pytest

from intellirouter.core import ProxyRules, TrustFiles, environment_proxies, errors, proxy_at
from intellirouter.providers import UrlFetcher
from tests.support.providers.loopback import Authority, answer, eventually, serving
from tests.support.providers.proxy import proxying

PUBLIC = "93.184.216.34"
LIMITS = {"limit_bytes": 1000, "deadline_s": 5.0}


def rules(url: str, *exceptions: str) -> ProxyRules:
    proxy = proxy_at(url)
    return ProxyRules(http=proxy, https=proxy, exceptions=exceptions)


class Names:
    def __init__(self, *addresses: str) -> None:
        self.addresses = list(addresses)
        self.asked: list[str] = []

    async def __call__(self, host: str, port: int) -> list[str]:
        self.asked.append(host)
        if not self.addresses:
            raise OSError("unknown name")
        return self.addresses


async def test_proxy_gets_the_checked_address(authority: Authority, vendor_tls: ssl.SSLContext) -> None:
    trust = TrustFiles((("SSL_CERT_FILE", authority.ca_file),))
    async with serving(lambda peer: peer.serve(answer(b"image")), tls=vendor_tls) as server, proxying() as proxy:
        port = server.base_url.rpartition(":")[2].partition("/")[0]
        fetcher = UrlFetcher(resolve=Names(PUBLIC), proxies=rules(proxy.url), trust=trust)
        assert await fetcher.fetch(f"https://api.vendor.example:{port}/x", **LIMITS) == ("", b"image")
        assert proxy.targets == [f"CONNECT {PUBLIC}:{port}"]
        await eventually(lambda: proxy.open_count == 0)


async def test_plain_url_uses_a_tunnel_too() -> None:
    async with serving(lambda peer: peer.serve(answer(b"image"))) as server, proxying() as proxy:
        port = server.base_url.rpartition(":")[2].partition("/")[0]
        fetcher = UrlFetcher(resolve=Names("2a00::1", PUBLIC), proxies=rules(proxy.url))
        assert await fetcher.fetch(f"http://img.example:{port}/x", **LIMITS) == ("", b"image")
        assert proxy.targets == [f"CONNECT [2a00::1]:{port}"]


@pytest.mark.parametrize("addresses", [["10.0.0.1"], ["169.254.169.254"], [PUBLIC, "127.0.0.1"], ["::1"]])
async def test_name_with_a_private_address_is_refused_before_the_proxy_is_used(addresses: list[str]) -> None:
    async with proxying() as proxy:
        fetcher = UrlFetcher(resolve=Names(*addresses), proxies=rules(proxy.url))
        for scheme in ("http", "https"):
            with pytest.raises(errors.InvalidRequest, match="not on the public internet"):
                await fetcher.fetch(f"{scheme}://x.example/", **LIMITS)
        assert proxy.heads == []


async def test_redirect_to_a_private_address_is_refused() -> None:
    redirect = answer(b"", "location: http://169.254.169.254/latest/meta-data", status=302)
    async with serving(lambda peer: peer.serve(redirect)) as server, proxying() as proxy:
        port = server.base_url.rpartition(":")[2].partition("/")[0]

        async def resolve(host: str, _: int) -> list[str]:
            return [PUBLIC if host == "x.example" else host]

        with pytest.raises(errors.InvalidRequest, match="not on the public internet"):
            await UrlFetcher(resolve=resolve, proxies=rules(proxy.url)).fetch(f"http://x.example:{port}/", **LIMITS)
        assert len(proxy.heads) == 1


async def test_name_that_only_the_proxy_can_resolve_must_be_allowed() -> None:
    async with serving(lambda peer: peer.serve(answer(b"image"))) as server, proxying() as proxy:
        port = server.base_url.rpartition(":")[2].partition("/")[0]
        url = f"http://img.example:{port}/x"
        with pytest.raises(errors.InvalidRequest, match="cannot be resolved"):
            await UrlFetcher(resolve=Names(), proxies=rules(proxy.url)).fetch(url, **LIMITS)
        allowed = UrlFetcher(["img.example"], resolve=Names(), proxies=rules(proxy.url))
        assert await allowed.fetch(url, **LIMITS) == ("", b"image")
        assert proxy.targets == [f"CONNECT img.example:{port}"]


async def test_exceptions_hold_for_names_and_addresses(closed_port: int) -> None:
    async with serving(lambda peer: peer.serve(answer(b"image"))) as server:
        port = server.base_url.rpartition(":")[2].partition("/")[0]
        dead = f"http://127.0.0.1:{closed_port}"
        for proxies in (environment_proxies({"ALL_PROXY": dead, "NO_PROXY": "img.example"}), rules(dead)):
            fetcher = UrlFetcher(["127.0.0.0/8"], resolve=Names("127.0.0.1"), proxies=proxies)
            assert await fetcher.fetch(f"http://img.example:{port}/x", **LIMITS) == ("", b"image")


@pytest.mark.parametrize("url", ["http://x.example/", "https://x.example/"])
async def test_failing_proxy_is_not_named_to_the_client(url: str, caplog: pytest.LogCaptureFixture) -> None:
    async with proxying(login="ann:s3cret") as proxy:
        fetcher = UrlFetcher(resolve=Names(PUBLIC), proxies=rules(proxy.with_login("ann:s3cret-no")))
        with pytest.raises(errors.InvalidRequest, match="The proxy of the gateway did not connect") as caught:
            await fetcher.fetch(url, **LIMITS)
        assert proxy.url.removeprefix("http://") not in caught.value.full_message
        assert f"The proxy {proxy.url} rejected the user name" in caplog.text
        assert "s3cret" not in caplog.text


async def test_unusable_proxy_is_not_bypassed() -> None:
    fetcher = UrlFetcher(resolve=Names(PUBLIC), proxies=environment_proxies({"ALL_PROXY": "socks5://p:1"}))
    with pytest.raises(errors.InvalidRequest, match="The proxy of the gateway did not connect"):
        await fetcher.fetch("https://x.example/", **LIMITS)


async def test_missing_file_of_certificate_authorities(tmp_path: Path) -> None:
    trust = TrustFiles((("SSL_CERT_FILE", str(tmp_path / "none.pem")),))
    with pytest.raises(errors.InvalidRequest, match="cannot load its certificate authorities"):
        await UrlFetcher(resolve=Names(PUBLIC), trust=trust).fetch("https://x.example/", **LIMITS)
