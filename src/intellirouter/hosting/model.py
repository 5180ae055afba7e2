"""The values of this package: what to serve (`LocalModel`, `HostSettings`) and the current state (`WorkerView`)."""

from enum import StrEnum

from msgspec import Struct, field

EMBEDDING_INPUT_TOKENS = 512


class LocalModel(Struct, frozen=True, kw_only=True):
    """A model to serve on this machine, by one worker process."""

    name: str
    """The name of the model in the host."""
    upstream_model: str = ""
    """The model name that its worker reports in its answers; empty: `name`."""
    artifact: str
    """`bundled:smollm2-135m`, `file:/models/x.gguf` or a path."""
    artifact_sha256: str | None = None
    """The digest that the file must have, as 64 hex digits. None: that of a bundled file; others are not compared."""
    ctx_tokens: int = 4096
    """Context size, shared by all slots. Reduced to the context that the model was trained for."""
    slots: int = 4
    """Requests that are decoded together. Further requests wait inside the worker."""
    threads: int | None = None
    """None: the number of physical cores minus one, but at least one."""
    cache_ram_mib: int = 256
    """Upper limit of the worker's prompt cache in RAM."""
    has_embeddings: bool = True
    """Also serve `/v1/embeddings`, with mean pooling and at most `EMBEDDING_INPUT_TOKENS` tokens per input."""


class FetchPhase(StrEnum):
    """What is being done to an artifact. `waiting`: another process is fetching the same one."""

    WAITING = "waiting"
    DOWNLOADING = "downloading"
    EXTRACTING = "extracting"
    VERIFYING = "verifying"
    STORED = "stored"


class ArtifactProgress(Struct, frozen=True):
    name: str
    phase: FetchPhase
    done_bytes: int
    total_bytes: int

    @property
    def percent(self) -> int:
        return min(100, 100 * self.done_bytes // self.total_bytes) if self.total_bytes else 0

    def __str__(self) -> str:
        if self.phase is FetchPhase.WAITING:
            return f"Waiting for another process that fetches {self.name}."
        if self.phase is not FetchPhase.DOWNLOADING:
            return f"{self.phase.capitalize()} {self.name}."
        mib = 1024 * 1024
        size = f"{self.percent} % ({self.done_bytes // mib} of {self.total_bytes // mib} MiB)"
        return f"Downloading {self.name}: {size}."


class WorkerState(StrEnum):
    """See DESIGN.md for the transitions."""

    MISSING_ENGINE = "missing_engine"
    FETCHING = "fetching"
    LOADING = "loading"
    READY = "ready"
    BACKOFF = "backoff"
    DRAINING = "draining"
    FAILED = "failed"
    STOPPED = "stopped"


class WorkerView(Struct, frozen=True, kw_only=True):
    """The current state of one worker, for the status page and the router."""

    name: str
    state: WorkerState
    detail: str = ""
    """Text for people: progress, the reason of a restart, why the worker failed."""
    problem: str | None = None
    """Why requests fail at once: the weights cannot be fetched, or the worker has failed or crashes again and again."""
    socket_path: str | None = None
    """Set only while the state is `ready`. A new path after each restart."""
    pid: int | None = None
    restarts: int = 0
    """Starts after the first one."""
    crashes: int = 0
    """Crashes in a row. The delay before the next start doubles with each of them, up to a limit."""
    percent: int | None = None
    """Progress of the current fetch."""
    cold_start_ms: float | None = None
    """Time of the latest start, from spawning the process to its first token."""
    stderr_tail: tuple[str, ...] = ()
    """The last lines that the previous worker process wrote to stderr."""


class HostSettings(Struct, frozen=True, kw_only=True):
    """Timeouts and limits. Tests shorten them."""

    load_timeout_s: float = 60.0
    """From spawning the process to a healthy, warmed-up worker."""
    health_interval_s: float = 2.0
    health_timeout_s: float = 1.0
    health_misses: int = 3
    """Consecutive failed health checks after which an idle worker is considered hung."""
    busy_misses: int = 45
    """The same for a worker that uses CPU time: long responses may occupy all of its HTTP threads."""
    backoff_base_s: float = 0.5
    backoff_max_s: float = 60.0
    """The longest delay between two starts of a worker that crashes, or between two tries to fetch an artifact."""
    crash_limit: int = 3
    """Crashes in a row after which requests no longer wait for the worker. It is still started again."""
    stable_s: float = 300.0
    """A worker that has run this long has recovered from its crashes."""
    drain_timeout_s: float = 30.0
    """How long requests in flight may continue before the worker of a removed or changed model is stopped."""
    term_grace_s: float = 2.0
    """Time between SIGTERM and SIGKILL."""
    fetch_timeout_s: float = 900.0
    worker_command: tuple[str, ...] = field(default_factory=tuple)
    """A program that implements the worker protocol. Empty for the built-in worker."""
