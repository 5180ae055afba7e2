"""The values of this room: what is asked for (`LocalModel`, `HostSettings`) and what is (`WorkerView`)."""

from enum import StrEnum

from msgspec import Struct, field


class LocalModel(Struct, frozen=True, kw_only=True):
    """A model to be served on this machine, by one worker process."""

    name: str
    """How the host calls it, and the model name that its worker reports."""
    artifact: str
    """`bundled:smollm2-135m`, `file:/models/x.gguf` or a plain path."""
    ctx_tokens: int = 4096
    """Shared by all slots; never more than the model was trained for."""
    slots: int = 4
    """Requests that are decoded together; more wait inside the worker."""
    threads: int | None = None
    """None: physical cores less one, at least one."""
    cache_ram_mib: int = 256
    """Upper bound of the engine's prompt cache in RAM."""
    has_embeddings: bool = True
    """Also answer `/v1/embeddings` (mean pooling, at most `EMBEDDING_INPUT_TOKENS` an input)."""


EMBEDDING_INPUT_TOKENS = 512


class Phase(StrEnum):
    """What is happening to an artifact. `waiting`: another process is fetching the same one."""

    WAITING = "waiting"
    DOWNLOADING = "downloading"
    EXTRACTING = "extracting"
    VERIFYING = "verifying"
    DONE = "done"


class ArtifactProgress(Struct, frozen=True):
    name: str
    phase: Phase
    done_bytes: int
    total_bytes: int

    @property
    def percent(self) -> int:
        return min(100, 100 * self.done_bytes // self.total_bytes) if self.total_bytes else 0

    def __str__(self) -> str:
        mib = 1024 * 1024
        return f"{self.phase} {self.name}: {self.percent} % ({self.done_bytes // mib} of {self.total_bytes // mib} MiB)"


class WorkerState(StrEnum):
    """See DESIGN.md for the transitions."""

    MISSING_ENGINE = "missing_engine"
    FETCHING = "fetching"
    LOADING = "loading"
    READY = "ready"
    BACKOFF = "backoff"
    FAILED = "failed"
    STOPPED = "stopped"


class WorkerView(Struct, frozen=True, kw_only=True):
    """One worker as it is now: for the status page, `doctor` and the router."""

    name: str
    state: WorkerState
    detail: str = ""
    """For people: progress, the reason for a restart, why it failed."""
    socket_path: str | None = None
    """Set only while `ready`; a new one after each restart."""
    pid: int | None = None
    restarts: int = 0
    """Starts after the first one."""
    percent: int | None = None
    """Of the fetch under way."""
    cold_start_ms: float | None = None
    """From spawning the process to its first token, of the latest start."""
    stderr_tail: tuple[str, ...] = ()
    """The last words of the worker that ended."""


class HostSettings(Struct, frozen=True, kw_only=True):
    """Deadlines and limits. The defaults are the product's; tests shorten them."""

    load_timeout_s: float = 60.0
    """From spawn to a healthy, warmed-up worker."""
    health_interval_s: float = 2.0
    health_timeout_s: float = 1.0
    health_misses: int = 3
    """Misses in a row after which an idle worker counts as hung."""
    busy_misses: int = 45
    """The same for a worker that visibly computes: its HTTP threads may all be taken by long answers."""
    backoff_base_s: float = 0.5
    backoff_max_s: float = 30.0
    crash_limit: int = 3
    crash_window_s: float = 300.0
    term_grace_s: float = 2.0
    """Between SIGTERM and SIGKILL."""
    fetch_timeout_s: float = 900.0
    worker_command: tuple[str, ...] = field(default_factory=tuple)
    """Program that speaks the worker protocol instead of ours; empty for the built-in engine."""
