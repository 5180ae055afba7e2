"""Finds the endpoint of a path that contains a model name, and the context and error style of any path."""

from typing import Final
from urllib.parse import unquote

from intellirouter.core import EMPTY_CONTEXT, RequestContext
from intellirouter.dialects import ENDPOINTS, ENDPOINTS_BY_PATH, Endpoint, ErrorStyle
from intellirouter.gateway import description
from intellirouter.gateway.asgi import Scope

_GEMINI_PREFIXES: Final = ("/v1beta/models/", "/v1/models/", "/v1beta1/models/", "/v1alpha/models/")
_GEMINI_VERBS: Final = {
    "generateContent": "gemini",
    "streamGenerateContent": "gemini",
    "countTokens": "gemini_count_tokens",
    "embedContent": "gemini_embed",
    "batchEmbedContents": "gemini_embed",
}
_OLLAMA_PATHS: Final = frozenset(
    f"/api/{name}"
    for name in ("chat", "generate", "embed", "embeddings", "tags", "ps", "show", "version", "pull", "create")
)
_ERROR_STYLES: Final = (
    (("/api/",), "ollama_chat"),
    (("/v1/messages",), "anthropic_messages"),
    (("/v1beta", "/v1alpha"), "gemini"),
    (("/v1/responses/", "/v1/files", "/v1/batches"), "openai_chat"),
)
"""The dialect of errors by path prefix. It takes precedence over the headers."""
_OPENAI: Final = ENDPOINTS["openai_chat"].errors


def endpoint_of(path: str) -> tuple[Endpoint, str, str] | None:
    """Return endpoint, model and verb of a path that contains the model's name; None for other paths."""
    for prefix in _GEMINI_PREFIXES:
        if path.startswith(prefix):
            model, colon, verb = path.removeprefix(prefix).rpartition(":")
            endpoint = ENDPOINTS.get(_GEMINI_VERBS.get(verb, "")) if colon and model else None
            return None if endpoint is None else (endpoint, unquote(model), verb)
    return None


def context_of(endpoint: Endpoint, scope: Scope, model: str = "", verb: str = "") -> RequestContext:
    """Return the parts of the request outside its body that belong to its dialect."""
    if not model and not endpoint.header_names:
        return EMPTY_CONTEXT
    headers = tuple(
        (name.decode("latin-1"), value.decode("latin-1"))
        for name, value in scope["headers"]
        if name in endpoint.header_names
    )
    query = "&".join(
        part for part in scope["query_string"].decode("latin-1").split("&") if part and not part.startswith("key=")
    )
    return RequestContext(model=model, is_stream=verb.startswith("stream"), query=query, headers=headers)


def errors_of(path: str, headers: dict[bytes, bytes]) -> ErrorStyle:
    """Return the error style for clients of a path, which may be unknown."""
    endpoint = ENDPOINTS_BY_PATH.get(path)
    if endpoint is not None:
        return endpoint.errors
    for prefixes, name in _ERROR_STYLES:
        if path.startswith(prefixes):
            return _style(name)
    if b"x-goog-api-key" in headers:
        return _style("gemini")
    if b"anthropic-version" in headers:
        return _style("anthropic_messages")
    return _OPENAI


def is_control(path: str) -> bool:
    """Return whether the control plane serves the path: all of `/api/`, except Ollama's endpoints and the API docs."""
    return path.startswith("/api/") and path not in _OLLAMA_PATHS and path not in description.PATHS


def _style(name: str) -> ErrorStyle:
    endpoint = ENDPOINTS.get(name)
    return _OPENAI if endpoint is None else endpoint.errors
