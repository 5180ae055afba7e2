"""The state of a batch: its metadata in the store, and OpenAI's batch object.

    validating → in_progress → finalizing → completed
        │             │             ├─────→ expired      (lines without a result get `batch_expired`)
        ↓             ↓             └─────→ cancelled    (lines without a result get `batch_cancelled`)
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
_RETENTION_US: Final = 90 * 86_400_000_000
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
    """An error in the input file, or of the batch as a whole."""

    code: str
    message: str
    param: str | None = None
    line: int | None = None


class Batch(Struct, kw_only=True):
    """A batch, which is stored as the `meta` of its object. Only its `BatchRun` changes it."""

    id: str
    tenant: str
    key_name: str | None
    endpoint: str
    input_file_id: str
    metadata: dict[str, str] | None = None
    output_expires_after_s: int | None = None
    status: str = "validating"
    times: dict[str, int] = msgspec.field(default_factory=dict)
    """`created_at`, `expires_at` and the time of each change of state, in seconds since the epoch."""
    total: int = 0
    completed: int = 0
    failed: int = 0
    model: str | None = None
    """None if it is not known yet, or if the lines request several models."""
    usage: Usage = Usage()
    errors: list[LineError] = msgspec.field(default_factory=list)
    files: dict[str, str] = msgspec.field(default_factory=dict)
    """The file ids of `output` and `error`, chosen before the files are written."""

    @property
    def is_final(self) -> bool:
        return self.status not in UNFINISHED

    def move(self, status: str, now_us: int) -> None:
        """Change the state and record the time."""
        self.status = status
        self.times[f"{status}_at"] = now_us // 1_000_000

    def count(self, *, is_success: bool, usage: Usage | None) -> None:
        """Count the result of a line."""
        if is_success:
            self.completed += 1
        else:
            self.failed += 1
        if usage is not None:
            self.usage = self.usage.plus(usage)

    def to_stored(self) -> StoredObject:
        """Return the object to store."""
        created_us = self.times["created_at"] * 1_000_000
        return StoredObject(
            kind=BATCH,
            id=self.id,
            tenant=self.tenant,
            created_us=created_us,
            expires_us=created_us + _RETENTION_US,
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
    """Return the batch of a stored object."""
    return _decode_batch.decode(stored.meta)


def _usage(usage: Usage) -> dict[str, Any]:
    return {
        "input_tokens": usage.total_input_tokens,
        "input_tokens_details": {"cached_tokens": usage.cache_read_tokens},
        "output_tokens": usage.total_output_tokens,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
        "total_tokens": usage.total_tokens,
    }
