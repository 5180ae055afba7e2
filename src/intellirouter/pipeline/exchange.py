"""An exchange: one request inside the gateway, from its arrival to its record.

The phases are values, so a stage states in its signature which phase it needs:

    received ──decode──▶ Decoded ──decide──▶ Decided ──execute──▶ settled (ExchangeRecord)
    (Exchange)
"""

from collections.abc import Callable
from typing import Protocol

from msgspec import Struct, structs

from intellirouter.cache import CacheDirectives, Flight, Lookup, StoredAnswer
from intellirouter.catalog import MAX_NAME_CHARS, ResolvedModel
from intellirouter.core import (
    AffinityUse,
    Attempt,
    AttemptKind,
    Call,
    Decision,
    Degradation,
    Deployment,
    ExchangeRecord,
    Loss,
    Priority,
    Reference,
    Usage,
    errors,
    escape_control_characters,
    reason_of,
)
from intellirouter.dialects import NO_IDS, Endpoint, VendorIds
from intellirouter.governance import UNIDENTIFIED, Identity
from intellirouter.routing import Affinity, Placement

Headers = list[tuple[bytes, bytes]]

STATUS_CLIENT_DISCONNECTED = 499
_MAX_MESSAGE_CHARS = 1000


class Decoded(Struct, frozen=True):
    """The request has been decoded, and the caller may use its model."""

    call: Call
    resolved: ResolvedModel


class Decided(Struct, frozen=True):
    """The router has decided which deployments are tried, in which order."""

    call: Call
    resolved: ResolvedModel
    decision: Decision
    kind: AttemptKind = "first"
    """The kind of the first attempt."""


class Responder(Protocol):
    """Reports errors to the client of an exchange."""

    has_begun: bool
    """The client has been sent the beginning of an answer."""

    async def fail(self, error: errors.GatewayError, exchange: "Exchange") -> None:
        """Report an error: as a complete answer, or as `exchange.error_event` in a stream that has begun."""
        ...


class Reply(Responder, Protocol):
    """Sends the answer to the client of an exchange, in the client's dialect."""

    takes_refusals: bool
    """Whether a configured refusal may be the answer. Otherwise it is an error, after which work can be repeated."""

    @property
    def has_content(self) -> bool:
        """Whether the client has been sent a part of an answer. Pings are none, although a stream begins with them."""
        ...

    async def complete(self, status: int, exchange: "Exchange", body: bytes, content_type: bytes) -> None:
        """Send a complete answer. If the client awaits a stream, it is all of the stream."""
        ...

    def await_stream(self, exchange: "Exchange") -> None:
        """Keep the client's connection alive from now on, as long as its stream is silent. Called before an attempt.

        After a long silence, the response headers of the stream are sent before its content, so that `has_begun` may
        become true at any time. Attempts that fail later still lead to another one.
        """
        ...

    async def begin(self, exchange: "Exchange", stream_type: bytes) -> None:
        """Send the response headers of a stream (status 200) with this content type, unless they have been sent."""
        ...

    async def write(self, data: bytes) -> None:
        """Send the next bytes of the stream. Waits while the client reads slowly."""
        ...

    async def end(self, data: bytes) -> None:
        """Send the last bytes of the stream."""
        ...


class CacheUse(Struct):
    """What the cache did for a request to which it applies."""

    status: str = "bypass"
    """`hit`, `similar`, `miss`, `joined`, `stale` or `bypass`."""
    reason: str | None = None
    """Why the request bypasses the cache, why a stale answer was used, or why none to a similar request was used."""
    source: str | None = None
    """The request whose answer this is."""
    age_s: float | None = None
    similarity: float | None = None
    """How similar the request of the answer is, from 0 to 1; None if it is not another one."""
    saved_microusd: int | None = None
    """What that answer has cost; None if it is unknown."""
    expired: StoredAnswer | None = None
    """An answer that may be used if the request fails."""
    flight: Flight | None = None
    """Passes the answer to requests that wait for it."""
    lookup: Lookup | None = None
    """What similar requests are compared with, if the model has the mode `semantic`."""

    def write_to(self, record: ExchangeRecord) -> None:
        record.cache, record.cache_reason, record.cache_source = self.status, self.reason, self.source
        record.cache_age_s, record.saved_microusd = self.age_s, self.saved_microusd
        record.cache_similarity = self.similarity


class SessionPlace(Struct, frozen=True):
    """The session of a request, and where it was served last."""

    affinity: Affinity
    """For the router."""
    home: Placement | None


class Exchange:
    """The state of one request. Mutable while the request is in flight; `record` is the result."""

    identity: Identity = UNIDENTIFIED
    priority: Priority | None = None
    """The priority of the request, if it demands one; None: that of the caller."""
    call: Call | None = None
    model: str | None = None
    """The configured name of the model; None until the request has been decoded."""
    unknown_model: str | None = None
    """The name that the client has requested, if there is no such model, or if the caller may not use it."""
    decision: Decision | None = None
    deployment: Deployment | None = None
    """The deployment of the current attempt; at the end, the one that answered."""
    usage: Usage | None = None
    cost_microusd: int | None = None
    price_version: str | None = None
    unused_cost_microusd: int = 0
    """What the attempts have cost whose answers were not used, or only in part."""
    unused_usage: Usage | None = None
    """What attempts have used whose answers were not used; None if there are none."""
    continued_usage: Usage | None = None
    """What the attempts have used whose streams another one has continued. Settlement adds it to `usage`."""
    degradation: Degradation | None = None
    """What became of the steps of the degradation ladder; None if none was considered."""
    prompt_cache_saved_microusd: int = 0
    finish_reason: str | None = None
    first_token_ms: float | None = None
    status: int = 200
    error: errors.GatewayError | None = None
    error_event: bytes | None = None
    """The error event of the client's dialect, for a stream that fails after it has begun."""
    is_client_disconnected: bool = False
    answer_error: errors.GatewayError | None = None
    """The error that ended the answer after its beginning, if the client had disconnected before."""
    losses: tuple[Loss, ...] = ()
    """Fields that the last attempt did not pass on as requested."""
    ignored: tuple[Loss, ...] = ()
    """What was not honored of the request, whatever answers it: some headers, the turns that were left out."""
    session: str = ""
    """The session that the client names in a header, if the model has affinity."""
    place: SessionPlace | None = None
    """The session of the request, and where it was served last; None if it has none, or if that does not matter."""
    vendor_ids: VendorIds = NO_IDS
    """What the request refers to at a vendor."""
    reference: Reference | None = None
    """The part of it whose creator is known, so that only the creator can serve the request."""
    answered_by: str | None = None
    """The stage that answered instead of an upstream."""
    cache_directives: CacheDirectives | None = None
    """What the client demands of the cache."""
    idempotency_key: bytes | None = None
    """The client's `Idempotency-Key`. It has an effect if the request can use the cache."""
    cache: CacheUse | None = None
    """None if the cache does not apply to the request."""
    is_needed_by_others: Callable[[], bool] | None = None
    """Returns whether other requests wait for the answer. Then it is completed even if the client disconnects."""
    content_type: bytes = b""
    """That of the answer, if a tap reads it."""
    is_handed_over: bool = False
    """A background exchange with the same request id does the work and writes the record."""
    is_unrecorded: bool = False
    """The caller is not identified, and its refusal is only counted."""
    logged_request: bytes | None = None
    logged_response: list[bytes] | None = None
    """Request body and pieces of the response body, if a stage records them."""
    affinity: AffinityUse | None = None
    """What affinity did for the request."""
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
        """Return the record of this exchange."""
        call, deployment, error, attempts = self.call, self.deployment, self.error, self.attempts
        is_usual = self.degradation is None and (not attempts or (len(attempts) == 1 and not attempts[0].queued_ms))
        record = ExchangeRecord(
            request_id=self.request_id,
            started_us=self.started_us,
            endpoint=self.path,
            tenant=self.identity.tenant,
            key_name=self.identity.key_name,
            model=self.model if self.unknown_model is None else _shown_name(self.unknown_model),
            is_stream=call is not None and call.is_stream,
            status=self.status,
            error_code=None if error is None else error.code,
            error_message=None if error is None else error.message[:_MAX_MESSAGE_CHARS],
            deployment=None if deployment is None else deployment.name,
            provider=None if deployment is None else deployment.provider,
            upstream_model=None if deployment is None else deployment.upstream_model,
            decision=self.decision if is_usual else self._final_decision(),
            attempts=tuple(attempts),
            usage=self.usage,
            cost_microusd=self.cost_microusd,
            price_version=self.price_version,
            prompt_cache_saved_microusd=self.prompt_cache_saved_microusd,
            affinity=self.affinity,
            finish_reason=self.finish_reason,
            first_token_ms=self.first_token_ms,
            dropped=tuple([str(loss) for loss in (*self.ignored, *self.losses)]) if self.losses or self.ignored else (),
            duration_ms=int((now_s - self.started_s) * 1e6) / 1e3,
            request_body=None if self.logged_request is None else _text(self.logged_request),
            response_body=_text(b"".join(self.logged_response)) if self.logged_response else None,
        )
        if self.cache is not None:
            self.cache.write_to(record)
        if self.degradation is not None:
            record.degraded, record.degradation = self.degradation.step, self.degradation.results()
        return record

    def reason(self, decision: Decision) -> str:
        """Return why the client gets its answer from where it does."""
        if self.degradation is not None:
            return self.degradation.reason(decision, self.attempts)
        return reason_of(decision, self.attempts)

    def _final_decision(self) -> Decision | None:
        """Return the decision with the reason for the last attempt."""
        if (decision := self.decision) is None:
            return None
        return structs.replace(decision, reason=self.reason(decision))


def note_disconnection(exchange: Exchange) -> None:
    """Note that the client has disconnected before it was sent the whole answer."""
    exchange.status = STATUS_CLIENT_DISCONNECTED
    message = "The connection to the client was closed before the response was complete."
    exchange.error = errors.ClientDisconnected(message)


def _shown_name(name: str) -> str:
    """Return a client's text, which can have any length and contain any characters, as a name for the record."""
    return escape_control_characters(name[:MAX_NAME_CHARS], keeps_lines=False)


def _text(body: bytes) -> str:
    return body.decode("utf-8", "replace")
