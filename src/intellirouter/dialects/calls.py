"""The calls of the dialects: what their codecs keep of a request in addition to what `core.Call` holds."""

from collections.abc import Callable
from typing import TypeVar

from intellirouter.core import Call, errors
from intellirouter.dialects.ir import Conversation, EmbeddingRequest

C = TypeVar("C", bound=Call)


class ConversationCall(Call, kw_only=True):
    """A call whose request is a conversation: chat requests and token counts in any dialect."""

    conversation: Conversation | None = None
    """The decoded conversation. Made when it is first needed, read-only from then on."""
    edited: Conversation | None = None
    """What upstreams get instead; None while no stage has edited the call. Read-only, too."""


class EmbeddingsCall(Call, kw_only=True):
    """A call that asks for embeddings."""

    request: EmbeddingRequest | None = None
    """The decoded request. Made when it is first needed, read-only from then on."""


def narrow_call(call: Call, kind: type[C]) -> C:
    """Return the call as the type that its codec decoded. Raises `InternalError` for the call of another codec."""
    if isinstance(call, kind):
        return call
    raise errors.InternalError(f"Expected a call of type {kind.__name__}, but got {type(call).__name__}.")


def original_of(call: Call, decode: Callable[[Call], Conversation]) -> Conversation:
    """Return what the client sent. `decode` reads the request the first time and may raise `InvalidRequest`."""
    known = narrow_call(call, ConversationCall)
    if known.conversation is None:
        known.conversation = decode(call)
    return known.conversation


def conversation_of(call: Call, decode: Callable[[Call], Conversation]) -> Conversation:
    """Return what the upstream gets: the edited conversation, or the original one. See `original_of`."""
    known = narrow_call(call, ConversationCall)
    if known.edited is not None:
        return known.edited
    if known.conversation is None:
        known.conversation = decode(call)
    return known.conversation


def embedding_request_of(call: Call, decode: Callable[[Call], EmbeddingRequest]) -> EmbeddingRequest:
    """Return what the call asks to embed. `decode` reads the request the first time and may raise `InvalidRequest`."""
    known = narrow_call(call, EmbeddingsCall)
    if known.request is None:
        known.request = decode(call)
    return known.request
