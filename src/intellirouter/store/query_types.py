"""Arguments and results of queries on the exchange log and the ledger. No I/O."""

from typing import Literal

from msgspec import Struct

TotalsKey = Literal["tenant", "model", "deployment"]


class LogFilter(Struct, frozen=True, kw_only=True):
    """Selects exchanges. A field that is None selects all of them."""

    tenant: str | None = None
    key_names: tuple[str | None, ...] | None = None
    """Names of keys. None among them selects the exchanges of callers without a key."""
    id_prefix: str | None = None
    """How the request id begins."""
    model: str | None = None
    deployment: str | None = None
    status_class: int | None = None
    """First digit of the status: 2, 4 or 5."""
    errors_only: bool = False
    """Select exchanges with an error code or a status of 400 or more."""


class LogRow(Struct, frozen=True, kw_only=True):
    """One exchange in a list of exchanges."""

    request_id: str
    started_us: int
    tenant: str
    key_name: str | None
    model: str | None
    deployment: str | None
    status: int
    error_code: str | None
    is_stream: bool
    duration_ms: float | None
    cost_microusd: int | None
    cache: str | None = None
    saved_microusd: int | None = None


class LogPage(Struct, frozen=True, kw_only=True):
    """One page of exchanges."""

    rows: tuple[LogRow, ...]
    """Newest first."""
    next_before: str | None
    """Request id of the last row, to be passed as `before` for the next page; None on the last page."""


class LedgerTotal(Struct, frozen=True, kw_only=True):
    """Totals of one group. A key is None if the query does not group by it or if the entries do not have it."""

    tenant: str | None = None
    model: str | None = None
    deployment: str | None = None
    requests: int
    unpriced_requests: int
    """Entries with an unknown cost, which is not part of `cost_microusd`."""
    estimated_requests: int
    """Entries with estimated token counts."""
    input_tokens: int
    cache_read_tokens: int
    cache_write_tokens: int
    cache_write_1h_tokens: int
    output_tokens: int
    reasoning_tokens: int
    input_audio_tokens: int
    output_audio_tokens: int
    input_image_tokens: int
    output_image_tokens: int
    cost_microusd: int
    saved_microusd: int
    """What answers from the cache have cost when they were made."""
