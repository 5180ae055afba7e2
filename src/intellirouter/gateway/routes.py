"""Which path is which surface. Fixed paths are one dictionary look-up; the rest carry a model or a verb in them."""

from typing import Final
from urllib.parse import unquote

from intellirouter.core import NO_FACTS, PathFacts
from intellirouter.dialects import SURFACES, ErrorStyle, Surface
from intellirouter.gateway import description
from intellirouter.gateway.asgi import Scope

FIXED: Final[dict[str, Surface]] = {
    path: SURFACES[name]
    for path, name in (
        ("/v1/chat/completions", "openai_chat"),
        ("/v1/embeddings", "openai_embeddings"),
        ("/v1/completions", "openai_completions"),
        ("/v1/responses", "openai_responses"),
        ("/v1/responses/input_tokens", "openai_input_tokens"),
        ("/v1/moderations", "openai_moderations"),
        ("/v1/rerank", "rerank"),
        ("/v2/rerank", "rerank"),
        ("/v1/images/generations", "openai_images"),
        ("/v1/images/edits", "openai_image_edits"),
        ("/v1/images/variations", "openai_image_variations"),
        ("/v1/audio/speech", "openai_speech"),
        ("/v1/audio/transcriptions", "openai_transcriptions"),
        ("/v1/audio/translations", "openai_translations"),
        ("/v1/messages", "anthropic_messages"),
        ("/v1/messages/count_tokens", "anthropic_count_tokens"),
        ("/api/chat", "ollama_chat"),
        ("/api/generate", "ollama_generate"),
        ("/api/embed", "ollama_embed"),
        ("/api/embeddings", "ollama_embeddings"),
    )
    if name in SURFACES
}
"""Surfaces by path, for POST."""

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
_OPENAI: Final = SURFACES["openai_chat"].errors


def surface_of(path: str) -> tuple[Surface, str, str] | None:
    """Return the surface of a path that names its model, with the model and the verb; None when there is none."""
    for prefix in _GEMINI_PREFIXES:
        if path.startswith(prefix):
            model, colon, verb = path.removeprefix(prefix).rpartition(":")
            surface = SURFACES.get(_GEMINI_VERBS.get(verb, "")) if colon and model else None
            return None if surface is None else (surface, unquote(model), verb)
    return None


def facts_of(surface: Surface, scope: Scope, model: str = "", verb: str = "") -> PathFacts:
    """Return what the request says outside its body, as far as its dialect gives it a meaning."""
    if not model and not surface.header_names:
        return NO_FACTS
    headers = tuple(
        (name.decode("latin-1"), value.decode("latin-1"))
        for name, value in scope["headers"]
        if name in surface.header_names
    )
    query = "&".join(
        part for part in scope["query_string"].decode("latin-1").split("&") if part and not part.startswith("key=")
    )
    return PathFacts(model=model, is_stream=verb.startswith("stream"), query=query, headers=headers)


def errors_of(path: str, headers: dict[bytes, bytes]) -> ErrorStyle:
    """Return how errors look to the clients of a path, one that we do not know included."""
    surface = FIXED.get(path)
    if surface is not None:
        return surface.errors
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
    surface = SURFACES.get(name)
    return _OPENAI if surface is None else surface.errors
