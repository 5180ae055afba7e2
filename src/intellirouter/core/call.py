"""A decoded request, as far as routing and execution need to know it. The wire form stays with its codec."""

from typing import Final, Literal

from msgspec import Struct

from intellirouter.core.loss import Loss
from intellirouter.core.usage import estimate_input_tokens

Operation = Literal[
    "chat", "completions", "embeddings", "count_tokens", "moderations", "images", "audio", "rerank", "realtime"
]
"""What is asked of a model, whatever the dialect: all chat-like dialects are `chat`."""


class RequestContext(Struct, frozen=True):
    """What a request says outside its body."""

    model: str = ""
    """Where the dialect puts the model into the path (Gemini)."""
    is_stream: bool = False
    """Where the path says that the answer is a stream (Gemini's `:streamGenerateContent`)."""
    query: str = ""
    """The raw query string, without keys."""
    headers: tuple[tuple[str, str], ...] = ()
    """The client's headers that its dialect gives a meaning to (`anthropic-beta`), names in lower case."""
    previous_response_id: str = ""
    """The response whose history the gateway has put into the body (OpenAI responses)."""


EMPTY_CONTEXT: Final = RequestContext()


class Call(Struct, kw_only=True):
    """A client's request. Every attempt is encoded from it again, so nothing in it changes once it is decoded.

    Each codec returns a subclass of its own, which adds what the codec needs to encode requests and responses.
    """

    operation: Operation
    model: str
    body: bytes
    dialect: str = "openai_chat"
    """The client's."""
    context: RequestContext = EMPTY_CONTEXT
    is_stream: bool = False
    stream_type: bytes = b"text/event-stream; charset=utf-8"
    """The content type of the client's stream."""
    wants_usage: bool = False
    """The client itself asked for the usage chunk of a stream."""
    needs: frozenset[str] = frozenset()
    """Capabilities the request relies on: `tools`, `vision`, `audio`, `json_schema`, …"""
    max_output_tokens: int | None = None
    is_edited: bool = False
    """A stage has changed the request: the upstream gets something else than `body`."""
    added_tokens: int = 0
    """By how much the edit changes the estimate of the input tokens that is made of `body`."""
    fetched: dict[str, tuple[str, str]] | None = None
    """Media that the gateway fetched on the client's behalf: URL → media type and base64."""

    def estimated_input_tokens(self) -> int:
        """Return an estimate of the input tokens, with what edits have added or removed."""
        return max(0, estimate_input_tokens(self.body) + self.added_tokens)


class UpstreamRequest(Struct, frozen=True, kw_only=True):
    """One HTTP request of one attempt, below the deployment's base URL. Credentials are the transport's business."""

    path: str
    """Begins with a slash; may carry a query string."""
    body: bytes = b""
    method: str = "POST"
    headers: tuple[tuple[str, str], ...] = ()
    """Beside host, length and credentials. Without a `content-type` here, it is `application/json`."""
    losses: tuple[Loss, ...] = ()
    """What could not be said to this upstream."""
    copies: int = 1
    """How often it is sent at once: several choices from an upstream that gives one (see `dialects.fan_out`)."""
