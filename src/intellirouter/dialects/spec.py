"""What a dialect's package says of it, as data: its endpoints for clients, its codecs for upstreams.

`registry.DIALECTS` lists the specs, and `registry.build_dialects` makes endpoints and routes of them. A new dialect is
one package and one row there.
"""

from collections.abc import Callable

from msgspec import Struct

from intellirouter.core import Call, Operation
from intellirouter.dialects.adapt.json_merge import PLAIN, Layout
from intellirouter.dialects.ir.tokens import MARK
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
)


class Traits(Struct, frozen=True, kw_only=True):
    """What the routes must know of a chat-like upstream dialect."""

    has_choices: bool = False
    """It returns `n` choices for one request; otherwise the gateway sends several requests."""
    url_kinds: frozenset[str] = frozenset()
    """Kinds of media that it takes by web address; others are fetched by the gateway."""
    can_force_tools: bool = True
    """It can be told to call a tool; otherwise the arguments of one tool are requested by their schema."""


class PathPattern(Struct, frozen=True):
    """Paths that carry the model: a prefix, the model (which may hold slashes), a suffix."""

    prefixes: tuple[str, ...]
    suffix: str
    is_stream: bool = False
    """The path says that the client wants a stream."""


class LocalAnswer(Struct, frozen=True):
    """Requests that the gateway answers itself when the deployment speaks another dialect."""

    applies: Callable[[Call], bool]
    route: Route


class EndpointSpec(Struct, frozen=True, kw_only=True):
    """One endpoint for clients. Its subclasses say what kind of requests it takes."""

    name: str
    """Unique among all endpoints."""
    paths: tuple[str, ...] = ()
    """Fixed paths."""
    patterns: tuple[PathPattern, ...] = ()
    header_names: frozenset[bytes] = frozenset()
    """The client's headers that mean something to the dialect, in lower case."""


class ChatEndpoint(EndpointSpec, frozen=True, kw_only=True):
    """Requests that continue a conversation. Every chat-like upstream can serve them."""

    client: ChatClient
    passthrough: Route | None = None
    """For upstreams of the same dialect. None: the generic one, where the dialect has an upstream codec."""
    passthrough_operation: Operation | None = None
    """The passthrough needs an upstream that offers this operation; None: any upstream of the dialect will do."""
    is_upstream_form: bool = True
    """The dialect's upstream codec writes requests of this very form, so an edit can be merged into the client's body.
    False: edited requests are translated, even for upstreams of the same dialect."""
    local: LocalAnswer | None = None


class CountEndpoint(EndpointSpec, frozen=True, kw_only=True):
    """Requests for the number of tokens in a conversation: passed on to upstreams that count, otherwise estimated."""

    client: CountClient


class EmbeddingsEndpoint(EndpointSpec, frozen=True, kw_only=True):
    client: EmbeddingsClient
    passthrough: Route | None = None
    """For upstreams of the same dialect. None: these are translated, too."""
    local: LocalAnswer | None = None


class PassthroughEndpoint(EndpointSpec, frozen=True, kw_only=True):
    """Requests that only upstreams of the same dialect can serve."""

    operation: Operation
    client: RequestDecoder
    route: Route
    is_json: bool = True
    """False: the body is a form (`multipart/form-data`)."""


class SessionEndpoint(EndpointSpec, frozen=True, kw_only=True):
    """WebSocket handshakes. Only upstreams of the same dialect can serve them."""

    operation: Operation
    client: RequestDecoder
    route: SessionRoute


class DialectSpec(Struct, frozen=True, kw_only=True):
    """One dialect. Several packages may each describe a part of it: their specs have the same name."""

    name: str
    """As in `Deployment.dialects`."""
    title: str
    """For people: `Gemini`."""
    errors: ErrorStyle | None = None
    """How errors look to its clients; None for a dialect without endpoints."""
    endpoints: tuple[EndpointSpec, ...] = ()
    other_paths: frozenset[str] = frozenset()
    """Further paths that its clients call, such as lists of models; the gateway serves them."""
    error_prefixes: tuple[str, ...] = ()
    """Errors on paths that begin with one of these look like the dialect's, even where no endpoint is."""
    error_header: bytes | None = None
    """A header that only clients of this dialect send: errors on other paths look like the dialect's, too."""
    chat: ChatUpstream | None = None
    counts: CountUpstream | None = None
    embeddings: EmbeddingsUpstream | None = None
    """The upstream codecs, by operation."""
    traits: Traits = Traits()
    layout: Layout = PLAIN
    """How clients may write what the chat codec for upstreams writes in one way only."""
    wrapped_mark: bytes = MARK.encode()
    """How wrapped tokens begin in the dialect's request bodies. See `ir.tokens`."""
