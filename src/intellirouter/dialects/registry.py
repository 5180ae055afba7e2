"""Which dialects there are: the surfaces clients call, and the lane from each to every upstream dialect."""

from collections.abc import Mapping
from typing import Any, Final

from intellirouter.core import Call, Deployment, errors
from intellirouter.dialects.ir.tokens import MARK
from intellirouter.dialects.lane import ChatClient, ChatUpstream, Lane, Surface
from intellirouter.dialects.openai_chat import OpenAIChatLane
from intellirouter.dialects.openai_embeddings import OpenAIEmbeddingsLane
from intellirouter.dialects.openai_errors import OpenAIErrors
from intellirouter.dialects.openai_media import MEDIA_LANES
from intellirouter.dialects.translate import ChatRelay, ChatTranslation, Traits

_WRAPPED: Final = MARK.encode()


class LaneTable:
    """The lanes of one client dialect, by upstream dialect. `relay` is the one between equals, if there is one."""

    def __init__(self, dialect: str, relay: Lane | None, translations: Mapping[str, Lane]) -> None:
        self._dialect = dialect
        self._relay = relay
        self._translations = dict(translations)

    def lane(self, call: Call, deployment: Deployment) -> Lane:
        """Return the lane to `deployment`. Raises `UnsupportedFeature` where none of its dialects can be reached."""
        relay = self._relay
        # Tokens of other vendors that we wrapped for this client mean nothing to the upstream: they are taken out.
        if relay is not None and self._dialect in deployment.dialects and _WRAPPED not in call.body:
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


_CLIENTS: Final[dict[str, ChatClient]] = {}
_UPSTREAMS: Final[dict[str, ChatUpstream]] = {}


_TRAITS: Final[dict[str, Traits]] = {
    "openai_chat": Traits(has_choices=True, url_kinds=frozenset({"image", "video"})),
    "openai_responses": Traits(url_kinds=frozenset({"image", "document"})),
    "anthropic_messages": Traits(url_kinds=frozenset({"image", "document"})),
}
"""By upstream dialect; what is not said here gives one choice and takes no web addresses."""


def _chat_surface(client: Any, style: Any, relay: Lane | None = None) -> Surface:
    dialect = client.dialect
    translations = {
        name: ChatTranslation(client, upstream, _TRAITS.get(name, Traits())) for name, upstream in _UPSTREAMS.items()
    }
    if relay is None and dialect in _UPSTREAMS:
        relay = ChatRelay(client, _UPSTREAMS[dialect])
    return Surface(client=client, errors=style, lanes=LaneTable(dialect, relay, translations))


_OPENAI_CHAT: Final = OpenAIChatLane()
_OPENAI_EMBEDDINGS: Final = OpenAIEmbeddingsLane()
_OPENAI_ERRORS: Final = OpenAIErrors()

SURFACES: Final[dict[str, Surface]] = {
    "openai_chat": Surface(
        client=_OPENAI_CHAT, errors=_OPENAI_ERRORS, lanes=LaneTable("openai_chat", _OPENAI_CHAT, {})
    ),
    "openai_embeddings": Surface(
        client=_OPENAI_EMBEDDINGS, errors=_OPENAI_ERRORS, lanes=LaneTable("openai_chat", _OPENAI_EMBEDDINGS, {})
    ),
    **{
        name: Surface(
            client=lane,
            errors=_OPENAI_ERRORS,
            lanes=LaneTable("openai_chat", lane, {}),
            header_names=frozenset({b"content-type"}) if lane.is_form else frozenset(),
            is_json=not lane.is_form,
        )
        for name, lane in MEDIA_LANES.items()
    },
}
"""By name: what an endpoint's requests are decoded with."""
