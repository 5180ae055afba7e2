"""What the pipeline sees of a client's dialect: one endpoint, with its routes to the deployments."""

from typing import Final, NoReturn, Protocol, TypeVar

from msgspec import Struct

from intellirouter.core import Call, Deployment, Loss, Operation, RequestContext, Usage, errors
from intellirouter.dialects.adapt.stream_record import ContinuableRelay
from intellirouter.dialects.calls import ConversationCall, conversation_of, narrow_call
from intellirouter.dialects.edits import edited_call
from intellirouter.dialects.ir import Conversation
from intellirouter.dialects.keep_alive import COMMENTS, KeepAlive
from intellirouter.dialects.protocols import (
    ChatClient,
    ConversationClient,
    ErrorStyle,
    RequestDecoder,
    Route,
    SessionRoute,
    StreamRelay,
)
from intellirouter.dialects.spec import LocalAnswer
from intellirouter.dialects.wire.duplicates import check_unique

OPERATION_NAMES: Final[dict[Operation, str]] = {
    "chat": "chat",
    "completions": "completions",
    "embeddings": "embeddings",
    "count_tokens": "token counts",
    "moderations": "moderations",
    "images": "image generation",
    "audio": "speech and transcription",
    "rerank": "reranking",
    "realtime": "realtime sessions",
}
"""In messages."""
R_co = TypeVar("R_co", covariant=True)


class Routes(Protocol[R_co]):
    """The routes of one endpoint, by deployment."""

    def route(self, call: Call, deployment: Deployment) -> R_co:
        """Return the route to this deployment. Raises `UnsupportedFeature` if there is none."""
        ...

    def exclusion_reason(self, call: Call, deployment: Deployment) -> str | None:
        """Return why `route` would raise, as a phrase to put after the deployment's name; None if it would not."""
        ...


class NoRoutes:
    """The routes of an endpoint without requests, or without sessions."""

    def route(self, call: Call, deployment: Deployment) -> NoReturn:  # noqa: ARG002 - required by the protocol
        raise errors.InternalError(f"A {call.operation} call has no routes of this kind.")

    def exclusion_reason(self, call: Call, deployment: Deployment) -> str | None:  # noqa: ARG002
        return None


class StreamContinuer(Protocol):
    """Continues the streams of one endpoint that have broken off. See `routes.continuation`."""

    def record(self, relay: StreamRelay, call: Call, deployment: Deployment) -> ContinuableRelay:
        """Return a relay that does the same, and whose stream can be continued."""
        ...

    def request(self, broken: ContinuableRelay, call: Call, deployment: Deployment, sent_tokens: int) -> Call | None:
        """Return the call that asks for the rest of the answer; None if the answer cannot be continued.

        `call` is the client's, and `sent_tokens` is the size of what the client has been sent.
        """
        ...

    def relay(
        self, broken: ContinuableRelay, call: Call, deployment: Deployment, earlier: Usage, *, is_whole: bool = False
    ) -> ContinuableRelay | None:
        """Return the relay for the answer to `request`. `earlier` is what the upstreams before have used.

        `is_whole`: the upstream answers with a JSON document instead of a stream. None if that is a stream, too.
        """
        ...


class Endpoint(Struct, frozen=True, kw_only=True, eq=False):
    """The client's side of one endpoint: how its requests are decoded, how they are served, how errors look."""

    name: str
    operations: frozenset[str]
    """An upstream that offers one of these can serve the endpoint."""
    client: RequestDecoder
    errors: ErrorStyle
    routes: Routes[Route] = NoRoutes()
    """The routes of requests."""
    sessions: Routes[SessionRoute] = NoRoutes()
    """The routes of sessions."""
    header_names: frozenset[bytes] = frozenset()
    """The request headers that the dialect reads. If there are any, `decode_request` gets them and the query."""
    is_json: bool = True
    """False: the body is a form (`multipart/form-data`)."""
    allows_any_media_type: bool = False
    """The body is read as JSON, whatever its content type says."""
    decodes_alike: bool = True
    """The same request is always decoded to the same call, so that a decoded one can be used again."""
    unique_members: tuple[str, ...] = ()
    """The members on which the gateway decides. Requests that have one of them twice are refused."""
    conversations: ConversationClient | None = None
    """The client codec, if requests are conversations."""
    chat: ChatClient | None = None
    """The client codec, if answers are chat answers. It encodes answers that do not come from an upstream."""
    local: LocalAnswer | None = None
    """Requests that exist only in the client's dialect and are not conversations."""
    continuations: StreamContinuer | None = None
    """Continues streams that have broken off; None if the endpoint has none that can be continued."""
    keep_alive: KeepAlive = COMMENTS
    """What clients are sent while a stream is silent."""

    def decode_request(self, body: bytes, context: RequestContext) -> Call:
        """Validate and read a request. Raises `InvalidRequest`."""
        call = self.client.decode_request(body, context)
        if self.is_json and self.unique_members and not call.is_checked:
            check_unique(body, self.unique_members)
            call.is_checked = call.body is body
        return call

    def can_serve(self, call: Call, deployment: Deployment) -> str | None:
        """Return why the deployment cannot serve the call; None if it can, which means that `route` does not raise.

        The reason is a phrase to put after the deployment's name: "does not support embeddings". Unknown capabilities
        exclude no deployment.
        """
        return (
            self._missing(call, deployment)
            or self.routes.exclusion_reason(call, deployment)
            or self.sessions.exclusion_reason(call, deployment)
        )

    def route(self, call: Call, deployment: Deployment) -> Route:
        """Return the route to this deployment. Raises `UnsupportedFeature` if it cannot serve the call."""
        if (reason := self._missing(call, deployment)) is not None:
            raise errors.UnsupportedFeature(
                f"{deployment.name} {reason}.", hint="Use another model, or change the request."
            )
        return self.routes.route(call, deployment)

    def session_route(self, call: Call, deployment: Deployment) -> SessionRoute:
        """Return the route of a session to this deployment. Raises `UnsupportedFeature` if it cannot serve the call."""
        if (reason := self._missing(call, deployment)) is not None:
            raise errors.UnsupportedFeature(
                f"{deployment.name} {reason}.", hint="Use another model, or change the request."
            )
        return self.sessions.route(call, deployment)

    def _missing(self, call: Call, deployment: Deployment) -> str | None:
        """Return what the call needs and the deployment does not offer, as a phrase; None if nothing is missing."""
        offered, capabilities = deployment.operations, deployment.capabilities
        if offered is not None and self.operations.isdisjoint(offered):
            return f"does not support {OPERATION_NAMES[call.operation]}"
        if capabilities is None:
            return None
        if call.needs and (missing := call.needs - capabilities):
            return f"does not support {', '.join(sorted(missing))}"
        if call.operation == "chat" and "embeddings" in capabilities and "chat" not in capabilities:
            return f"does not support {OPERATION_NAMES['chat']}"
        return None

    def losses(self, call: Call, deployment: Deployment) -> tuple[Loss, ...] | str:
        """Return what the deployment would not get of the call, without sending anything.

        Returns a message if the call cannot be sent to the deployment at all.
        """
        try:
            route = self.route(call, deployment)
            if route.is_local:
                return route.decode_response(b"", call, deployment).losses
            if route.media_urls(call, deployment):
                return (Loss("messages[].content[].url", "emulated", "fetched by the gateway"),)
            return route.encode_request(call, deployment).losses
        except errors.GatewayError as error:
            return error.message

    def conversation(self, call: Call) -> Conversation | None:
        """Return the conversation that upstreams get, with all edits; None if the request is not a conversation.

        The value is read-only. The first time, the request is decoded. Raises `InvalidRequest`.
        """
        if self.conversations is None or (self.local is not None and self.local.applies(call)):
            return None
        return conversation_of(call, self.conversations.decode)

    def edited(self, call: Call, conversation: Conversation) -> Call:
        """Return a call whose upstreams get this conversation instead. `call` itself does not change.

        `needs`, `max_output_tokens` and `added_tokens` are updated. All attempts still start from the client's request:
        an upstream of the same dialect gets this request with the edit merged into it and no other change.
        """
        before = self.conversation(call)
        if before is None:
            raise errors.InternalError(f"The request of a {call.operation} call is not a conversation: {self.name}.")
        return edited_call(narrow_call(call, ConversationCall), before, conversation)
