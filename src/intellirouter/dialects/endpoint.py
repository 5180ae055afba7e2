"""What the pipeline sees of a client's dialect: one endpoint, with its routes to the deployments."""

from typing import NoReturn, Protocol, TypeVar

from msgspec import Struct

from intellirouter.core import Call, Deployment, RequestContext, errors
from intellirouter.dialects.calls import ConversationCall, conversation_of, narrow_call
from intellirouter.dialects.edits import edited_call
from intellirouter.dialects.ir import Conversation
from intellirouter.dialects.protocols import ConversationClient, ErrorStyle, RequestDecoder, Route, SessionRoute
from intellirouter.dialects.spec import LocalAnswer

R_co = TypeVar("R_co", covariant=True)


class Routes(Protocol[R_co]):
    """The routes of one endpoint, by deployment."""

    def route(self, call: Call, deployment: Deployment) -> R_co:
        """Return the route to this deployment. Raises `UnsupportedFeature` where there is none."""
        ...


class NoRoutes:
    """Stands in for the routes that an endpoint does not have: those of requests, or those of sessions."""

    def route(self, call: Call, deployment: Deployment) -> NoReturn:  # noqa: ARG002 - there are none
        raise errors.InternalError(f"A {call.operation} call has no routes of this kind.")


class Endpoint(Struct, frozen=True, kw_only=True, eq=False):
    """The client's side of one endpoint: how its requests are decoded, how they are served, how errors look."""

    name: str
    client: RequestDecoder
    errors: ErrorStyle
    routes: Routes[Route] = NoRoutes()
    """For requests that get an answer."""
    sessions: Routes[SessionRoute] = NoRoutes()
    """For requests that open a session."""
    header_names: frozenset[bytes] = frozenset()
    """The client's headers that mean something to the dialect. With any, they and the query reach `decode_request`."""
    is_json: bool = True
    """False: the body is a form (`multipart/form-data`)."""
    conversations: ConversationClient | None = None
    """The client codec, where requests are conversations."""
    local: LocalAnswer | None = None
    """Requests that only the client's own dialect knows: they are no conversations."""

    def decode_request(self, body: bytes, context: RequestContext) -> Call:
        """Validate and read a request. Raises `InvalidRequest`."""
        return self.client.decode_request(body, context)

    def route(self, call: Call, deployment: Deployment) -> Route:
        """Return the route to this deployment. Raises `UnsupportedFeature` where there is none."""
        return self.routes.route(call, deployment)

    def session_route(self, call: Call, deployment: Deployment) -> SessionRoute:
        """Return the route of a session to this deployment. Raises `UnsupportedFeature` where there is none."""
        return self.sessions.route(call, deployment)

    def conversation(self, call: Call) -> Conversation | None:
        """Return the conversation that upstreams get, with all edits so far; None for a request that is none.

        It is decoded the first time and read-only: an edit is a new value. Raises `InvalidRequest`.
        """
        if self.conversations is None or (self.local is not None and self.local.applies(call)):
            return None
        return conversation_of(call, self.conversations.decode)

    def edited(self, call: Call, conversation: Conversation) -> Call:
        """Return a call whose upstreams get this conversation instead. `call` itself stays as it is.

        `needs`, `max_output_tokens` and `added_tokens` follow the edit. The client's request stays the starting point
        of every attempt: an upstream of the same dialect gets it with the edit merged in, and nothing else changed.
        """
        before = self.conversation(call)
        if before is None:
            raise errors.InternalError(f"The request of a {call.operation} call is not a conversation: {self.name}.")
        return edited_call(narrow_call(call, ConversationCall), before, conversation)
