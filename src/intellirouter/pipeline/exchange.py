"""One request's whole life inside us: what the stages learn, and the record it ends as."""

from functools import lru_cache
from typing import Protocol

from intellirouter.catalog import ResolvedModel
from intellirouter.core import Attempt, Call, Decision, Deployment, ExchangeRecord, Loss, Usage, errors, format_usd
from intellirouter.dialects import Endpoint
from intellirouter.governance import Identity

Headers = list[tuple[bytes, bytes]]

STATUS_CLIENT_GONE = 499


class Listener(Protocol):
    """Who is told when an exchange fails."""

    has_begun: bool

    async def fail(self, error: errors.GatewayError, headers: Headers, last_words: bytes | None = None) -> None:
        """Say what went wrong: as an answer, or in a stream that has begun with `last_words`, its own error event."""
        ...


class Reply(Listener, Protocol):
    """Where the answer goes. The gateway implements it for one client connection, in the client's dialect."""

    async def complete(self, status: int, headers: Headers, body: bytes, content_type: bytes) -> None:
        """Send a whole answer."""
        ...

    async def begin(self, headers: Headers, stream_type: bytes) -> None:
        """Send the head of a stream (status 200) of this content type."""
        ...

    async def write(self, data: bytes) -> None:
        """Send a piece of the stream; waits while the client reads slowly."""
        ...

    async def end(self, data: bytes) -> None:
        """Send the last piece."""
        ...


class Exchange:
    """Mutable while the request is under way; `record` is what remains once it is settled."""

    call: Call | None = None
    model: str | None = None
    """The configured name; known once the request has been decoded."""
    target: ResolvedModel | None = None
    decision: Decision | None = None
    deployment: Deployment | None = None
    """Who is being tried, in the end who answered."""
    usage: Usage | None = None
    cost_microusd: int | None = None
    price_version: str | None = None
    finish_reason: str | None = None
    first_token_ms: float | None = None
    status: int = 200
    error: errors.GatewayError | None = None
    answer_body: bytes | None = None
    is_client_gone: bool = False
    losses: tuple[Loss, ...] = ()
    """What the last attempt could not honour as asked."""
    last_words: bytes | None = None
    """How the stream that has begun says that it failed."""
    record: ExchangeRecord | None = None
    """Set by settlement."""

    def __init__(
        self,
        request_id: str,
        path: str,
        endpoint: Endpoint,
        identity: Identity,
        *,
        started_s: float,
        started_us: int,
    ) -> None:
        self.request_id = request_id
        self.path = path
        self.endpoint = endpoint
        self.identity = identity
        self.started_s = started_s
        self.started_us = started_us
        self.attempts: list[Attempt] = []

    def asked(self) -> tuple[Call, ResolvedModel]:
        """Return what the decode stage learned."""
        assert self.call is not None and self.target is not None  # noqa: S101, PT018 - the spine's order
        return self.call, self.target

    def decided(self) -> tuple[Call, ResolvedModel, Decision]:
        """Return what the decide stage learned."""
        assert self.decision is not None  # noqa: S101 - the spine's order
        return *self.asked(), self.decision

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
            error_message=None if error is None else error.message[:1000],
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
        )

    def headers(self) -> Headers:
        """Return the decision headers, as far as the decision goes by now."""
        headers = [(b"x-request-id", self.request_id.encode())]
        decision = self.decision
        if decision is None:
            return headers
        if self.deployment is not None:
            headers.append((b"x-intellirouter-deployment", header_value(self.deployment.name)))
        headers += (
            (b"x-intellirouter-strategy", header_value(decision.strategy)),
            (b"x-intellirouter-reason", header_value(decision.reason)),
            (b"x-intellirouter-attempts", b"%d" % len(self.attempts)),
            (b"x-intellirouter-cache", b"off"),
        )
        if self.losses:
            headers.append((b"x-intellirouter-dropped", header_value(", ".join(map(str, self.losses)))))
        if self.usage is not None:
            cost = b"unknown" if self.cost_microusd is None else format_usd(self.cost_microusd).encode()
            headers.append((b"x-intellirouter-cost-usd", cost))
        return headers


@lru_cache(maxsize=4096)
def header_value(text: str) -> bytes:
    """Make any text safe as a header value: printable ASCII, the rest as `?`."""
    if text.isascii() and text.isprintable():
        return text.encode("ascii")
    return bytes(ord(char) if 0x20 <= ord(char) < 0x7F else 0x3F for char in text)
