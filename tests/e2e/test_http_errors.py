"""Invalid requests: every error is in OpenAI's envelope, and the server keeps running."""

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from tests.support.gateway.fixtures import BODY_TIMEOUT_S, KEYS, MAX_BODY_BYTES
from tests.support.gateway.process import GatewayProcess, chat_request
from tests.support.gateway.raw_http import Answer, RawConnection

ENVELOPE = Draft202012Validator(
    {
        "type": "object",
        "properties": {
            "error": {
                "type": "object",
                "properties": {
                    "message": {"type": "string", "minLength": 1},
                    "type": {"type": "string", "pattern": "^[a-z_]+$"},
                    "param": {"type": ["string", "null"]},
                    "code": {"type": ["string", "null"], "pattern": "^[a-z0-9_]+$"},
                },
                "required": ["message", "type", "param", "code"],
                "additionalProperties": False,
            }
        },
        "required": ["error"],
        "additionalProperties": False,
    }
)
BEARER = f"Bearer {KEYS['ann']}"
GOOD = json.dumps(chat_request()).encode()


def error_of(answer: Answer) -> dict[str, Any]:
    assert answer.headers["content-type"] == "application/json"
    ENVELOPE.validate(answer.json())
    error: dict[str, Any] = answer.json()["error"]
    return error


@pytest.fixture
def link(gateway: GatewayProcess) -> Iterator[RawConnection]:
    with RawConnection(gateway.port) as connection:
        yield connection


def body_with(**members: Any) -> bytes:
    return json.dumps({**chat_request(), **members}).encode()


WRONG_BODIES: dict[str, tuple[bytes, str, str | None]] = {
    "empty": (b"", "invalid_json", None),
    "cut short": (GOOD[:-1], "invalid_json", None),
    "two documents": (GOOD + GOOD, "invalid_json", None),
    "single quotes": (b"{'model': 'fake/echo'}", "invalid_json", None),
    "not UTF-8": (GOOD.replace(b"hello", b"h\xffllo"), "invalid_json", None),
    "UTF-16": (json.dumps(chat_request()).encode("utf-16"), "invalid_json", None),
    "NaN": (body_with(temperature=float("nan")), "invalid_json", None),
    "Infinity": (body_with(temperature=float("inf")), "invalid_json", None),
    "lone surrogate": (GOOD.replace(b"hello", rb"\ud83d"), "invalid_json", None),
    "array": (b"[]", "invalid_type", None),
    "null": (b"null", "invalid_type", None),
    "string": (b'"hello"', "invalid_type", None),
    "100,000 brackets": (b"[" * 100_000, "limit_exceeded", None),
    "deep": (b'{"messages": ' + b"[" * 200 + b"]" * 200 + b"}", "limit_exceeded", None),
    "deep in an unknown member": (GOOD[:-1] + b', "x": ' + b'{"a":' * 200 + b"1" + b"}" * 201, "limit_exceeded", None),
    "no model": (b'{"messages": [{"role": "user", "content": "x"}]}', "missing_required_parameter", "model"),
    "empty model": (body_with(model=""), "invalid_value", "model"),
    "model a number": (body_with(model=7), "invalid_type", "model"),
    "model null": (body_with(model=None), "invalid_type", "model"),
    "model not printable": (body_with(model="a\x00"), "invalid_value", "model"),
    "model without end": (body_with(model="a" * 5000), "string_above_max_length", "model"),
    "no messages": (b'{"model": "fake/echo"}', "missing_required_parameter", "messages"),
    "messages an object": (body_with(messages={}), "invalid_type", "messages"),
    "messages empty": (body_with(messages=[]), "empty_array", "messages"),
    "message without role": (body_with(messages=[{"content": "x"}]), "missing_required_parameter", "messages[0].role"),
    "content a number": (body_with(messages=[{"role": "user", "content": 5}]), "invalid_type", "messages[0].content"),
    "stream a string": (body_with(stream="yes"), "invalid_type", "stream"),
    "n too large": (body_with(n=10**6), "integer_above_max_value", "n"),
    "max_tokens negative": (body_with(max_tokens=-1), "integer_below_min_value", "max_tokens"),
    "max_tokens beyond any integer": (
        GOOD[:-1] + b', "max_tokens": ' + b"9" * 400 + b"}",
        "integer_above_max_value",
        "max_tokens",
    ),
}


@pytest.mark.parametrize("name", WRONG_BODIES)
def test_invalid_body_is_rejected_with_the_parameter(link: RawConnection, name: str) -> None:
    body, code, param = WRONG_BODIES[name]
    answer = link.post(body, authorization=BEARER)
    error = error_of(answer)
    assert answer.status == 400
    assert (error["code"], error["param"], error["type"]) == (code, param, "invalid_request_error")
    assert answer.headers["x-request-id"].startswith("req_")
    assert link.post(GOOD, authorization=BEARER).status == 200  # on the same connection


def test_unknown_model_is_not_found(link: RawConnection) -> None:
    for model in ("nobody", "mock/", "/", "../../etc/passwd", "a" * 200, "fake/unknown", "%s%n"):
        answer = link.post(body_with(model=model), authorization=BEARER)
        assert answer.status == 404, model
        assert error_of(answer)["code"] == "model_not_found"
        assert len(answer.body) < 1000


@pytest.mark.parametrize(
    ("path", "body", "message"),
    [
        ("/v1/nothing", b"{}", "Invalid URL (POST /v1/nothing). See /api/docs for the endpoints of this gateway."),
        *(
            (path, b"{}", f"Invalid URL (POST {path}). Paths are matched exactly. Did you mean /v1/chat/completions?")
            for path in (
                "/v1//chat/completions",
                "//v1/chat/completions",
                "/v1/chat/completions/",
                "/v1/./chat/completions",
                "/v1/x/../chat/completions",
                "/v1%2Fchat%2Fcompletions",
            )
        ),
        (
            "/chat/completions",
            b"{}",
            "Invalid URL (POST /chat/completions). Did you mean /v1/chat/completions? A base URL must end in /v1.",
        ),
        *(
            (path, b"{}", f"Invalid URL (POST {path}). Paths are matched exactly. Did you mean /api/v1/explain?")
            for path in (
                "/api/v1/explain/",
                "/api//v1/explain",
                "//api/v1/explain",
                "/v1/../api/v1/explain",
                "/api/v1%2Fexplain",
            )
        ),
        *(
            (path, b"{}", f"Invalid URL (POST {path}). Did you mean {meant}? Remove {extra} from the base URL.")
            for path, meant, extra in (
                ("/v1/v1/chat/completions", "/v1/chat/completions", "/v1"),
                ("/v1/v1/messages", "/v1/messages", "/v1"),
                ("/v1beta/v1/responses", "/v1/responses", "/v1beta"),
                ("/v1beta/v1beta/models/auto:countTokens", "/v1beta/models/auto:countTokens", "/v1beta"),
                ("/v1/api/v1/health", "/api/v1/health", "/v1"),
            )
        ),
        ("/health", b"{}", "/health does not support POST. Use GET or HEAD."),
        ("/api/v1/requests", b"{}", "/api/v1/requests does not support POST. Use GET."),
        (
            "/v1beta/models/auto:foo",
            b"{}",
            (
                "Unknown method 'foo' in /v1beta/models/auto:foo. The supported methods are generateContent, "
                "streamGenerateContent, countTokens, embedContent and batchEmbedContents."
            ),
        ),
        (
            "/v1beta/models/nope:generateContent",
            b'{"contents":[{"parts":[{"text":"x"}]}]}',
            (
                "The model 'nope' does not exist or you do not have access to it. "
                "GET /v1beta/models lists the models that this key may use."
            ),
        ),
        (
            "/api/chat",
            b'{"model":"nope","messages":[]}',
            (
                "The model 'nope' does not exist or you do not have access to it. "
                "GET /api/tags lists the models that this key may use."
            ),
        ),
        (
            "/api/chat",
            b'{"model":"fake/echo","messages":[{"role":"usr","content":"x"}]}',
            "messages[0].role: Invalid value: 'usr'. Supported values are: ",
        ),
        ("/v1/messages", b"", "The request body is empty. "),
        ("/v1beta/models/fake/echo:generateContent", b"", "The request body is empty. "),
        ("/api/show", b"", "The request body is empty."),
        (
            "/v1/images/generations",
            b'{"model":"fake/echo","prompt":"x"}',
            "No deployment of the model 'fake/echo' can serve this request: fake/echo does not support image gen",
        ),
        (
            "/v1/chat/completions",
            GOOD.replace(b"fake/echo", b"fake/lorm"),
            "fake/lorm does not know this model or path (HTTP 404): The model `lorm` does not exist",
        ),
    ],
)
def test_message_is_specific_in_every_dialect(link: RawConnection, path: str, body: bytes, message: str) -> None:
    error = link.post(body, path, authorization=BEARER).json()["error"]
    assert (error if isinstance(error, str) else error["message"]).startswith(message)


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/embeddings", "/api/v1/explain"])
def test_too_large_body_is_rejected_before_it_is_read(link: RawConnection, path: str) -> None:
    link.send_post(b"", path, content_length=str(MAX_BODY_BYTES + 1), authorization=BEARER)
    answer = link.answer()
    assert answer.status == 413
    assert error_of(answer)["code"] == "body_too_large"
    assert answer.headers["connection"] == "close"
    assert link.rest() == b""


def chunked(*pieces: bytes) -> bytes:
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces)


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/embeddings", "/api/v1/explain"])
def test_too_large_chunked_body_is_rejected_while_it_arrives(gateway: GatewayProcess, path: str) -> None:
    with RawConnection(gateway.port) as link:
        link.send(
            f"POST {path} HTTP/1.1\r\nhost: x\r\nauthorization: {BEARER}\r\n"
            "content-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n".encode()
        )
        for _ in range(5):
            link.send(chunked(b" " * (MAX_BODY_BYTES // 4)))
        answer = link.answer()
    assert answer.status == 413
    assert error_of(answer)["code"] == "body_too_large"
    with RawConnection(gateway.port) as link:
        assert link.post(GOOD, authorization=BEARER).status == 200


def test_body_of_the_maximum_size_is_accepted(link: RawConnection) -> None:
    body = GOOD + b" " * (MAX_BODY_BYTES - len(GOOD))
    assert link.post(body, authorization=BEARER).status == 200


def test_chunked_body_is_accepted(gateway: GatewayProcess) -> None:
    with RawConnection(gateway.port) as link:
        link.send(
            f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: {BEARER}\r\n"
            "content-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n".encode()
        )
        for at in range(len(GOOD)):
            link.send(chunked(GOOD[at : at + 1]))
        link.send(b"0\r\n\r\n")
        assert link.answer().status == 200


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"content_type": "text/plain"}, 415),
        ({"content_type": "application/x-www-form-urlencoded"}, 415),
        ({"content_type": "multipart/form-data; boundary=x"}, 415),
        ({"content_encoding": "gzip"}, 415),
        ({"content_type": "application/json; charset=utf-8"}, 200),
        ({"content_type": "Application/JSON"}, 200),
        ({"content_type": "application/vnd.api+json"}, 200),
        ({"content_encoding": "identity"}, 200),
    ],
)
def test_only_json_is_accepted(link: RawConnection, headers: dict[str, str], status: int) -> None:
    answer = link.post(GOOD, authorization=BEARER, **headers)
    assert answer.status == status
    if status == 415:
        assert error_of(answer)["code"] == "unsupported_media_type"


@pytest.mark.parametrize(
    ("authorization", "code"),
    [
        (None, "missing_api_key"),
        ("", "missing_api_key"),
        ("Bearer", "missing_api_key"),
        ("Bearer ", "missing_api_key"),
        ("Basic YW5uOnNlY3JldA==", "missing_api_key"),
        ("Bearer sk-wrong-0123456789abcdef", "invalid_api_key"),
        ("Bearer " + KEYS["ann"][:-1], "invalid_api_key"),
        ("Bearer " + KEYS["ann"] + " x", "invalid_api_key"),
        ("Bearer \xff\xfe", "invalid_api_key"),
        ("Bearer " + "k" * 10_000, "invalid_api_key"),
        ("Bearer " + KEYS["late"], "expired_api_key"),
    ],
)
@pytest.mark.parametrize(
    "path", ["/v1/chat/completions", "/v1/models", "/v1/models/priced", "/metrics", "/api/v1/requests"]
)
def test_request_without_a_valid_key_is_rejected(
    link: RawConnection, path: str, authorization: str | None, code: str
) -> None:
    line = "" if authorization is None else f"authorization: {authorization}\r\n"
    method = "POST" if path.endswith("completions") else "GET"
    link.send(f"{method} {path} HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n{line}\r\n".encode("latin-1"))
    answer = link.answer()
    assert answer.status == 401
    assert error_of(answer)["code"] == code
    assert KEYS["late"] not in answer.body.decode()


def test_authorization_scheme_is_case_insensitive(link: RawConnection) -> None:
    assert link.post(GOOD, authorization=f"bearer {KEYS['ann']}").status == 200


def test_metrics_require_the_admin_grant(gateway: GatewayProcess) -> None:
    assert gateway.get("/metrics", key=KEYS["ann"]).status_code == 403
    assert gateway.get("/metrics", key=KEYS["ann"]).json()["error"]["code"] == "forbidden"
    assert gateway.get("/metrics").status_code == 200


@pytest.mark.parametrize(
    "path", ["/", "/v1", "/v1/", "/v1/chat", "/v1/completion", "/api/", "/api/v1/nothing", "/v2/x"]
)
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
def test_unknown_path_is_not_found(link: RawConnection, path: str, method: str) -> None:
    link.send(f"{method} {path} HTTP/1.1\r\nhost: x\r\nauthorization: {BEARER}\r\ncontent-length: 0\r\n\r\n".encode())
    answer = link.answer()
    assert answer.status == 404
    assert error_of(answer)["code"] == "unknown_url"


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "/v1/chat/completions", {"POST"}),
        ("PUT", "/v1/embeddings", {"POST"}),
        ("POST", "/v1/models", {"GET", "HEAD"}),
        ("DELETE", "/v1/models/priced", {"GET", "HEAD"}),
        ("POST", "/health", {"GET", "HEAD"}),
        ("POST", "/metrics", {"GET", "HEAD"}),
        ("DELETE", "/api/v1/requests", {"GET"}),
        ("GET", "/api/v1/explain", {"POST"}),
    ],
)
def test_unsupported_method_is_rejected_with_the_allowed_ones(
    link: RawConnection, method: str, path: str, allowed: set[str]
) -> None:
    link.send(f"{method} {path} HTTP/1.1\r\nhost: x\r\nauthorization: {BEARER}\r\ncontent-length: 0\r\n\r\n".encode())
    answer = link.answer()
    assert answer.status == 405
    assert error_of(answer)["code"] == "method_not_allowed"
    assert {part.strip() for part in answer.headers["allow"].split(",")} == allowed


def test_head_response_is_that_of_get_without_a_body(link: RawConnection) -> None:
    for path, status in (("/health", 200), ("/v1/models", 200), ("/v1/models/nobody", 404), ("/nowhere", 404)):
        link.send(f"HEAD {path} HTTP/1.1\r\nhost: x\r\nauthorization: {BEARER}\r\n\r\n".encode())
        found, headers = link.head()
        assert found == status
        assert int(headers["content-length"]) > 0
    assert link.post(GOOD, authorization=BEARER).status == 200  # no part of the body was left


@pytest.mark.parametrize(
    "sent",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"hello\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET /health HTTP/1.1\r\nbad header\r\n\r\n",
        b"GET /health HTTP/1.1\r\nhost: x\r\na b: c\r\n\r\n",
        b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: -5\r\n\r\n",
        b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nhello",
        b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n",
        b"POST /v1/models HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n\r\n",
    ],
)
def test_malformed_http_is_rejected_and_the_connection_closed(gateway: GatewayProcess, sent: bytes) -> None:
    with RawConnection(gateway.port) as link:
        link.send(sent)
        answer = link.answer()
        assert 400 <= answer.status < 500
        error_of(answer)
        if answer.status == 400:
            link.rest()  # ends: the connection is closed
    assert gateway.is_ready()


@pytest.mark.parametrize("rest", ["x" * 70_000, "".join(f"x-{n}: {'y' * 60}\r\n" for n in range(1200))])
def test_too_large_request_head_is_rejected(gateway: GatewayProcess, rest: str) -> None:
    with RawConnection(gateway.port) as link:
        link.send(f"GET /health HTTP/1.1\r\nhost: x\r\nx-large: {rest}".encode())
        answer = link.answer()
        assert answer.status == 431
        assert error_of(answer)["code"] == "headers_too_large"
    assert gateway.is_ready()


def test_body_that_stops_arriving_times_out(gateway: GatewayProcess) -> None:
    for sent in (b"", GOOD[:10]):
        with RawConnection(gateway.port) as link:
            started_s = time.monotonic()
            link.send_post(sent, authorization=BEARER, content_length=str(len(GOOD)))
            answer = link.answer()
            assert BODY_TIMEOUT_S <= time.monotonic() - started_s < BODY_TIMEOUT_S + 5
            assert answer.status == 408
            assert error_of(answer)["code"] == "request_timeout"
            assert link.rest() == b""


def test_body_that_arrives_slowly_times_out(gateway: GatewayProcess) -> None:
    with RawConnection(gateway.port, timeout_s=0.05) as link:
        link.send_post(b"", authorization=BEARER, content_length=str(len(GOOD)))
        deadline_s = time.monotonic() + 10
        for byte in GOOD:
            assert time.monotonic() < deadline_s
            try:
                link.send(bytes([byte]))
                if link.more():
                    break
            except TimeoutError:
                continue
            except (BrokenPipeError, ConnectionResetError):
                pytest.fail("closed without a word")
        assert link.head()[0] == 408


def test_100_continue_is_sent_if_expected(link: RawConnection) -> None:
    link.send_post(b"", authorization=BEARER, content_length=str(len(GOOD)), expect="100-continue")
    assert link.until(b"\r\n\r\n").startswith(b"HTTP/1.1 100 ")
    link.send(GOOD)
    assert link.answer().status == 200


def test_rejected_request_gets_no_100_continue(link: RawConnection) -> None:
    link.send_post(b"", authorization="Bearer wrong", content_length="1000", expect="100-continue")
    assert link.answer().status == 401


def test_pipelined_requests_are_answered_in_order(link: RawConnection) -> None:
    texts = [f"number {number}" for number in range(20)]
    for text in texts:
        link.send_post(json.dumps(chat_request(text)).encode(), authorization=BEARER)
    said = [link.answer().json()["choices"][0]["message"]["content"] for _ in texts]
    assert said == [f"echo: {text}" for text in texts]


def test_rejected_body_is_not_parsed_as_the_next_request(link: RawConnection) -> None:
    """The body of a rejected request is skipped or the connection is closed; it is never parsed as a request."""
    smuggled = b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n"
    link.send_post(smuggled, authorization="Bearer wrong")
    assert link.answer().status == 401
    link.send_post(GOOD, authorization=BEARER)
    answer = link.answer()
    assert (answer.status, answer.json()["object"]) == (200, "chat.completion")


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE", "PUT", "HEAD"])
@pytest.mark.parametrize(
    "path",
    [
        "/v1/models/",
        "/v1//models",
        "/v1/files/",
        "/v1/files/file-1/",
        "/v1/responses/resp_1/",
        "/v1/../metrics",
        "/metrics/",
        "/health/",
        "/api/v1/health/",
        "/api/v1/requests/tail/",
        "/api/tags/",
        "//evil.example/..",
        "/v1beta/models/../../v1/models",
        "/openapi.json/",
        "/api",
        "/",
    ],
)
def test_no_request_is_redirected(link: RawConnection, method: str, path: str) -> None:
    head = f"{method} {path} HTTP/1.1\r\nhost: evil.example\r\nauthorization: Bearer {KEYS['admin']}\r\n"
    link.send(f"{head}content-length: 0\r\n\r\n".encode())
    status, headers = link.head()
    assert status == 404
    assert "location" not in headers
