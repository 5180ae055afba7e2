"""Which path is which endpoint. Fixed paths are one dictionary look-up; the rest carry a model or a verb in them."""

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
"""What a path says of its client, whatever headers come along."""
_OPENAI: Final = ENDPOINTS["openai_chat"].errors


def endpoint_of(path: str) -> tuple[Endpoint, str, str] | None:
    """Return the endpoint of a path that names its model, with the model and the verb; None when there is none."""
    for prefix in _GEMINI_PREFIXES:
        if path.startswith(prefix):
            model, colon, verb = path.removeprefix(prefix).rpartition(":")
            endpoint = ENDPOINTS.get(_GEMINI_VERBS.get(verb, "")) if colon and model else None
            return None if endpoint is None else (endpoint, unquote(model), verb)
    return None


def context_of(endpoint: Endpoint, scope: Scope, model: str = "", verb: str = "") -> RequestContext:
    """Return what the request says outside its body, as far as its dialect gives it a meaning."""
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
    """Return how errors look to the clients of a path, one that we do not know included."""
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
    """Tell whether a path is the control plane's: below `/api/`, where Ollama's paths and the description are, too."""
    return path.startswith("/api/") and path not in _OLLAMA_PATHS and path not in description.PATHS


def _style(name: str) -> ErrorStyle:
    endpoint = ENDPOINTS.get(name)
    return _OPENAI if endpoint is None else endpoint.errors
