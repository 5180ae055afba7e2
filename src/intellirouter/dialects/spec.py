"""The description of a dialect as data: its endpoints for clients and its codecs for upstreams.

`registry.DIALECTS` lists the specs, and `registry.build_dialects` builds endpoints and routes from them. A new dialect
needs one package and one entry there.
"""

from collections.abc import Callable
from typing import Final, Literal

from msgspec import Struct

from intellirouter.core import Call, Deployment, Operation
from intellirouter.dialects.adapt.json_merge import PLAIN, Layout
from intellirouter.dialects.ir.tokens import WRAPPED_PREFIX
from intellirouter.dialects.keep_alive import COMMENTS, KeepAlive
from intellirouter.dialects.protocols import (
    ChatClient,
    ChatUpstream,
    CountClient,
    CountUpstream,
    EmbeddingsClient,
    EmbeddingsUpstream,
    ErrorStyle,
    RequestDecoder,
    Route,
    SessionRoute,
    StreamDecoder,
)
from intellirouter.dialects.wire.model_member import ModelMember
from intellirouter.dialects.wire.tool_name_rule import NameRule

COMMON_IMAGE_TYPES: Final = frozenset({"image/png", "image/jpeg", "image/gif", "image/webp"})
"""The types of images that the APIs of Anthropic, AWS and OpenAI accept."""


class Traits(Struct, frozen=True, kw_only=True):
    """The properties of a chat-like upstream dialect that routes depend on."""

    has_choices: bool = False
    """Whether it returns `n` choices for one request. If not, the gateway sends several requests."""
    url_kinds: frozenset[str] = frozenset()
    """The kinds of media that it accepts as URLs. The gateway fetches the others."""
    can_force_tools: bool = True
    """Whether a request can force a tool call. If not, the tool's arguments are requested as structured output."""
    image_types: frozenset[str] | None = None
    """The media types of the images that it accepts; None: unknown, because it depends on the vendor or the model."""
    takes_media_in_answers: bool = False
    """Whether the answers of a history may contain images and documents. If not, the user sends them."""
    tool_names: NameRule | None = None
    """The names of tools that it accepts; None: all. The gateway fits the others, and restores them in answers."""
    tool_properties: NameRule | None = None
    """The same for the names of the properties at the top level of tools' schemas."""
    cache_marks: Literal["none", "anywhere", "by_model"] = "none"
    """Whether it caches prompts at marks only. With `by_model`, the model decides whether tools can have one."""


class PathPattern(Struct, frozen=True):
    """Paths that contain the model: a prefix, the model (which may contain slashes), and a suffix."""

    prefixes: tuple[str, ...]
    suffix: str
    is_stream: bool = False
    """Whether requests on these paths ask for a stream."""


class LocalAnswer(Struct, frozen=True):
    """Requests that the gateway answers itself if the deployment uses another dialect."""

    applies: Callable[[Call], bool]
    route: Route


class EndpointSpec(Struct, frozen=True, kw_only=True):
    """One endpoint for clients. The subclass determines the kind of its requests."""

    name: str
    """Unique among all endpoints."""
    paths: tuple[str, ...] = ()
    """Fixed paths."""
    patterns: tuple[PathPattern, ...] = ()
    header_names: frozenset[bytes] = frozenset()
    """The request headers that the dialect reads, in lower case."""
    unique_members: tuple[str, ...] = ("model", "stream")
    """The members on which the gateway decides. Requests that have one of them twice are refused."""
    keep_alive: KeepAlive = COMMENTS
    """What its clients are sent while a stream is silent."""


class ChatEndpoint(EndpointSpec, frozen=True, kw_only=True):
    """Requests that continue a conversation. Every chat-like upstream can serve them."""

    client: ChatClient
    passthrough: Route | None = None
    """The route to upstreams of the same dialect. None: `ChatPassthrough`, if the dialect has an upstream codec."""
    passthrough_operation: Operation | None = None
    """The operation that an upstream must offer for the passthrough. None: every upstream of the dialect qualifies."""
    has_upstream_format: bool = True
    """Whether its requests have the format that the dialect's upstream codec writes, so that an edit can be merged into
    the client's body. If not, edited requests are translated, even for upstreams of the same dialect."""
    reader: Callable[[Deployment], StreamDecoder] | None = None
    """Returns a decoder for the streams of its clients. None: that of the dialect's upstream codec."""
    local: LocalAnswer | None = None


class CountEndpoint(EndpointSpec, frozen=True, kw_only=True):
    """Requests for the number of tokens in a conversation. The upstream counts them, or else the gateway estimates."""

    client: CountClient


class EmbeddingsEndpoint(EndpointSpec, frozen=True, kw_only=True):
    client: EmbeddingsClient
    passthrough: Route | None = None
    """The route to upstreams of the same dialect. None: requests to them are translated."""
    local: LocalAnswer | None = None


class PassthroughEndpoint(EndpointSpec, frozen=True, kw_only=True):
    """Requests that only upstreams of the same dialect can serve."""

    operation: Operation
    client: RequestDecoder
    route: Route
    is_json: bool = True
    """False: the body is a form (`multipart/form-data`)."""


class SessionEndpoint(EndpointSpec, frozen=True, kw_only=True):
    """WebSocket sessions. Only upstreams of the same dialect can serve them."""

    operation: Operation
    client: RequestDecoder
    route: SessionRoute


class DialectSpec(Struct, frozen=True, kw_only=True):
    """One dialect, or a part of one: specs of several packages may have the same name."""

    name: str
    """The name in `Deployment.dialects`."""
    title: str
    """The name in messages: `Gemini`."""
    errors: ErrorStyle | None = None
    """The format of errors for its clients; None for a dialect without endpoints."""
    endpoints: tuple[EndpointSpec, ...] = ()
    other_paths: frozenset[str] = frozenset()
    """Further paths that its clients call and the gateway serves, such as lists of models."""
    error_prefixes: tuple[str, ...] = ()
    """Prefixes of paths on which errors have the dialect's format, even if there is no such endpoint."""
    allows_any_media_type: bool = False
    """Its clients need not declare that they send JSON. The content type is ignored, except in browsers."""
    decodes_alike: bool = True
    """The same request is always decoded to the same call, so that a decoded one can be used again."""
    error_header: bytes | None = None
    """A header that only clients of this dialect send. Errors for requests with it have the dialect's format."""
    chat: ChatUpstream | None = None
    counts: CountUpstream | None = None
    embeddings: EmbeddingsUpstream | None = None
    """The upstream codecs, by operation."""
    traits: Traits = Traits()
    answer_model: ModelMember = ModelMember()
    """Where its answers name the model."""
    layout: Layout = PLAIN
    """The alternative ways in which clients may write what the chat codec for upstreams writes in one way."""
    wrapped_token_prefix: bytes = WRAPPED_PREFIX.encode()
    """The prefix of wrapped tokens in the dialect's request bodies. See `ir.tokens`."""
