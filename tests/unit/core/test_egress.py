"""Which connections use a proxy: the variables of the environment, NO_PROXY, and the URLs of proxies."""

import base64

import pytest

from intellirouter.core import DIRECT, Proxy, ProxyUrlError, environment_proxies, environment_trust, proxy_at

PROXY = "http://proxy.example:3128"


@pytest.mark.parametrize(
    ("url", "shown", "port", "is_tls"),
    [
        (PROXY, PROXY, 3128, False),
        ("proxy.example:3128", PROXY, 3128, False),
        ("HTTP://proxy.example/", "http://proxy.example:80", 80, False),
        ("https://proxy.example", "https://proxy.example:443", 443, True),
        ("http://[::1]:3128", "http://[::1]:3128", 3128, False),
        (" http://10.0.0.1:8080 ", "http://10.0.0.1:8080", 8080, False),
    ],
)
def test_proxy_url(url: str, shown: str, port: int, is_tls: bool) -> None:
    proxy = proxy_at(url)
    assert (str(proxy), proxy.port, proxy.is_tls, proxy.authorization) == (shown, port, is_tls, None)


@pytest.mark.parametrize(
    ("userinfo", "login"),
    [
        ("ann:s3cret", "ann:s3cret"),
        ("ann:p%40ss%3Aw%2Frd", "ann:p@ss:w/rd"),
        ("ann:p@ss", "ann:p@ss"),
        ("token", "token:"),
        ("CORP%5Cann:%C3%A9", "CORP\\ann:é"),
    ],
)
def test_login_of_a_proxy_is_sent_and_never_shown(userinfo: str, login: str) -> None:
    proxy = proxy_at(f"http://{userinfo}@proxy.example:3128")
    assert proxy.authorization == f"Basic {base64.b64encode(login.encode()).decode()}"
    assert str(proxy) == PROXY
    for shown in (repr(proxy), str(proxy)):
        assert "s3cret" not in shown
        assert "ann" not in shown
    assert proxy.login in proxy.secrets


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("socks5://proxy.example:1080", "SOCKS proxies are not supported"),
        ("socks5h://ann:s3cret@proxy.example", "SOCKS proxies are not supported"),
        ("SOCKS4a://proxy.example", "SOCKS proxies are not supported"),
        ("ftp://proxy.example", "must start with `http://`"),
        ("http://", "invalid host or port"),
        ("http://:3128", "invalid host or port"),
        ("http://ann:s3cret@", "invalid host or port"),
        ("http://proxy.example:0", "invalid host or port"),
        ("http://proxy.example:99999", "invalid host or port"),
        ("http://proxy.example:port", "invalid host or port"),
        ("http://ann:s3/cret@proxy.example:1", "invalid host or port"),
        ("http://ann@s3#cret@proxy.example", "must not contain a path"),
        ("http://proxy.example/path", "must not contain a path"),
        ("http://proxy .example", "spaces"),
        ("http://proxy.example\r\nx: y", "spaces or control"),
    ],
)
def test_unusable_proxy_url_is_refused_without_showing_it(url: str, message: str) -> None:
    with pytest.raises(ProxyUrlError, match=message) as caught:
        proxy_at(url)
    for shown in (caught.value.message, caught.value.hint):
        assert "s3" not in shown
        assert "ann" not in shown


@pytest.mark.parametrize(
    ("environ", "scheme", "expected"),
    [
        ({"HTTPS_PROXY": PROXY}, "https", "HTTPS_PROXY"),
        ({"HTTPS_PROXY": PROXY}, "wss", "HTTPS_PROXY"),
        ({"HTTPS_PROXY": PROXY}, "http", None),
        ({"https_proxy": PROXY, "HTTPS_PROXY": "http://other:1"}, "https", "https_proxy"),
        ({"https_proxy": " ", "HTTPS_PROXY": PROXY}, "https", "HTTPS_PROXY"),
        ({"HTTP_PROXY": PROXY}, "http", "HTTP_PROXY"),
        ({"HTTP_PROXY": PROXY}, "ws", "HTTP_PROXY"),
        ({"HTTP_PROXY": PROXY}, "https", None),
        ({"HTTP_PROXY": PROXY, "REQUEST_METHOD": "GET"}, "http", None),
        ({"http_proxy": PROXY, "REQUEST_METHOD": "GET"}, "http", "http_proxy"),
        ({"ALL_PROXY": PROXY}, "https", "ALL_PROXY"),
        ({"all_proxy": PROXY}, "http", "all_proxy"),
        ({"ALL_PROXY": "http://other:1", "HTTPS_PROXY": PROXY}, "https", "HTTPS_PROXY"),
        ({}, "https", None),
    ],
)
def test_variables_of_the_environment(environ: dict[str, str], scheme: str, expected: str | None) -> None:
    proxy = environment_proxies(environ).proxy_for(scheme, "api.example", 443)
    assert (proxy and proxy.variable) == expected
    assert proxy is None or str(proxy) == PROXY


@pytest.mark.parametrize(
    ("no_proxy", "host", "port", "is_direct"),
    [
        ("", "api.example", 443, False),
        ("*", "api.example", 443, True),
        ("api.example", "api.example", 443, True),
        ("API.Example", "api.EXAMPLE.", 443, True),
        ("api.example.", "api.example", 443, True),
        ("example", "api.example", 443, True),
        (".example", "api.example", 443, True),
        (".api.example", "api.example", 443, True),
        ("*.example", "api.example", 443, True),
        ("ample", "api.example", 443, False),
        ("api.example.evil", "api.example", 443, False),
        (".", "api.example", 443, False),
        ("other.example, api.example", "api.example", 443, True),
        ("other.example api.example", "api.example", 443, True),
        (",,other.example,", "api.example", 443, False),
        ("api.example:443", "api.example", 443, True),
        ("api.example:8443", "api.example", 443, False),
        ("api.example:x", "api.example", 443, False),
        (".example:443", "api.example", 443, True),
        ("10.1.2.3", "10.1.2.3", 80, True),
        ("10.1.2.3", "10.1.2.30", 80, False),
        ("10.1.2.3:80", "10.1.2.3", 80, True),
        ("10.1.2.3:81", "10.1.2.3", 80, False),
        ("10.0.0.0/8", "10.1.2.3", 80, True),
        ("10.1.2.3/8", "10.9.9.9", 80, True),
        ("10.0.0.0/8", "11.1.2.3", 80, False),
        ("10.0.0.0/8", "10.example", 80, False),
        ("10.0.0.0/99", "10.1.2.3", 80, False),
        ("10.0.0.0/8", "::ffff:10.1.2.3", 80, True),
        ("2001:db8::/32", "2001:db8::1", 443, True),
        ("2001:db8::1", "2001:db8::1", 443, True),
        ("[2001:db8::1]", "2001:db8::1", 443, True),
        ("[2001:db8::1]:443", "2001:db8::1", 443, True),
        ("[2001:db8::1]:80", "2001:db8::1", 443, False),
        ("2.3", "10.1.2.3", 80, False),
        ("", "localhost", 80, True),
        ("", "LOCALHOST.", 80, True),
        ("", "ollama.localhost", 80, True),
        ("", "127.0.0.1", 80, True),
        ("", "127.9.9.9", 80, True),
        ("", "::1", 80, True),
        ("", "::ffff:127.0.0.1", 80, True),
        ("", "0.0.0.0", 80, True),
        ("", "localhost.example", 80, False),
        ("", "192.168.0.1", 80, False),
        ("", "ollama", 80, False),
    ],
)
def test_no_proxy(no_proxy: str, host: str, port: int, is_direct: bool) -> None:
    for name in ("NO_PROXY", "no_proxy"):
        rules = environment_proxies({"ALL_PROXY": PROXY, name: no_proxy})
        for scheme in ("http", "https"):
            assert (rules.proxy_for(scheme, host, port) is None) == is_direct


def test_without_variables_everything_is_direct() -> None:
    assert environment_proxies({"NO_PROXY": "x"}).proxy_for("https", "api.example", 443) is None
    assert environment_proxies({}) == DIRECT


def test_unusable_proxy_of_the_environment_is_kept_with_its_problem() -> None:
    """Connections must not silently go around it."""
    proxy = environment_proxies({"ALL_PROXY": "socks5://ann:s3cret@p:1"}).proxy_for("https", "api.example", 443)
    assert isinstance(proxy, Proxy)
    assert "SOCKS proxies are not supported." in proxy.problem
    assert str(proxy) == "of the environment variable ALL_PROXY"
    assert "s3cret" not in repr(proxy)


def test_certificate_authorities_of_the_environment() -> None:
    environ = {
        "SSL_CERT_FILE": "/a.pem",
        "SSL_CERT_DIR": "/d:/e",
        "REQUESTS_CA_BUNDLE": " /b.pem ",
        "CURL_CA_BUNDLE": "",
    }
    expected = (
        ("SSL_CERT_FILE", "/a.pem"),
        ("REQUESTS_CA_BUNDLE", "/b.pem"),
        ("SSL_CERT_DIR", "/d"),
        ("SSL_CERT_DIR", "/e"),
    )
    assert environment_trust(environ).paths == expected
    assert environment_trust({}).paths == ()
