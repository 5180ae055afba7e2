"""A decoded request: what routing and execution need to know. The rest is private to the codec."""

from typing import Final, Literal

from msgspec import Struct

from intellirouter.core.affinity import CredentialChoice
from intellirouter.core.attempt_control import AttemptControl
from intellirouter.core.loss import Loss
from intellirouter.core.reasoning_memory import ReasoningMemory
from intellirouter.core.usage import estimate_input_tokens

Operation = Literal[
    "chat", "completions", "embeddings", "count_tokens", "moderations", "images", "audio", "rerank", "realtime"
]
"""What is requested of a model, in any dialect. All chat dialects are `chat`."""

PeerAddress = tuple[str, int]
"""IP address and port of a client."""


class RequestContext(Struct, frozen=True):
    """The parts of a request outside its body."""

    model: str = ""
    """The model, if the path names it (Gemini)."""
    is_stream: bool = False
    """True if the path requests a stream (Gemini's `:streamGenerateContent`)."""
    query: str = ""
    """The raw query string, without API keys."""
    headers: tuple[tuple[str, str], ...] = ()
    """The client's headers that belong to its dialect (`anthropic-beta`). Names are in lower case."""
    control: AttemptControl | None = None
    """What the client demands of the attempts; None: nothing."""
    previous_response_id: str = ""
    """The response whose history the gateway has inserted into the body (OpenAI Responses)."""
    session: str = ""
    """The session that the client names in a header; empty if it names none. It does not change the answer."""


EMPTY_CONTEXT: Final = RequestContext()


class Call(Struct, kw_only=True):
    """A client's request. `body` is unchanged, because every attempt is encoded from it.

    Each codec returns its own subclass, which adds what the codec needs to encode requests and responses.
    """

    operation: Operation
    model: str
    body: bytes
    dialect: str = "openai_chat"
    """The client's dialect."""
    context: RequestContext = EMPTY_CONTEXT
    is_stream: bool = False
    stream_type: bytes = b"text/event-stream; charset=utf-8"
    """The content type of the stream that the client receives."""
    wants_usage: bool = False
    """The client requested the usage chunk of a stream."""
    needs: frozenset[str] = frozenset()
    """Capabilities that the request needs: `tools`, `vision`, `audio`, `json_schema`, …"""
    max_output_tokens: int | None = None
    is_edited: bool = False
    """A stage has changed the request: the upstream gets something other than `body`."""
    added_tokens: int = 0
    """By how much the edit changes the estimate of the input tokens that `body` alone gives."""
    is_large: bool = False
    """The body is so large that it is decoded and encoded off the event loop; see `off_loop`."""
    is_checked: bool = False
    """`body` has no duplicates of the members on which the gateway decides."""
    names_requested_model: bool = False
    """The answer names the model as the client did (`answers.model_name`), not as the upstream does."""
    fetched: dict[str, tuple[str, str]] | None = None
    """Media that the gateway has fetched for the client: URL to media type and base64."""
    memory: ReasoningMemory | None = None
    """What the tenant's earlier answers carried that its clients may not send back; None: nothing is remembered."""

    def estimated_input_tokens(self) -> int:
        """Return an estimate of the input tokens, with what edits have added or removed."""
        return max(0, estimate_input_tokens(self.body) + self.added_tokens)


class UpstreamRequest(Struct, frozen=True, kw_only=True):
    """One HTTP request of one attempt. The transport adds the credential."""

    path: str
    """Appended to the deployment's base URL. Begins with a slash; may have a query string."""
    body: bytes = b""
    method: str = "POST"
    headers: tuple[tuple[str, str], ...] = ()
    """Sent in addition to host, length and credential. The default `content-type` is `application/json`."""
    losses: tuple[Loss, ...] = ()
    """Fields of the client's request that this request does not contain as they were."""
    cache_marks: int = 0
    """How many prompt-cache marks the gateway has set in the body."""
    credential: CredentialChoice | None = None
    """Which of the deployment's credentials the transport should use; None: the next one."""
    copies: int = 1
    """How many times the request is sent in parallel, for several choices from an upstream that returns one."""
