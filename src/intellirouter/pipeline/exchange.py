"""One request's whole life inside the gateway: what each phase has learned, and the record that remains.

The phases are values: a stage that needs what an earlier phase has learned is handed that phase.

    received ──decode──▶ Decoded ──decide──▶ Decided ──execute──▶ settled (ExchangeRecord)
    (Exchange)
"""

from typing import Protocol

from msgspec import Struct

from intellirouter.catalog import ResolvedModel
from intellirouter.core import Attempt, Call, Decision, Deployment, ExchangeRecord, Loss, Usage, errors
from intellirouter.dialects import Endpoint
from intellirouter.governance import UNIDENTIFIED, Identity

Headers = list[tuple[bytes, bytes]]

STATUS_CLIENT_GONE = 499
_MAX_MESSAGE_CHARS = 1000


class Decoded(Struct, frozen=True):
    """The request has been read, and its model is one that the caller may use."""

    call: Call
    resolved: ResolvedModel


class Decided(Struct, frozen=True):
    """It is known which deployments are tried, in which order."""

    call: Call
    resolved: ResolvedModel
    decision: Decision


class Responder(Protocol):
    """The client's side of an exchange, as far as errors go."""

    has_begun: bool
    """The client has been sent the beginning of an answer. From then on there is no other attempt."""

    async def fail(self, error: errors.GatewayError, exchange: "Exchange") -> None:
        """Report an error: as a whole answer, or as `exchange.error_event` in a stream that has begun."""
        ...


class Reply(Responder, Protocol):
    """Where an answer goes. The gateway implements it for one client connection, in the client's dialect."""

    async def complete(self, status: int, exchange: "Exchange", body: bytes, content_type: bytes) -> None:
        """Send a whole answer."""
        ...

    async def begin(self, exchange: "Exchange", stream_type: bytes) -> None:
        """Send the head of a stream (status 200) of this content type."""
        ...

    async def write(self, data: bytes) -> None:
        """Send a piece of the stream. Waits while the client reads slowly."""
        ...

    async def end(self, data: bytes) -> None:
        """Send the last piece."""
        ...


class Exchange:
    """What is known of one request so far. Mutable while it is in flight; `record` is what remains."""

    identity: Identity = UNIDENTIFIED
    call: Call | None = None
    model: str | None = None
    """The configured name. Known once the request has been decoded."""
    decision: Decision | None = None
    deployment: Deployment | None = None
    """The deployment that is being tried, in the end the one that answered."""
    usage: Usage | None = None
    cost_microusd: int | None = None
    price_version: str | None = None
    finish_reason: str | None = None
    first_token_ms: float | None = None
    status: int = 200
    error: errors.GatewayError | None = None
    error_event: bytes | None = None
    """How a stream that has begun reports that it failed: its dialect's error event."""
    is_received: bool = False
    """The body has been read."""
    is_client_gone: bool = False
    losses: tuple[Loss, ...] = ()
    """What the last attempt could not pass on as requested."""
    answered_by: str | None = None
    """The stage that answered instead of an upstream."""
    is_handed_over: bool = False
    """A background exchange with the same request id goes on with the work and writes the record."""
    logged_request: bytes | None = None
    logged_response: list[bytes] | None = None
    """Bodies for the record, where a stage keeps them; the response's in pieces."""
    record: ExchangeRecord | None = None
    """Set by settlement."""

    def __init__(self, request_id: str, path: str, endpoint: Endpoint, *, started_s: float, started_us: int) -> None:
        self.request_id = request_id
        self.path = path
        self.endpoint = endpoint
        self.started_s = started_s
        self.started_us = started_us
        self.attempts: list[Attempt] = []

    def to_record(self, now_s: float) -> ExchangeRecord:
        """Return the exchange as a value."""
        call, deployment, error = self.call, self.deployment, self.error
        return ExchangeRecord(
            request_id=self.request_id,
            started_us=self.started_us,
            endpoint=self.path,
            tenant=self.identity.tenant,
            key_name=self.identity.key_name,
            model=self.model,
            is_stream=call is not None and call.is_stream,
            status=self.status,
            error_code=None if error is None else error.code,
            error_message=None if error is None else error.message[:_MAX_MESSAGE_CHARS],
            deployment=None if deployment is None else deployment.name,
            provider=None if deployment is None else deployment.provider,
            upstream_model=None if deployment is None else deployment.upstream_model,
            decision=self.decision,
            attempts=tuple(self.attempts),
            usage=self.usage,
            cost_microusd=self.cost_microusd,
            price_version=self.price_version,
            finish_reason=self.finish_reason,
            first_token_ms=self.first_token_ms,
            dropped=tuple([str(loss) for loss in self.losses]) if self.losses else (),
            duration_ms=int((now_s - self.started_s) * 1e6) / 1e3,
            request_body=None if self.logged_request is None else _text(self.logged_request),
            response_body=_text(b"".join(self.logged_response)) if self.logged_response else None,
        )


def _text(body: bytes) -> str:
    return body.decode("utf-8", "replace")
