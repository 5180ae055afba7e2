"""The calls of the dialects: what their codecs store of a request in addition to the fields of `core.Call`."""

from collections.abc import Callable
from typing import TypeVar

from intellirouter.core import Call, Deployment, errors
from intellirouter.dialects.ir import Conversation, EmbeddingRequest

C = TypeVar("C", bound=Call)


class ConversationCall(Call, kw_only=True):
    """A call whose request is a conversation: chat requests and token counts in any dialect."""

    conversation: Conversation | None = None
    """The decoded conversation. Decoded when it is first needed; read-only."""
    wants_json: bool = False
    """The client asks for JSON without a schema."""
    edited: Conversation | None = None
    """The conversation that upstreams get instead; None if no stage has edited the call. Read-only."""


class EmbeddingsCall(Call, kw_only=True):
    """A call whose request asks for embeddings."""

    request: EmbeddingRequest | None = None
    """The decoded request. Decoded when it is first needed; read-only."""


def narrow_call(call: Call, kind: type[C]) -> C:
    """Return the call as the type that its codec uses. Raises `InternalError` for the call of another codec."""
    if isinstance(call, kind):
        return call
    raise errors.InternalError(f"Expected a call of type {kind.__name__}, but got {type(call).__name__}.")


def answer_model(reported: str, call: Call, deployment: Deployment) -> str:
    """Return the model that an answer names. `reported` is the name in the upstream's answer; empty if it has none."""
    return call.model if call.names_requested_model else reported or deployment.upstream_model


def original_of(call: Call, decode: Callable[[Call], Conversation]) -> Conversation:
    """Return the client's conversation. `decode` is called the first time; it may raise `InvalidRequest`."""
    narrowed = narrow_call(call, ConversationCall)
    if narrowed.conversation is None:
        narrowed.conversation = decode(call)
    return narrowed.conversation


def conversation_of(call: Call, decode: Callable[[Call], Conversation]) -> Conversation:
    """Return the conversation that upstreams get: the edited one, or else the client's. See `original_of`."""
    narrowed = narrow_call(call, ConversationCall)
    if narrowed.edited is not None:
        return narrowed.edited
    if narrowed.conversation is None:
        narrowed.conversation = decode(call)
    return narrowed.conversation


def embedding_request_of(call: Call, decode: Callable[[Call], EmbeddingRequest]) -> EmbeddingRequest:
    """Return the embeddings request. `decode` is called the first time; it may raise `InvalidRequest`."""
    narrowed = narrow_call(call, EmbeddingsCall)
    if narrowed.request is None:
        narrowed.request = decode(call)
    return narrowed.request
