"""The record of one exchange: written once, read by the exchange log, the ledger, `explain` and the dashboard.

Fields that are annotated with `InLog`, `InLedger` or `InBoth` are also columns of the database. The store derives its
tables, its statements and its rows from these annotations, so a new column takes a field here and a migration.
"""

from typing import Annotated, TypeVar

from msgspec import Struct

from intellirouter.core.affinity import AffinityUse
from intellirouter.core.decision import Attempt, Decision
from intellirouter.core.degradation import StepResult
from intellirouter.core.usage import Usage

RECORD_VERSION = 1

T = TypeVar("T")


class RecordColumn(Struct, frozen=True, kw_only=True):
    """Marks a field of `ExchangeRecord` that is a column of the exchange log, of the ledger, or of both.

    The field `usage` stands for one column of the ledger per field of `Usage`.
    """

    is_in_log: bool = False
    is_in_ledger: bool = False


InLog = Annotated[T, RecordColumn(is_in_log=True)]
InLedger = Annotated[T, RecordColumn(is_in_ledger=True)]
InBoth = Annotated[T, RecordColumn(is_in_log=True, is_in_ledger=True)]


class SmallInt(Struct, frozen=True):
    """Marks an integer that fits into 32 bits; other integers are stored in 64."""


class ExchangeRecord(Struct, kw_only=True, omit_defaults=True):
    """One exchange, from its first byte to its settlement. It holds no prompt and no answer unless configured."""

    request_id: InBoth[str]
    started_us: InBoth[int]
    """Wall-clock time, in microseconds since the epoch."""
    endpoint: InLedger[str]
    """HTTP path without the query string."""
    tenant: InBoth[str]
    key_name: InBoth[str | None] = None
    """None for an anonymous caller."""
    model: InBoth[str | None] = None
    """None when the request could not be decoded that far."""
    is_stream: InLog[bool] = False
    status: InBoth[Annotated[int, SmallInt()]]
    """HTTP status sent to the client; 499 when the client disconnected before the answer."""
    error_code: InBoth[str | None] = None
    error_message: str | None = None
    deployment: InBoth[str | None] = None
    """The deployment whose answer the client received."""
    provider: InLedger[str | None] = None
    upstream_model: InLedger[str | None] = None
    decision: Decision | None = None
    attempts: tuple[Attempt, ...] = ()
    usage: InLedger[Usage | None] = None
    """None when no attempt reached a model. The ledger has no entry for such an exchange."""
    cost_microusd: InBoth[int | None] = None
    """None when the price is unknown, which is not zero."""
    price_version: InLedger[str | None] = None
    cache: InBoth[str | None] = None
    """`hit`, `similar`, `stale`, `joined`: the answer is that of another request. `miss`: there was none. `bypass`: the
    request cannot use the cache. None if the cache is off."""
    cache_reason: str | None = None
    """Why the request bypassed the cache, why a stale answer was used, or why none to a similar request was used."""
    cache_source: InLedger[str | None] = None
    """The request whose answer this is."""
    cache_age_s: float | None = None
    """How old the stored answer was, in seconds."""
    cache_similarity: float | None = None
    """How similar the request of the answer is, from 0 to 1. None if the answer belongs to the same request."""
    saved_microusd: InBoth[int | None] = None
    """What that answer has cost, and this one has not. None if it is unknown."""
    degraded: str | None = None
    """The step of the degradation ladder that has answered: `model small`, `shorten`, `stale` or `refuse`."""
    degradation: tuple[StepResult, ...] = ()
    """All steps of the ladder that were considered. Empty if the model has answered."""
    prompt_cache_saved_microusd: int = 0
    """How much the provider's prompt cache has saved; negative if writing to it has cost more than it saved."""
    affinity: AffinityUse | None = None
    """Whether the request stayed where its session was served last; None if it has no session."""
    finish_reason: str | None = None
    first_token_ms: float | None = None
    duration_ms: InLog[float]
    dropped: tuple[str, ...] = ()
    """Request fields that the upstream could not honor."""
    request_body: str | None = None
    response_body: str | None = None
    """Both bodies are recorded only with `logging.bodies: full`."""
    v: InLedger[Annotated[int, SmallInt()]] = RECORD_VERSION
