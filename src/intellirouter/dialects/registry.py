"""Which dialects there are: the surfaces clients call, and the lane from each to every upstream dialect."""

from collections.abc import Mapping
from typing import Any, Final

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
from intellirouter.dialects.count_tokens import CountClient, CountEstimate, CountingUpstream, CountTranslation
from intellirouter.dialects.ir.tokens import MARK
from intellirouter.dialects.lane import (
    ChatClient,
    ChatUpstream,
    EmbeddingsClient,
    EmbeddingsUpstream,
    ErrorStyle,
    Lane,
    Surface,
)
from intellirouter.dialects.openai_errors import OpenAIErrors
from intellirouter.dialects.openai_media import MEDIA_LANES
from intellirouter.dialects.translate import ChatRelay, ChatTranslation, Traits
from intellirouter.dialects.translate_embeddings import EmbeddingsTranslation, ErrorDecoder

_WRAPPED: Final = {"gemini": gemini.WRAPPED_MARK}
"""What gives wrapped tokens away where the dialect writes them in its own way."""


class LaneTable:
    """The lanes of one client dialect, by upstream dialect. `relay` is the one between equals, if there is one.

    `surface`: the relay needs an upstream that has this surface; without it, the translation to another one is taken.
    """

    def __init__(
        self, dialect: str, relay: Lane | None, translations: Mapping[str, Lane], *, surface: str | None = None
    ) -> None:
        self._dialect = dialect
        self._relay = relay
        self._translations = dict(translations)
        self._surface = surface
        self._wrapped = _WRAPPED.get(dialect, MARK.encode())

    def lane(self, call: Call, deployment: Deployment) -> Lane:
        """Return the lane to `deployment`. Raises `UnsupportedFeature` where none of its dialects can be reached."""
        relay = self._relay
        if self._surface is not None and deployment.surfaces is not None and self._surface not in deployment.surfaces:
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
            f"{deployment.name} ({deployment.vendor}) does not serve {call.surface} requests of this kind."
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
    relay: Lane | None = None,
    surface: str | None = None,
    headers: frozenset[bytes] = frozenset(),
) -> Surface:
    """Return a chat-like surface with a lane to every upstream dialect, its own among them."""
    translations = {
        name: ChatTranslation(client, upstream, _TRAITS.get(name, Traits())) for name, upstream in _UPSTREAMS.items()
    }
    if relay is None and client.dialect in _UPSTREAMS:
        relay = ChatRelay(client, _UPSTREAMS[client.dialect])
    lanes = LaneTable(client.dialect, relay, translations, surface=surface)
    return Surface(client=client, errors=style, lanes=lanes, header_names=headers)


def _embeddings(client: EmbeddingsClient, style: ErrorStyle, *, relay: Lane | None = None) -> Surface:
    translations: dict[str, Lane] = {
        name: EmbeddingsTranslation(client, upstream, decode_error)
        for name, (upstream, decode_error) in _VECTORS.items()
    }
    return Surface(client=client, errors=style, lanes=LaneTable(client.dialect, relay, translations))


def _ollama(surface: Surface) -> Surface:
    """Requests that only load a model are Ollama's own affair: nobody else is asked."""
    return structs.replace(surface, lanes=LoadTable(surface.lanes))


class LoadTable:
    """Ollama's lanes, with the local one for loads."""

    def __init__(self, lanes: LaneTable) -> None:
        self._lanes = lanes

    def lane(self, call: Call, deployment: Deployment) -> Lane:
        if ollama.is_load(call) and "ollama" not in deployment.dialects:
            return ollama.LOAD_LANE
        return self._lanes.lane(call, deployment)


def _count(client: CountClient, style: ErrorStyle, *, headers: frozenset[bytes] = frozenset()) -> Surface:
    """Return a counting surface: asked of upstreams that count, estimated for the others."""
    asked: dict[str, Lane] = {name: CountTranslation(client, upstream) for name, upstream in _COUNTING.items()}
    return Surface(client=client, errors=style, lanes=CountTable(asked, CountEstimate(client)), header_names=headers)


class CountTable:
    """The lanes of a counting surface."""

    def __init__(self, asked: Mapping[str, Lane], estimate: Lane) -> None:
        self._asked = dict(asked)
        self._estimate = estimate

    def lane(self, call: Call, deployment: Deployment) -> Lane:  # noqa: ARG002 - any deployment can be estimated
        if deployment.surfaces is None or "count_tokens" in deployment.surfaces:
            for dialect in deployment.dialects:
                if dialect in self._asked:
                    return self._asked[dialect]
        return self._estimate


def _relayed(lane: Any, *, is_form: bool = False) -> Surface:
    """Return a surface that is relayed between equals and never translated."""
    return Surface(
        client=lane,
        errors=_OPENAI_ERRORS,
        lanes=LaneTable("openai_chat", lane, {}),
        header_names=frozenset({b"content-type"}) if is_form else frozenset(),
        is_json=not is_form,
    )


SURFACES: Final[dict[str, Surface]] = {
    "openai_chat": _chat(openai_chat.CLIENT, _OPENAI_ERRORS, relay=openai_chat.CheckedChatLane()),
    "openai_responses": _chat(
        openai_responses.CLIENT,
        _OPENAI_ERRORS,
        relay=openai_responses.ResponsesRelay(openai_responses.CLIENT, openai_responses.UPSTREAM),
    ),
    "openai_input_tokens": _count(openai_responses.COUNT_CLIENT, _OPENAI_ERRORS),
    "openai_completions": _chat(
        openai_completions.CLIENT,
        _OPENAI_ERRORS,
        relay=openai_completions.OpenAICompletionsLane(),
        surface="completions",
    ),
    "openai_embeddings": _embeddings(
        openai_embeddings.EMBEDDINGS_CLIENT, _OPENAI_ERRORS, relay=openai_embeddings.OpenAIEmbeddingsLane()
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
    **{name: _relayed(lane, is_form=lane.is_form) for name, lane in MEDIA_LANES.items()},
    "openai_realtime": structs.replace(_relayed(openai_realtime.REALTIME), header_names=openai_realtime.HEADERS),
}
"""By name: what an endpoint's requests are decoded with."""
