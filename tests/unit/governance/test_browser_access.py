"""Which hosts and which origins a gateway serves, with and without required keys."""

import hashlib
from typing import Any

import pytest

from intellirouter.config import KeySpec, ServerSpec
from intellirouter.core import errors
from intellirouter.governance import BrowserAccess, KeyRing, is_preflight

KEY = KeySpec(digest=hashlib.sha256(b"sk").digest(), tenant="t", name="ann")


def access(*, is_required: bool = False, keys: tuple[KeySpec, ...] = (), **server: Any) -> BrowserAccess:
    return BrowserAccess(ServerSpec(**server), KeyRing(keys, is_required=is_required))


def is_served(rules: BrowserAccess, method: str = "GET", *, is_websocket: bool = False, **headers: str) -> bool:
    fields = {name.replace("_", "-").encode(): value.encode() for name, value in headers.items()}
    try:
        rules.check(method, fields, is_websocket=is_websocket)
    except (errors.Misdirected, errors.Forbidden):
        return False
    return True


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:8080", "localhost.", "127.0.0.1", "127.9.9.9:1", "[::1]", "[::1]:8080"]
)
def test_loopback_names_are_served(host: str) -> None:
    assert is_served(access(), host=host)


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:8080",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "192.0.2.1",
        "[2001:db8::1]:8080",
        "0.0.0.0",
        "",
        "[",
        "localhost@evil.example",
    ],
)
def test_other_hosts_are_refused_if_no_key_is_required(host: str) -> None:
    assert not is_served(access(), host=host)
    assert is_served(access(is_required=True), host=host)
    with pytest.raises(errors.Misdirected) as caught:
        access().check("GET", {b"host": host.encode()})
    assert (caught.value.status, caught.value.code) == (421, "unknown_host")
    assert "server.allowed_hosts" in caught.value.hint


def test_more_hosts_can_be_configured() -> None:
    rules = access(host="gateway.lan", allowed_hosts=("proxy.example",))
    assert is_served(rules, host="gateway.lan:80")
    assert is_served(rules, host="Proxy.Example")
    assert not is_served(rules, host="other.example")
    assert is_served(access(allowed_hosts=("*",)), host="other.example")
    assert is_served(access(unix_socket="/run/s"), host="other.example")


def test_addresses_are_served_where_the_gateway_listens_on_all_of_them() -> None:
    assert is_served(access(host="0.0.0.0"), host="192.0.2.1:8080")
    assert not is_served(access(host="0.0.0.0"), host="evil.example")


LOCAL = "127.0.0.1:8080"


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"origin": "http://127.0.0.1:3000"},
        {"origin": "https://evil.example", "sec_fetch_site": "same-origin"},
        {"sec_fetch_site": "cross-site"},
        {"sec_fetch_site": "same-site"},
    ],
)
def test_foreign_pages_cannot_change_anything(method: str, headers: dict[str, str]) -> None:
    assert not is_served(access(), method, host=LOCAL, **headers)
    assert not is_served(access(), is_websocket=True, host=LOCAL, **headers)
    assert is_served(access(), "GET", host=LOCAL, **headers)
    assert is_served(access(is_required=True), method, host=LOCAL, **headers)


@pytest.mark.parametrize(
    "headers",
    [{}, {"origin": "http://127.0.0.1:8080", "sec_fetch_site": "same-origin"}, {"sec_fetch_site": "none"}],
)
def test_own_pages_and_programs_can(headers: dict[str, str]) -> None:
    assert is_served(access(), "POST", host=LOCAL, **headers)
    assert is_served(access(), is_websocket=True, host=LOCAL, **headers)


def test_a_known_key_is_as_good_as_an_origin() -> None:
    rules, foreign = access(keys=(KEY,)), {"host": LOCAL, "origin": "https://evil.example"}
    assert is_served(rules, "POST", **foreign, authorization="Bearer sk")
    assert not is_served(rules, "POST", **foreign, authorization="Bearer other")
    assert not is_served(access(), "POST", **foreign, authorization="Bearer any")


def test_origins_can_be_configured() -> None:
    rules = access(cors_origins=("https://app.example",))
    page = {b"origin": b"https://App.example", b"host": LOCAL.encode(), b"sec-fetch-site": b"cross-site"}
    rules.check("POST", page)
    allowed = dict(rules.cors_headers(page) or [])
    assert allowed[b"access-control-allow-origin"] == b"https://App.example"
    assert allowed[b"vary"] == b"Origin"
    assert rules.cors_headers({b"origin": b"https://evil.example"}) is None
    assert rules.cors_headers({}) is None
    assert access(cors_origins=("*",)).cors_headers({b"origin": b"https://evil.example"}) is not None


def test_preflights_of_configured_origins_are_answered() -> None:
    rules = access(is_required=True, cors_origins=("https://app.example",))
    asked = {
        b"origin": b"https://app.example",
        b"access-control-request-method": b"POST",
        b"access-control-request-headers": b"authorization,content-type",
        b"access-control-request-private-network": b"true",
    }
    answer = dict(rules.preflight_headers("OPTIONS", asked) or [])
    assert answer[b"access-control-allow-headers"] == b"authorization,content-type"
    assert b"POST" in answer[b"access-control-allow-methods"]
    assert answer[b"access-control-allow-private-network"] == b"true"
    assert rules.preflight_headers("POST", asked) is None
    assert rules.preflight_headers("OPTIONS", {b"origin": b"https://app.example"}) is None
    assert rules.preflight_headers("OPTIONS", {**asked, b"origin": b"https://evil.example"}) is None


def test_rules_are_needed_only_without_required_keys_or_with_origins() -> None:
    assert access().is_needed
    assert not access(is_required=True).is_needed
    assert access(is_required=True, cors_origins=("https://app.example",)).is_needed


@pytest.mark.parametrize(
    ("method", "names", "expected"),
    [
        ("OPTIONS", [b"origin", b"access-control-request-method"], True),
        ("OPTIONS", [b"origin"], False),
        ("OPTIONS", [b"access-control-request-method"], False),
        ("GET", [b"origin", b"access-control-request-method"], False),
    ],
)
def test_preflight_request_is_recognized(method: str, names: list[bytes], *, expected: bool) -> None:
    assert is_preflight(method, dict.fromkeys(names, b"x")) is expected
