"""The compiled configuration: frozen, cross-checked, secrets resolved. The data plane reads nothing else.

A reload compiles a new Runtime and swaps one reference; requests under way keep the one they began with.
"""

from msgspec import Struct, field

from intellirouter.core import AuthScheme, Price, Secret, Timeouts


class ServerSpec(Struct, frozen=True, kw_only=True):
    host: str = "127.0.0.1"
    port: int = 8080
    role: str = "monolith"
    max_body_bytes: int = 32 * 1024 * 1024
    max_json_depth: int = 128
    body_timeout_s: float = 60.0
    """For the whole request body to arrive."""
    drain_s: float = 30.0
    """How long a stopping gateway waits for requests in flight."""
    max_in_flight: int = 8192
    socket_idle_s: float = 300.0
    socket_max_s: float = 3600.0
    """Of a realtime session."""
    fetch_allow: tuple[str, ...] = ()
    """Hosts, addresses and networks beyond the public internet from which URLs in requests may be fetched."""


class BackoffSpec(Struct, frozen=True, kw_only=True):
    base_s: float = 1.0
    max_s: float = 30.0


class StoreSpec(Struct, frozen=True, kw_only=True):
    url: str
    """SQLAlchemy URL: `sqlite:///relative.db`, `sqlite:////absolute.db`."""
    spool_dir: str
    """Where unsettled exchange records wait: beside the database by default."""
    fsync_interval_s: float | None = 0.2
    """Group commit for loss of power; None leaves it to the operating system. kill -9 loses nothing either way."""
    log_keep_days: float = 30.0
    log_max_bytes: int = 1024 * 1024 * 1024
    """Exchange log entries beyond either limit are deleted, oldest first. Ledger entries are kept."""


class BatchesSpec(Struct, frozen=True, kw_only=True):
    """How batches run."""

    concurrency: int = 4
    """Lines of all batches that are answered at once."""
    max_lines: int = 50_000
    max_file_bytes: int = 200 * 1024 * 1024


class HostSpec(Struct, frozen=True, kw_only=True):
    """How local models run."""

    cache_dir: str | None = None
    """Where weights are kept; None: the user's cache directory."""
    run_dir: str | None = None
    """Where worker sockets are created; None: a private directory of this process."""
    context_tokens: int = 4096
    slots: int = 4
    threads: int | None = None
    """None: chosen by the number of cores."""


class ProviderSpec(Struct, frozen=True, kw_only=True):
    name: str
    vendor: str
    base_url: str | None = None
    uds: str | None = None
    credentials: tuple[Secret, ...] = ()
    region: str | None = None
    dialect: str | None = None
    """Overrides what the vendor's own endpoint speaks."""
    auth: AuthScheme | None = None
    """Overrides how the vendor's own endpoint wants the credential."""
    headers: tuple[tuple[str, str], ...] = ()
    ca_file: str | None = None
    allows_any_model: bool = False
    """`models: "*"`: `provider/<anything>` is callable."""
    max_connections: int = 1024
    timeouts: Timeouts = field(default_factory=Timeouts)


class DeploymentSpec(Struct, frozen=True, kw_only=True):
    name: str
    provider: str
    model: str
    """The upstream's own name for it."""
    artifact: str | None = None
    weight: float = 1.0
    region: str | None = None
    context_tokens: int | None = None
    capabilities: frozenset[str] | None = None
    price: Price | None = None
    """Stated in the configuration; otherwise the catalog is asked."""
    timeouts: Timeouts = field(default_factory=Timeouts)
    retries: int | None = None


class ModelSpec(Struct, frozen=True, kw_only=True):
    name: str
    deployments: tuple[str, ...]
    """In order of preference. Names of deployments; `*` and `provider/*` were expanded at compile time."""
    fallbacks: tuple[str, ...] = ()
    strategy: str = "priority"
    retries: int = 2


class KeySpec(Struct, frozen=True, kw_only=True):
    digest: bytes
    """SHA-256 of the key; the key itself is not kept."""
    tenant: str
    name: str
    models: tuple[str, ...] = ("*",)
    """Globs over public model names."""
    grants: frozenset[str] = frozenset()
    expires_us: int | None = None


class Runtime(Struct, frozen=True, kw_only=True):
    server: ServerSpec
    is_auth_required: bool
    store: StoreSpec
    providers: dict[str, ProviderSpec]
    deployments: dict[str, DeploymentSpec]
    models: dict[str, ModelSpec]
    keys: tuple[KeySpec, ...] = ()
    backoff: BackoffSpec = field(default_factory=BackoffSpec)
    default_retries: int = 2
    logs_bodies: bool = False
    log_level: str = "info"
    log_format: str = "text"
    host: HostSpec = field(default_factory=HostSpec)
    batches: BatchesSpec = field(default_factory=BatchesSpec)
    catalog_file: str | None = None
    """None: the list that is installed beside the database, or else the built-in one."""
    warnings: tuple[str, ...] = ()
    """Settings that were accepted but have no effect in this version, in words for the operator."""
