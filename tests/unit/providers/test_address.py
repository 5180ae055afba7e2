"""What a deployment's endpoint says about where to connect and what every request begins with."""

import pytest
from loopback import deployment

from intellirouter.core import Secret
from intellirouter.providers.transport.address import Address, address_of, request_head


@pytest.mark.parametrize(
    ("base_url", "address", "host_line"),
    [
        ("https://api.vendor.example/v1", Address("api.vendor.example", 443, True), "api.vendor.example"),
        ("http://api.vendor.example", Address("api.vendor.example", 80, False), "api.vendor.example"),
        ("http://127.0.0.1:8080/v1", Address("127.0.0.1", 8080, False), "127.0.0.1:8080"),
        ("https://[::1]:8443/v1", Address("::1", 8443, True), "[::1]:8443"),
        ("https://Api.Vendor.Example/v1", Address("api.vendor.example", 443, True), "Api.Vendor.Example"),
    ],
)
def test_where_to_connect(base_url: str, address: Address, host_line: str) -> None:
    to = deployment(base_url)
    assert address_of(to) == address
    assert f"host: {host_line}\r\n".encode() in request_head(to, "/x", None)


def test_connections_are_shared_only_where_they_mean_the_same() -> None:
    url = "https://api.vendor.example/v1"
    assert address_of(deployment(url)) == address_of(deployment(url + "/other"))
    others = [deployment(url, ca_file="ca.pem"), deployment(url, uds="/run/w.sock"), deployment(url + ":8443")]
    others[2] = deployment("https://api.vendor.example:8443/v1")
    assert len({address_of(deployment(url)), *map(address_of, others)}) == 4


@pytest.mark.parametrize(
    ("base_url", "target"),
    [
        ("http://h/v1", "/v1/chat/completions"),
        ("http://h/v1/", "/v1/chat/completions"),
        ("http://h", "/chat/completions"),
        ("http://h/a/b%20c", "/a/b%20c/chat/completions"),
    ],
)
def test_the_path_follows_the_prefix(base_url: str, target: str) -> None:
    head = request_head(deployment(base_url), "/chat/completions", None)
    assert head.startswith(f"POST {target} HTTP/1.1\r\n".encode())


def test_the_head_ends_where_the_length_belongs_and_holds_each_header_once() -> None:
    to = deployment("http://h/v1", headers=(("x-team", "blue"), ("x-other", "1")))
    head = request_head(to, "/x", Secret("sk-1")).decode()
    assert head.endswith("\r\ncontent-length: ")
    names = [line.partition(":")[0] for line in head.split("\r\n")[1:]]
    assert len(names) == len(set(names))
    assert "authorization: Bearer sk-1" in head.split("\r\n")
    assert "authorization" not in request_head(to, "/x", None).decode()
