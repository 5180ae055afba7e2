"""The record of one exchange: written once, read by headers, log, ledger, explain and the dashboard."""

from msgspec import Struct

from intellirouter.core.decision import Attempt, Decision
from intellirouter.core.usage import Usage

RECORD_VERSION = 1


class ExchangeRecord(Struct, kw_only=True, omit_defaults=True):
    """One request's whole life inside us. Nothing of the prompt or the answer is in it unless configured."""

    request_id: str
    started_us: int
    """Wall time, microseconds since the epoch."""
    endpoint: str
    """HTTP path without the query string."""
    tenant: str
    key_name: str | None = None
    """None for an anonymous caller."""
    model: str | None = None
    """None when the request could not be read that far."""
    is_stream: bool = False
    status: int
    """HTTP status sent to the client; 499 when the client left before the answer."""
    error_code: str | None = None
    error_message: str | None = None
    deployment: str | None = None
    """The deployment whose answer the client got."""
    provider: str | None = None
    upstream_model: str | None = None
    decision: Decision | None = None
    attempts: tuple[Attempt, ...] = ()
    usage: Usage | None = None
    """None when no attempt reached a model."""
    cost_microusd: int | None = None
    """None when the price is unknown."""
    price_version: str | None = None
    finish_reason: str | None = None
    first_token_ms: float | None = None
    duration_ms: float
    dropped: tuple[str, ...] = ()
    """Request fields that could not be honoured."""
    request_body: str | None = None
    response_body: str | None = None
    """Both only with `logging.bodies: full`."""
    v: int = RECORD_VERSION
