"""Which content types and encodings of a request are accepted, on which surface, and from whom."""

import pytest

from intellirouter.core import encoding_refusal
from intellirouter.dialects import DIALECTS, build_dialects
from intellirouter.gateway.destination import refusal

DIALECTS_BY_PATH = build_dialects(DIALECTS)
OLLAMA = ("/api/chat", "/api/generate", "/api/embed", "/api/embeddings")
OTHERS = (
    "/v1/chat/completions",
    "/v1/responses",
    "/v1/embeddings",
    "/v1/messages",
    "/v1/messages/count_tokens",
    "/v1beta/models/gemini-2.5-flash:generateContent",
)
JSON_TYPES = (
    b"application/json",
    b"Application/JSON",
    b"application/json; charset=utf-8",
    b"application/json;charset=UTF-8",
    b" application/json ",
    b"text/json",
    b"application/vnd.api+json",
    b"",
    None,
)
OTHER_TYPES = (b"application/x-www-form-urlencoded", b"text/plain", b"text/plain;charset=UTF-8", b"*/*", b"json")
BROWSERS = (
    {b"origin": b"https://evil.example"},
    {b"origin": b"null"},
    {b"origin": b"http://localhost:3000", b"sec-fetch-site": b"same-site"},
    {b"sec-fetch-site": b"cross-site"},
    {b"sec-fetch-site": b"none", b"sec-fetch-mode": b"navigate"},
    {b"user-agent": b"Mozilla/5.0 (X11; Linux x86_64; rv:60.0) Gecko/20100101 Firefox/60.0"},
)
CURL = {b"user-agent": b"curl/8.5.0", b"accept": b"*/*"}


def is_accepted(path: str, content_type: bytes | None, headers: dict[bytes, bytes]) -> bool:
    match = DIALECTS_BY_PATH.match(path)
    endpoint = DIALECTS_BY_PATH.endpoints_by_path.get(path) or (match.endpoint if match else None)
    assert endpoint is not None
    declared = {} if content_type is None else {b"content-type": content_type}
    return refusal(endpoint, {**headers, **declared}) is None


@pytest.mark.parametrize("path", [*OLLAMA, *OTHERS])
@pytest.mark.parametrize("content_type", JSON_TYPES)
def test_json_is_accepted_under_each_of_its_names(path: str, content_type: bytes | None) -> None:
    assert is_accepted(path, content_type, CURL)


@pytest.mark.parametrize("path", OLLAMA)
@pytest.mark.parametrize("content_type", OTHER_TYPES)
def test_clients_of_ollama_need_not_declare_json(path: str, content_type: bytes) -> None:
    assert is_accepted(path, content_type, CURL)
    assert is_accepted(path, content_type, {})


@pytest.mark.parametrize("path", OTHERS)
@pytest.mark.parametrize("content_type", OTHER_TYPES)
def test_clients_of_other_dialects_must_declare_json(path: str, content_type: bytes) -> None:
    assert not is_accepted(path, content_type, CURL)


@pytest.mark.parametrize("path", [*OLLAMA, *OTHERS])
@pytest.mark.parametrize("headers", BROWSERS)
def test_page_cannot_send_json_without_a_preflight(path: str, headers: dict[bytes, bytes]) -> None:
    for simple in (None, b"", b"text/plain", b"application/x-www-form-urlencoded", b"multipart/form-data; boundary=b"):
        assert not is_accepted(path, simple, headers)
    assert is_accepted(path, b"application/json", headers)  # a browser sends it after a preflight only


@pytest.mark.parametrize("encoding", [b"gzip", b"GZIP", b"br", b"zstd", b"deflate", b"gzip, identity"])
@pytest.mark.parametrize("content_type", [None, b"application/json"])
@pytest.mark.parametrize("path", [*OLLAMA, *OTHERS, "/v1/audio/transcriptions", "/v1/images/edits"])
def test_compressed_body_is_refused_on_every_surface(path: str, content_type: bytes | None, encoding: bytes) -> None:
    assert not is_accepted(path, content_type, {b"content-encoding": encoding})
    error = encoding_refusal({b"content-encoding": encoding})
    assert error is not None
    assert (error.status, error.code) == (415, "unsupported_media_type")
    assert encoding.decode().lower() in error.message


@pytest.mark.parametrize("encoding", [b"identity", b"Identity", b" identity ", b""])
def test_body_with_the_identity_encoding_is_accepted(encoding: bytes) -> None:
    assert is_accepted("/v1/chat/completions", b"application/json", {b"content-encoding": encoding})
