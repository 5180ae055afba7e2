"""From the JSON of a record to the rows of the tables. No SQL, no I/O.

Only the columns are decoded; the JSON itself becomes the log's body as it stands.
"""

from typing import Final

import msgspec
from msgspec import Struct

from intellirouter.core import Usage

LOG_COLUMNS: Final = (
    "request_id",
    "started_us",
    "tenant",
    "key_name",
    "model",
    "deployment",
    "status",
    "error_code",
    "is_stream",
    "duration_ms",
    "cost_microusd",
    "size_bytes",
    "body",
)
LEDGER_COLUMNS: Final = (
    "request_id",
    "started_us",
    "tenant",
    "key_name",
    "model",
    "deployment",
    "provider",
    "upstream_model",
    "endpoint",
    "status",
    "error_code",
    "input_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
    "output_tokens",
    "reasoning_tokens",
    "input_audio_tokens",
    "output_audio_tokens",
    "is_estimated",
    "cost_microusd",
    "price_version",
    "v",
)

Value = str | int | float | None
Row = tuple[Value, ...]


class Rows(Struct):
    """Rows of both tables, the values of one after those of the other, as a statement takes them."""

    log: list[Value]
    ledger: list[Value]
    records: int = 0

    def add(self, body: bytes) -> None:
        """Add the rows of one record; raises as `rows_of`."""
        log, entry = rows_of(body)
        self.log += log
        if entry is not None:
            self.ledger += entry
        self.records += 1


class _Columns(Struct, kw_only=True, gc=False):
    """The part of `core.ExchangeRecord` that becomes columns; its other fields are skipped unread."""

    request_id: str
    started_us: int
    endpoint: str
    tenant: str
    key_name: str | None = None
    model: str | None = None
    is_stream: bool = False
    status: int
    error_code: str | None = None
    deployment: str | None = None
    provider: str | None = None
    upstream_model: str | None = None
    usage: Usage | None = None
    cost_microusd: int | None = None
    price_version: str | None = None
    duration_ms: float | None
    v: int = 1


_decode = msgspec.json.Decoder(_Columns).decode


def rows_of(body: bytes) -> tuple[Row, Row | None]:
    """Return (log row, ledger row). The ledger row is None when no attempt reached a model.

    Raises msgspec.ValidationError or msgspec.DecodeError for JSON that is no record.
    """
    c = _decode(body)
    log = (
        c.request_id,
        c.started_us,
        c.tenant,
        c.key_name,
        c.model,
        c.deployment,
        c.status,
        c.error_code,
        c.is_stream,
        c.duration_ms,
        c.cost_microusd,
        len(body),
        body.decode(),
    )
    usage = c.usage
    if usage is None:
        return log, None
    return log, (
        c.request_id,
        c.started_us,
        c.tenant,
        c.key_name,
        c.model,
        c.deployment,
        c.provider,
        c.upstream_model,
        c.endpoint,
        c.status,
        c.error_code,
        usage.input_tokens,
        usage.cache_read_tokens,
        usage.cache_write_tokens,
        usage.output_tokens,
        usage.reasoning_tokens,
        usage.input_audio_tokens,
        usage.output_audio_tokens,
        usage.is_estimated,
        c.cost_microusd,
        c.price_version,
        c.v,
    )
