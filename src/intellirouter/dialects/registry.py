"""Which dialects there are: the endpoints clients call, and the route from each to every upstream dialect."""

from collections.abc import Mapping
from typing import Final, Generic, TypeVar

from msgspec import structs

from intellirouter.core import Call, Deployment, errors
from intellirouter.dialects import (
    anthropic_messages,
    bedrock,
    gemini,
    ollama,
    openai_chat,
    openai_completions,
    openai_embeddings,
    openai_realtime,
    openai_responses,
)
from intellirouter.dialects.endpoint import Endpoint, Routes
from intellirouter.dialects.ir.tokens import MARK
from intellirouter.dialects.openai.errors import OpenAIErrors
from intellirouter.dialects.openai_media import MEDIA_PASSTHROUGHS, MediaPassthrough
from intellirouter.dialects.protocols import (
    ChatClient,
    ChatUpstream,
    EmbeddingsClient,
    EmbeddingsUpstream,
    ErrorStyle,
    Route,
    SessionRoute,
)
from intellirouter.dialects.routes.embeddings import EmbeddingsTranslation, ErrorDecoder
from intellirouter.dialects.routes.token_counts import CountClient, CountEstimate, CountingUpstream, CountTranslation
from intellirouter.dialects.routes.translation import ChatPassthrough, ChatTranslation, Traits

R = TypeVar("R")

_WRAPPED: Final = {"gemini": gemini.WRAPPED_MARK}
"""What gives wrapped tokens away where the dialect writes them in its own way."""


class RouteTable(Generic[R]):
    """The routes of one client dialect, by upstream dialect. `relay` is the one between equals, if there is one.

    `endpoint`: the relay needs an upstream that has this endpoint; without it, the translation to another one is taken.
    """

    def __init__(
        self, dialect: str, relay: R | None, translations: Mapping[str, R], *, endpoint: str | None = None
    ) -> None:
        self._dialect = dialect
        self._relay = relay
        self._translations = dict(translations)
        self._surface = endpoint
        self._wrapped = _WRAPPED.get(dialect, MARK.encode())

    def route(self, call: Call, deployment: Deployment) -> R:
        """Return the route to `deployment`. Raises `UnsupportedFeature` where none of its dialects can be reached."""
        relay = self._relay
        if (
            self._surface is not None
            and deployment.operations is not None
            and self._surface not in deployment.operations
        ):
            relay = None
        # Tokens of other vendors that we wrapped for this client mean nothing to the upstream: they are taken out.
        if relay is not None and self._dialect in deployment.dialects and self._wrapped not in call.body:
            return relay
        if self._dialect in deployment.dialects and self._dialect in self._translations:
            return self._translations[self._dialect]
        for dialect in deployment.dialects:
            if dialect in self._translations:
                return self._translations[dialect]
        if relay is not None and self._dialect in deployment.dialects:
            return relay
        raise errors.UnsupportedFeature(
            f"{deployment.name} ({deployment.vendor}) does not serve {call.operation} requests of this kind."
        )


_UPSTREAMS: Final[dict[str, ChatUpstream]] = {
    each.dialect: each
    for each in (
        openai_chat.UPSTREAM,
        openai_responses.UPSTREAM,
        anthropic_messages.UPSTREAM,
        gemini.UPSTREAM,
        ollama.UPSTREAM,
        bedrock.UPSTREAM,
    )
}
_COUNTING: Final[dict[str, CountingUpstream]] = {
    "anthropic_messages": anthropic_messages.UPSTREAM,
    "gemini": gemini.UPSTREAM,
    "bedrock": bedrock.UPSTREAM,
}
_TRAITS: Final[dict[str, Traits]] = {
    "openai_chat": Traits(has_choices=True, url_kinds=frozenset({"image", "video"})),
    "openai_responses": Traits(url_kinds=frozenset({"image", "document"})),
    "anthropic_messages": Traits(url_kinds=frozenset({"image", "document"})),
    "ollama": Traits(can_force_tools=False),
}
"""By upstream dialect; what is not said here gives one choice and takes no web addresses."""
_OPENAI_ERRORS: Final = OpenAIErrors()
_ANTHROPIC_HEADERS: Final = frozenset({b"anthropic-beta", b"anthropic-version"})


_VECTORS: Final[dict[str, tuple[EmbeddingsUpstream, ErrorDecoder]]] = {
    "openai_chat": (openai_embeddings.EMBEDDINGS_UPSTREAM, openai_chat.UPSTREAM.decode_error),
    "gemini": (gemini.EMBEDDINGS_UPSTREAM, gemini.UPSTREAM.decode_error),
    "ollama": (ollama.EMBEDDINGS_UPSTREAM, ollama.UPSTREAM.decode_error),
}


def _chat(
    client: ChatClient,
    style: ErrorStyle,
    *,
    relay: Route | None = None,
    endpoint: str | None = None,
    headers: frozenset[bytes] = frozenset(),
) -> Endpoint:
    """Return a chat-like endpoint with a route to every upstream dialect, its own among them."""
    translations: dict[str, Route] = {
        name: ChatTranslation(client, upstream, _TRAITS.get(name, Traits())) for name, upstream in _UPSTREAMS.items()
    }
    if relay is None and client.dialect in _UPSTREAMS:
        relay = ChatPassthrough(client, _UPSTREAMS[client.dialect])
    routes = RouteTable(client.dialect, relay, translations, endpoint=endpoint)
    return Endpoint(client=client, errors=style, routes=routes, header_names=headers)


def _embeddings(client: EmbeddingsClient, style: ErrorStyle, *, relay: Route | None = None) -> Endpoint:
    translations: dict[str, Route] = {
        name: EmbeddingsTranslation(client, upstream, decode_error)
        for name, (upstream, decode_error) in _VECTORS.items()
    }
    return Endpoint(client=client, errors=style, routes=RouteTable(client.dialect, relay, translations))


def _ollama(endpoint: Endpoint) -> Endpoint:
    """Requests that only load a model are Ollama's own affair: nobody else is asked."""
    return structs.replace(endpoint, routes=LoadTable(endpoint.routes))


class LoadTable:
    """Ollama's routes, with the local one for loads."""

    def __init__(self, routes: Routes[Route]) -> None:
        self._routes = routes

    def route(self, call: Call, deployment: Deployment) -> Route:
        if ollama.is_load(call) and "ollama" not in deployment.dialects:
            return ollama.LOAD_ROUTE
        return self._routes.route(call, deployment)


def _count(client: CountClient, style: ErrorStyle, *, headers: frozenset[bytes] = frozenset()) -> Endpoint:
    """Return a counting endpoint: asked of upstreams that count, estimated for the others."""
    asked: dict[str, Route] = {name: CountTranslation(client, upstream) for name, upstream in _COUNTING.items()}
    return Endpoint(client=client, errors=style, routes=CountTable(asked, CountEstimate(client)), header_names=headers)


class CountTable:
    """The routes of a counting endpoint."""

    def __init__(self, asked: Mapping[str, Route], estimate: Route) -> None:
        self._asked = dict(asked)
        self._estimate = estimate

    def route(self, call: Call, deployment: Deployment) -> Route:  # noqa: ARG002 - any deployment can be estimated
        if deployment.operations is None or "count_tokens" in deployment.operations:
            for dialect in deployment.dialects:
                if dialect in self._asked:
                    return self._asked[dialect]
        return self._estimate


def _relayed(passthrough: MediaPassthrough) -> Endpoint:
    """Return an endpoint whose requests are passed through, never translated."""
    return Endpoint(
        client=passthrough,
        errors=_OPENAI_ERRORS,
        routes=RouteTable[Route]("openai_chat", passthrough, {}),
        header_names=frozenset({b"content-type"}) if passthrough.is_form else frozenset(),
        is_json=not passthrough.is_form,
    )


ENDPOINTS: Final[dict[str, Endpoint]] = {
    "openai_chat": _chat(openai_chat.CLIENT, _OPENAI_ERRORS, relay=openai_chat.CheckedChatPassthrough()),
    "openai_responses": _chat(
        openai_responses.CLIENT,
        _OPENAI_ERRORS,
        relay=openai_responses.ResponsesPassthrough(openai_responses.CLIENT, openai_responses.UPSTREAM),
    ),
    "openai_input_tokens": _count(openai_responses.COUNT_CLIENT, _OPENAI_ERRORS),
    "openai_completions": _chat(
        openai_completions.CLIENT,
        _OPENAI_ERRORS,
        relay=openai_completions.CompletionsPassthrough(),
        endpoint="completions",
    ),
    "openai_embeddings": _embeddings(
        openai_embeddings.EMBEDDINGS_CLIENT, _OPENAI_ERRORS, relay=openai_embeddings.EmbeddingsPassthrough()
    ),
    "anthropic_messages": _chat(anthropic_messages.CLIENT, anthropic_messages.ERRORS, headers=_ANTHROPIC_HEADERS),
    "anthropic_count_tokens": _count(
        anthropic_messages.COUNT_CLIENT, anthropic_messages.ERRORS, headers=_ANTHROPIC_HEADERS
    ),
    "gemini": _chat(gemini.CLIENT, gemini.ERRORS),
    "gemini_count_tokens": _count(gemini.COUNT_CLIENT, gemini.ERRORS),
    "gemini_embed": _embeddings(gemini.EMBEDDINGS_CLIENT, gemini.ERRORS),
    "ollama_chat": _ollama(_chat(ollama.CLIENT, ollama.ERRORS)),
    "ollama_generate": _ollama(_chat(ollama.GENERATE_CLIENT, ollama.ERRORS)),
    "ollama_embed": _ollama(_embeddings(ollama.EMBEDDINGS_CLIENT, ollama.ERRORS)),
    "ollama_embeddings": _ollama(_embeddings(ollama.LEGACY_EMBEDDINGS_CLIENT, ollama.ERRORS)),
    **{name: _relayed(passthrough) for name, passthrough in MEDIA_PASSTHROUGHS.items()},
    "openai_realtime": Endpoint(
        client=openai_realtime.REALTIME,
        errors=_OPENAI_ERRORS,
        sessions=RouteTable[SessionRoute]("openai_chat", openai_realtime.REALTIME, {}),
        header_names=openai_realtime.HEADERS,
    ),
}
"""By name: what an endpoint's requests are decoded with."""

ENDPOINTS_BY_PATH: Final[dict[str, Endpoint]] = {
    path: ENDPOINTS[name]
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
    if name in ENDPOINTS
}
"""Surfaces by path, for POST."""
