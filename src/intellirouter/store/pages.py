"""What readers ask for and get: filters, rows, pages, sums. No I/O."""

from typing import Literal

from msgspec import Struct

TotalsKey = Literal["tenant", "model", "deployment"]


class LogFilter(Struct, frozen=True, kw_only=True):
    """Which exchanges to list. None does not filter."""

    tenant: str | None = None
    model: str | None = None
    deployment: str | None = None
    status_class: int | None = None
    """First digit of the status: 2, 4, 5."""
    errors_only: bool = False
    """Those with an error code or a status from 400 on."""


class LogRow(Struct, frozen=True, kw_only=True):
    """One line of the log's table."""

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


class LogPage(Struct, frozen=True, kw_only=True):
    rows: tuple[LogRow, ...]
    """Newest first."""
    next_before: str | None
    """Pass it as `before` to get the next page (it is the last row's request id); None on the last page."""


class LedgerTotal(Struct, frozen=True, kw_only=True):
    """Sums of one group. Keys that were not grouped by are None, as are keys that the entries do not have."""

    tenant: str | None = None
    model: str | None = None
    deployment: str | None = None
    requests: int
    unpriced_requests: int
    """Entries whose cost is unknown; they are not in `cost_microusd`."""
    estimated_requests: int
    """Entries whose tokens were estimated."""
    input_tokens: int
    cache_read_tokens: int
    cache_write_tokens: int
    output_tokens: int
    reasoning_tokens: int
    input_audio_tokens: int
    output_audio_tokens: int
    cost_microusd: int
