"""The address to connect to and the head of a request, from a deployment's address."""

import pytest

from intellirouter.core import UpstreamRequest, errors
from intellirouter.providers.transport.address import Address, address_of
from intellirouter.providers.transport.request_head import build_head
from tests.support.providers.loopback import deployment


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
def test_address_and_host_header(base_url: str, address: Address, host_line: str) -> None:
    to = deployment(base_url)
    assert address_of(to) == address
    assert f"host: {host_line}\r\n".encode() in build_head(to, UpstreamRequest(path="/x")).to_bytes()


def test_connections_are_shared_only_by_equal_addresses() -> None:
    url = "https://api.vendor.example/v1"
    assert address_of(deployment(url)) == address_of(deployment(url + "/other"))
    others = [deployment(url, ca_file="ca.pem"), deployment(url, uds="/run/w.sock"), deployment(url + ":8443")]
    others[2] = deployment("https://api.vendor.example:8443/v1")
    assert len({address_of(deployment(url)), *map(address_of, others)}) == 4


@pytest.mark.parametrize("base_url", ["", "http://", "/v1"])
def test_deployment_without_a_network_address_is_refused(base_url: str) -> None:
    with pytest.raises(
        errors.UpstreamConnectFailed, match="test/model: The deployment has no network address"
    ) as caught:
        address_of(deployment(base_url))
    assert "base_url" in caught.value.hint


def test_unix_socket_needs_no_host() -> None:
    assert address_of(deployment("", uds="/run/w.sock")) == Address("", 0, False, "/run/w.sock")


@pytest.mark.parametrize(
    ("base_url", "target"),
    [
        ("http://h/v1", "/v1/chat/completions"),
        ("http://h/v1/", "/v1/chat/completions"),
        ("http://h", "/chat/completions"),
        ("http://h/a/b%20c", "/a/b%20c/chat/completions"),
    ],
)
def test_the_request_path_is_appended_to_the_base_path(base_url: str, target: str) -> None:
    head = build_head(deployment(base_url), UpstreamRequest(path="/chat/completions")).to_bytes()
    assert head.startswith(f"POST {target} HTTP/1.1\r\n".encode())


def test_head_ends_before_the_length_and_has_each_header_once() -> None:
    to = deployment("http://h/v1", headers=(("X-Team", "blue"), ("x-other", "1"), ("Accept", "*/*")))
    request = UpstreamRequest(path="/x", headers=(("x-other", "2"), ("content-type", "multipart/form-data")))
    head = build_head(to, request).to_bytes((("authorization", "Bearer sk-1"),)).decode()
    assert head.endswith("\r\ncontent-length: ")
    lines = head.split("\r\n")[1:]
    names = [line.partition(":")[0] for line in lines]
    assert len(names) == len(set(names))
    assert {"authorization: Bearer sk-1", "x-other: 1", "accept: */*", "content-type: multipart/form-data"} < set(lines)
    assert "authorization" not in build_head(to, request).to_bytes().decode()


def test_beta_headers_of_client_and_operator_are_combined() -> None:
    to = deployment("http://h/v1", headers=(("anthropic-beta", "a"),))
    head = build_head(to, UpstreamRequest(path="/x", headers=(("anthropic-beta", "b,c"),)))
    assert head.headers["anthropic-beta"] == "b,c,a"


def test_get_requests_have_no_content_type() -> None:
    head = build_head(deployment("http://h/v1"), UpstreamRequest(path="/responses/r_1?after=2", method="GET"))
    assert head.to_bytes().startswith(b"GET /v1/responses/r_1?after=2 HTTP/1.1\r\nhost: h\r\n")
    assert "content-type" not in head.headers


@pytest.mark.parametrize("path", ["x", "/a b", "/a\r\nx: y", "/\x00", "/ü", ""])
def test_an_invalid_path_is_an_invalid_request(path: str) -> None:
    with pytest.raises(errors.InvalidRequest, match="URL"):
        build_head(deployment("http://h/v1"), UpstreamRequest(path=path))


@pytest.mark.parametrize("value", ["a\r\nx: y", "a\nb", "\x00", "\u20ac"])
def test_header_injection_is_refused(value: str) -> None:
    with pytest.raises(errors.InvalidRequest, match="header anthropic-beta"):
        build_head(deployment("http://h/v1"), UpstreamRequest(path="/x", headers=(("anthropic-beta", value),)))
