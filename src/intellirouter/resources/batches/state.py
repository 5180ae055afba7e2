"""What is known of a batch: its metadata in the store, and OpenAI's object made of it.

    validating → in_progress → finalizing → completed
        │             │             ├─────→ expired      (what had no answer by then gets `batch_expired`)
        ↓             ↓             └─────→ cancelled    (after cancelling; the rest gets `batch_cancelled`)
      failed      cancelling

Source: OpenAI API reference, "Batch".
"""

from typing import Any, Final

import msgspec
from msgspec import Struct

from intellirouter.core import Usage
from intellirouter.store import StoredObject

BATCH: Final = "batch"
INPUT: Final = "batch_input"
RESULT: Final = "batch_result"
UNFINISHED: Final = ("validating", "in_progress", "finalizing", "cancelling")
WINDOW_S: Final = 86_400
_KEPT_US: Final = 90 * 86_400_000_000
_TIMES: Final = (
    "in_progress_at",
    "expires_at",
    "finalizing_at",
    "completed_at",
    "failed_at",
    "expired_at",
    "cancelling_at",
    "cancelled_at",
)


class LineError(Struct, frozen=True, kw_only=True):
    """What is wrong with the input."""

    code: str
    message: str
    param: str | None = None
    line: int | None = None


class Batch(Struct, kw_only=True):
    """One batch; all but id and tenant are the `meta` of its stored object. Changed only by whoever runs it."""

    id: str
    tenant: str
    key_name: str | None
    endpoint: str
    input_file_id: str
    metadata: dict[str, str] | None = None
    output_kept_s: int | None = None
    status: str = "validating"
    times: dict[str, int] = msgspec.field(default_factory=dict)
    """`created_at`, … in seconds."""
    total: int = 0
    completed: int = 0
    failed: int = 0
    model: str | None = None
    """None while it is not known, and where the lines ask for several."""
    usage: Usage = Usage()
    errors: list[LineError] = msgspec.field(default_factory=list)
    files: dict[str, str] = msgspec.field(default_factory=dict)
    """The ids of `output` and `error`, chosen before they are written."""

    @property
    def is_final(self) -> bool:
        return self.status not in UNFINISHED

    def move(self, status: str, now_us: int) -> None:
        """Enter a state and note when."""
        self.status = status
        self.times[f"{status}_at"] = now_us // 1_000_000

    def count(self, *, is_good: bool, usage: Usage | None) -> None:
        """Count one answered line."""
        if is_good:
            self.completed += 1
        else:
            self.failed += 1
        if usage is not None:
            self.usage = self.usage.plus(usage)

    def to_stored(self) -> StoredObject:
        """Return it as it lies in the store."""
        created_us = self.times["created_at"] * 1_000_000
        return StoredObject(
            kind=BATCH,
            id=self.id,
            tenant=self.tenant,
            created_us=created_us,
            expires_us=created_us + _KEPT_US,
            status=self.status,
            meta=msgspec.json.encode(self),
        )

    def document(self) -> dict[str, Any]:
        """Return OpenAI's batch object."""
        files = self.files if self.is_final else {}
        return {
            "id": self.id,
            "object": "batch",
            "endpoint": self.endpoint,
            "model": self.model,
            "errors": {"object": "list", "data": self.errors} if self.errors else None,
            "input_file_id": self.input_file_id,
            "completion_window": "24h",
            "status": self.status,
            "output_file_id": files.get("output"),
            "error_file_id": files.get("error"),
            "created_at": self.times["created_at"],
            **{name: self.times.get(name) for name in _TIMES},
            "request_counts": {"total": self.total, "completed": self.completed, "failed": self.failed},
            "usage": _usage(self.usage),
            "metadata": self.metadata,
        }


_decode_batch: Final = msgspec.json.Decoder(Batch)


def read_batch(stored: StoredObject) -> Batch:
    """Read a batch from the store."""
    return _decode_batch.decode(stored.meta)


def _usage(usage: Usage) -> dict[str, Any]:
    return {
        "input_tokens": usage.total_input_tokens,
        "input_tokens_details": {"cached_tokens": usage.cache_read_tokens},
        "output_tokens": usage.total_output_tokens,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
        "total_tokens": usage.total_tokens,
    }
