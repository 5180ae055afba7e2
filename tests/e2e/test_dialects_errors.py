"""Errors are in the client's dialect, with every upstream; API keys and credentials are not passed on."""

import json

import pytest

from tests.support.gateway.fixtures import KEYS
from tests.support.gateway.raw_http import RawConnection
from tests.support.translation.prompt import Prompt
from tests.support.translation.world import BOTH, CLIENTS, CREDENTIAL, UPSTREAMS, World, unique

OPENAI, ANTHROPIC, GOOGLE, OLLAMA = "openai", "anthropic", "google", "ollama"
STYLE = {
    "chat": OPENAI,
    "responses": OPENAI,
    "completions": OPENAI,
    "messages": ANTHROPIC,
    "gemini": GOOGLE,
    "gemini_array": GOOGLE,
    "ollama": OLLAMA,
    "generate": OLLAMA,
}
CODES: dict[str, dict[str, str | None]] = {
    "no key": {OPENAI: "missing_api_key", ANTHROPIC: "authentication_error", GOOGLE: "UNAUTHENTICATED"},
    "wrong key": {OPENAI: "invalid_api_key", ANTHROPIC: "authentication_error", GOOGLE: "UNAUTHENTICATED"},
    "no model": {OPENAI: "model_not_found", ANTHROPIC: "not_found_error", GOOGLE: "NOT_FOUND"},
    "no JSON": {OPENAI: "invalid_json", ANTHROPIC: "invalid_request_error", GOOGLE: "INVALID_ARGUMENT"},
    "rate limit": {OPENAI: "rate_limit_exceeded", ANTHROPIC: "rate_limit_error", GOOGLE: "RESOURCE_EXHAUSTED"},
    "overloaded": {OPENAI: "upstream_unavailable", ANTHROPIC: "overloaded_error", GOOGLE: "UNAVAILABLE"},
    "broken": {OPENAI: "upstream_unavailable", ANTHROPIC: "api_error", GOOGLE: "UNAVAILABLE"},
    "malformed": {OPENAI: "upstream_malformed", ANTHROPIC: "api_error", GOOGLE: "UNAVAILABLE"},
    "our credential": {
        OPENAI: "upstream_authentication_failed",
        ANTHROPIC: "api_error",
        GOOGLE: "UNAVAILABLE",
    },
}
"""The error code that clients of the dialect check; Ollama has none."""


def code_of(kind: str, client: str) -> str | None:
    return CODES[kind].get(STYLE[client])


@pytest.mark.parametrize("stream", BOTH)
@pytest.mark.parametrize("client", CLIENTS)
def test_request_without_a_valid_key_is_401(world: World, client: str, stream: bool) -> None:
    for key, kind in (("", "no key"), ("sk-unknown-0123456789", "wrong key")):
        answer = world.ask(client, "openai", stream=stream, key=key)
        assert (answer.status, answer.parsed.error_code) == (401, code_of(kind, client))
        assert "key" in (answer.parsed.error or "")
        assert "sk-unknown" not in answer.body.decode()
    assert world.sent() == []


@pytest.mark.parametrize("client", CLIENTS)
def test_key_is_checked_before_the_body(world: World, client: str) -> None:
    path = CLIENTS[client].build(Prompt(), "openai", stream=False).path
    assert world.post(client, path, b"{", key="").status == 401
    assert world.post(client, path, b"{").status == 400


@pytest.mark.parametrize("stream", BOTH)
@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("model", ["nobody", "team/unknown", "openai/"])
def test_unknown_model_is_404(world: World, client: str, model: str, stream: bool) -> None:
    answer = world.ask(client, model, stream=stream)
    assert (answer.status, answer.parsed.error_code) == (404, code_of("no model", client))
    assert model in (answer.parsed.error or "")


BAD_BODIES: dict[str, bytes] = {
    "empty": b"",
    "cut": b'{"model": "openai", "messages": [',
    "array": b"[1]",
    "null": b"null",
    "not UTF-8": b'{"model": "open\xffai", "prompt": "x"}',
    "NaN": b'{"model": "openai", "temperature": NaN}',
    "lone surrogate": b'{"model": "openai", "prompt": "\\ud83d", "messages": [{"role": "user", "content": "\\ud83d"}]}',
    "brackets": b"[" * 100_000,
    "numbers": b'{"model": "openai", "messages": [7], "contents": [7], "input": 7, "prompt": 7}',
    "a number as content": b'{"model": "openai", "max_tokens": 9,'
    b'"contents": [{"role": "user", "parts": [{"text": 5}]}],'
    b'"messages": [{"role": "user", "content": 5}], "input": [{"role": "user", "content": 5}], "prompt": {}}',
}


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("name", BAD_BODIES)
def test_invalid_body_is_400(world: World, client: str, name: str) -> None:
    path = CLIENTS[client].build(Prompt(), "openai", stream=False).path
    answer = world.post(client, path, BAD_BODIES[name])
    assert answer.status == 400, answer.body
    assert answer.parsed.error
    assert answer.parsed.error_code == code_of("no JSON", client) or STYLE[client] == OPENAI
    assert answer.headers["x-request-id"].startswith("req_")
    # With passthrough, the vendor validates the request.
    assert world.sent() == [] or (client, name) == ("responses", "a number as content")


@pytest.mark.parametrize("stream", BOTH)
@pytest.mark.parametrize("upstream", UPSTREAMS)
@pytest.mark.parametrize("client", CLIENTS)
def test_rate_limit_is_passed_on_with_retry_after(world: World, client: str, upstream: str, stream: bool) -> None:
    world.vendor.fault("rate_limit", retry_after_s=7)
    answer = world.ask(client, upstream, stream=stream)
    assert (answer.status, answer.parsed.error_code) == (429, code_of("rate limit", client))
    assert (answer.headers["retry-after"], answer.headers["retry-after-ms"]) == ("7", "7000")
    assert world.record(answer)["attempts"][0]["outcome"] == "rate_limit_exceeded"


@pytest.mark.parametrize("stream", BOTH)
@pytest.mark.parametrize("upstream", UPSTREAMS)
@pytest.mark.parametrize("client", CLIENTS)
def test_failing_upstream_is_a_server_error(world: World, client: str, upstream: str, stream: bool) -> None:
    statuses = {"messages": {503: 529}}.get(client, {})
    for fault, status, kind in (
        ({"status": 503}, 503, "overloaded"),
        ({"status": 500}, 502, "broken"),
        ({"status": 502, "body": "<html><h1>Bad Gateway</h1></html>"}, 502, "broken"),
        ({"status": 401}, 502, "our credential"),
    ):
        world.vendor.clear()
        world.vendor.fault("error", **fault)
        answer = world.ask(client, upstream, stream=stream)
        assert (answer.status, answer.parsed.error_code) == (statuses.get(status, status), code_of(kind, client)), fault
        assert b"<h" not in answer.body
        assert CREDENTIAL not in answer.body.decode()


@pytest.mark.parametrize("stream", BOTH)
@pytest.mark.parametrize("upstream", UPSTREAMS)
@pytest.mark.parametrize("client", ["chat", "responses", "messages", "gemini", "ollama"])
@pytest.mark.parametrize("how", ["html", "empty", "json"])
def test_garbage_with_status_200_is_not_passed_on(
    world: World, client: str, upstream: str, how: str, stream: bool
) -> None:
    world.vendor.fault("malformed", how=how)
    answer = world.ask(client, upstream, stream=stream)
    if answer.status == 200:  # the stream may have begun already
        assert stream
        assert how == "json"
        assert answer.parsed.error
        assert not answer.parsed.is_complete
        return
    assert (answer.status, answer.parsed.error_code) == (502, code_of("malformed", client))
    assert b"<h" not in answer.body


@pytest.mark.parametrize("stream", BOTH)
@pytest.mark.parametrize("upstream", UPSTREAMS)
@pytest.mark.parametrize("client", CLIENTS)
def test_vendor_message_about_an_invalid_request_is_passed_on(
    world: World, client: str, upstream: str, stream: bool
) -> None:
    world.vendor.fault("error", status=400, message="prompt is too long: 210000 tokens > 200000 maximum")
    answer = world.ask(client, upstream, stream=stream)
    assert answer.status == 400
    assert "prompt is too long: 210000 tokens > 200000 maximum" in (answer.parsed.error or "")
    assert len(world.sent()) == 1  # an invalid request is not retried


@pytest.mark.parametrize("client", ["chat", "responses", "completions"])
@pytest.mark.parametrize("upstream", ["openai", "responses", "azure"])
def test_insufficient_quota_keeps_its_code(world: World, client: str, upstream: str) -> None:
    world.vendor.fault("error", status=429, type="insufficient_quota", code="insufficient_quota")
    answer = world.ask(client, upstream)
    assert answer.status == 429
    assert answer.parsed.error_code == "insufficient_quota"


@pytest.mark.parametrize(
    ("method", "path", "client"),
    [
        ("GET", "/v1/nothing", "chat"),
        ("POST", "/v1/messages/nothing", "messages"),
        ("GET", "/v1/messages", "messages"),
        ("POST", "/v1beta/models/openai:nothing", "gemini"),
        ("GET", "/v1beta/models/openai:generateContent", "gemini"),
        ("GET", "/api/chat", "ollama"),
        ("POST", "/v1/responses/x/y", "responses"),
    ],
)
def test_unknown_url_is_an_error_in_the_dialect_of_its_prefix(
    world: World, method: str, path: str, client: str
) -> None:
    got = world.http.request(method, path, headers={"authorization": f"Bearer {KEYS['ann']}"})
    assert got.status_code in {404, 405}
    said = CLIENTS[client].parse(got.content, stream=False)
    assert said.error
    assert got.headers["x-request-id"]


# --- keys


PRESENTED: dict[str, dict[str, str]] = {
    "bearer": {"authorization": "Bearer {key}"},
    "x-api-key": {"x-api-key": "{key}"},
    "x-goog-api-key": {"x-goog-api-key": "{key}"},
    "api-key": {"api-key": "{key}"},
}


@pytest.mark.parametrize("stream", BOTH)
@pytest.mark.parametrize("way", [*PRESENTED, "?key="])
@pytest.mark.parametrize("client", CLIENTS)
def test_every_way_to_send_a_key_is_accepted_and_keys_are_not_passed_on(
    world: World, client: str, way: str, stream: bool
) -> None:
    upstreams = ["anthropic"] if stream else list(UPSTREAMS)
    for upstream in upstreams:
        request = CLIENTS[client].build(Prompt(), upstream, stream=stream)
        headers = {name: value.format(key=KEYS["ann"]) for name, value in PRESENTED.get(way, {}).items()}
        path = request.path
        if way == "?key=":
            path += ("&" if "?" in path else "?") + f"key={KEYS['ann']}"
        private = {"cookie": "session=private-0123", "x-private": "private-0123", "proxy-authorization": "private-0123"}
        got = world.http.post(path, json=request.body, headers={**headers, **private})
        assert got.status_code == 200, got.text
        assert world.record(got)["key_name"] == "ann"
    everything = json.dumps(world.sent())
    assert KEYS["ann"] not in everything
    assert "private-0123" not in everything
    assert len(world.sent()) == len(upstreams)


@pytest.mark.parametrize("upstream", UPSTREAMS)
def test_each_vendor_receives_the_credential_in_its_own_header(world: World, upstream: str) -> None:
    mark = unique()
    assert world.ask("chat", upstream, text=mark).status == 200
    (sent,) = world.sent(mark)
    ways = {"anthropic": "x-api-key", "gemini": "x-goog-api-key", "azure": "api-key"}
    name = ways.get(upstream, "authorization")
    shown = dict(sent["headers"])
    assert shown[name] == (CREDENTIAL if upstream in ways else f"Bearer {CREDENTIAL}")
    assert not [other for other in (*ways.values(), "authorization") if other != name and other in shown]
    assert CREDENTIAL not in sent["path"]


@pytest.mark.parametrize("upstream", UPSTREAMS)
def test_beta_flags_are_sent_to_anthropic_only(world: World, upstream: str) -> None:
    flags = {"anthropic-beta": "context-management-2025-06-27", "anthropic-version": "2023-06-01"}
    request = CLIENTS["messages"].build(Prompt(), upstream, stream=False)
    for path in (request.path, request.path + "?beta=true"):
        answer = world.post("messages", path, request.body, **flags)
        assert answer.status == 200, answer.body
    for sent in world.sent():
        shown = dict(sent["headers"])
        assert shown.get("anthropic-beta") == (flags["anthropic-beta"] if upstream == "anthropic" else None)
        assert ("anthropic-version" in shown) is (upstream == "anthropic")


@pytest.mark.parametrize("client", CLIENTS)
def test_body_after_100_continue_is_accepted(world: World, client: str) -> None:
    request = CLIENTS[client].build(Prompt(), "anthropic", stream=False)
    body = json.dumps(request.body).encode()
    with RawConnection(world.gateway.port) as link:
        link.send_post(
            b"",
            request.path,
            authorization=f"Bearer {KEYS['ann']}",
            content_length=str(len(body)),
            expect="100-continue",
        )
        assert link.until(b"\r\n\r\n").startswith(b"HTTP/1.1 100 ")
        link.send(body)
        assert link.answer().status == 200
