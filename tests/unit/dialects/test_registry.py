"""Endpoints by name and path, errors by path and header, and conflicts in a list of specs."""

import pytest
from msgspec import structs

from intellirouter.dialects import (
    DIALECTS,
    DialectSpec,
    anthropic_messages,
    bedrock,
    build_dialects,
    gemini,
    ollama,
    openai_chat,
)
from intellirouter.dialects.spec import SessionEndpoint
from tests.support.dialects.standard import ENDPOINTS, STANDARD_DIALECTS

ROWS = [row for spec in DIALECTS for row in spec.endpoints]


def test_every_endpoint_is_found_by_name_and_by_its_paths() -> None:
    for row in ROWS:
        endpoint = ENDPOINTS[row.name]
        assert endpoint.name == row.name
        by_path = STANDARD_DIALECTS.endpoints_by_path
        if isinstance(row, SessionEndpoint):
            by_path = STANDARD_DIALECTS.sessions_by_path
        assert all(by_path[path] is endpoint for path in row.paths)
        assert row.paths or row.patterns
    assert len(ENDPOINTS) == len(ROWS)


@pytest.mark.parametrize(
    ("path", "name", "model", "is_stream"),
    [
        ("/v1beta/models/gemini-2.5-pro:generateContent", "gemini", "gemini-2.5-pro", False),
        ("/v1/models/a:streamGenerateContent", "gemini", "a", True),
        ("/v1alpha/models/lab%2Fa:countTokens", "gemini_count_tokens", "lab%2Fa", False),
        ("/v1beta1/models/lab/a:b:embedContent", "gemini_embed", "lab/a:b", False),
        ("/v1beta/models/a:batchEmbedContents", "gemini_embed", "a", False),
    ],
)
def test_paths_that_contain_a_model_are_matched(path: str, name: str, model: str, is_stream: bool) -> None:
    found = STANDARD_DIALECTS.match(path)
    assert found is not None
    assert (found.endpoint.name, found.model, found.is_stream) == (name, model, is_stream)


@pytest.mark.parametrize(
    "path",
    [
        "/v1beta/models/:generateContent",
        "/v1beta/models/a:explainContent",
        "/v1beta/models/a",
        "/v1beta/tunedModels/a:generateContent",
        "/v1/chat/completions",
        "/",
    ],
)
def test_other_paths_do_not_match(path: str) -> None:
    assert STANDARD_DIALECTS.match(path) is None


@pytest.mark.parametrize(
    ("path", "header", "spec"),
    [
        ("/v1/chat/completions", b"x-goog-api-key", openai_chat.SPEC),
        ("/v1/messages", b"", anthropic_messages.SPEC),
        ("/v1/messages/batches", b"", anthropic_messages.SPEC),
        ("/v1beta/anything", b"", gemini.SPEC),
        ("/v1alpha/models/a:b", b"anthropic-version", gemini.SPEC),
        ("/api/tags", b"", ollama.SPEC),
        ("/v1/files", b"anthropic-version", openai_chat.SPEC),
        ("/v1/models", b"anthropic-version", anthropic_messages.SPEC),
        ("/v1/models", b"x-goog-api-key", gemini.SPEC),
        ("/v1/models", b"", openai_chat.SPEC),
        ("/nowhere", b"", openai_chat.SPEC),
    ],
)
def test_errors_have_the_style_of_the_clients_dialect(path: str, header: bytes, spec: DialectSpec) -> None:
    style = STANDARD_DIALECTS.errors_at(path, {header: b"x"} if header else {})
    assert type(style) is type(spec.errors)


@pytest.mark.parametrize(
    ("path", "is_known"),
    [("/api/chat", True), ("/api/tags", True), ("/v1/responses", True), ("/api/v1/explain", False), ("/v1", False)],
)
def test_fixed_paths_of_the_dialects_are_known(path: str, is_known: bool) -> None:
    assert STANDARD_DIALECTS.has_path(path) is is_known


def test_two_dialects_cannot_have_the_same_codec_endpoint_or_path() -> None:
    with pytest.raises(ValueError, match="the upstream codec of dialect openai_chat"):
        build_dialects((*DIALECTS, openai_chat.SPEC))
    with pytest.raises(ValueError, match="the endpoint openai_chat"):
        build_dialects((*DIALECTS, structs.replace(openai_chat.SPEC, name="other")))
    row = structs.replace(openai_chat.SPEC.endpoints[0], name="other")
    with pytest.raises(ValueError, match="the path /v1/chat/completions"):
        build_dialects((*DIALECTS, structs.replace(openai_chat.SPEC, name="other", endpoints=(row,))))


def test_a_dialect_with_endpoints_needs_an_error_style() -> None:
    with pytest.raises(ValueError, match="openai_chat"):
        build_dialects((structs.replace(openai_chat.SPEC, errors=None),))
    with pytest.raises(ValueError, match="No dialect has endpoints"):
        build_dialects((bedrock.SPEC,))
