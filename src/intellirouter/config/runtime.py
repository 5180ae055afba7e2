"""The compiled configuration: frozen, checked, with secrets resolved. The data plane reads no other configuration.

A reload compiles a new Runtime and replaces one reference. Requests in flight keep the Runtime they started with.
"""

from typing import Final, Literal
from urllib.parse import urlsplit

from msgspec import Struct, field

from intellirouter.core import (
    DEFAULT_AFFINITY,
    DEFAULT_ANSWER_LIMITS,
    DEFAULT_BREAKER,
    DEFAULT_LIMITS,
    DEFAULT_MAX_ATTEMPTS,
    DEFAULT_POOL,
    DIRECT,
    SYSTEM_TRUST,
    AffinityPolicy,
    AnswerLimits,
    AuthScheme,
    BreakerPolicy,
    ClientCertificate,
    DegradationStep,
    FallbackCause,
    HedgingPolicy,
    PoolPolicy,
    Price,
    Priority,
    Proxy,
    ProxyRules,
    RequestLimits,
    RetryOrder,
    Secret,
    SlotPolicy,
    Timeouts,
    TrustFiles,
    format_authority,
)

CacheMode = Literal["off", "exact", "semantic"]

_PORTS: Final = {"http": 80, "https": 443}
_LOOPBACK_NAMES: Final = frozenset({"localhost", "::1", "[::1]"})


class ServerSpec(Struct, frozen=True, kw_only=True):
    host: str = "127.0.0.1"
    port: int = 8080
    role: str = "monolith"
    max_body_bytes: int = 32 * 1024 * 1024
    max_answer_bytes: int = DEFAULT_ANSWER_LIMITS.bytes
    max_answer_chars: int = DEFAULT_ANSWER_LIMITS.chars
    max_answer_parts: int = DEFAULT_ANSWER_LIMITS.parts
    max_answer_tool_calls: int = DEFAULT_ANSWER_LIMITS.tool_calls
    max_json_depth: int = DEFAULT_LIMITS.json_depth
    max_json_values: int = DEFAULT_LIMITS.json_values
    max_json_objects: int = DEFAULT_LIMITS.json_objects
    max_messages: int = DEFAULT_LIMITS.messages
    max_content_parts: int = DEFAULT_LIMITS.content_parts
    max_tools: int = DEFAULT_LIMITS.tools
    max_inputs: int = DEFAULT_LIMITS.inputs
    body_timeout_s: float = 60.0
    """Timeout for receiving a whole request body, or a large WebSocket message."""
    drain_s: float = 30.0
    """How long a stopping gateway waits for in-flight requests."""
    head_timeout_s: float = 30.0
    """Timeout for receiving a request head, and for the first request on a connection."""
    keep_alive_s: float = 75.0
    """How long an idle connection is kept open."""
    write_timeout_s: float = 60.0
    """How long a client may read nothing of a response before its connection is closed."""
    first_ping_s: float = 25.0
    """After which silence a stream begins with pings, before its content; 0: never."""
    stream_ping_s: float = 15.0
    """The time between the pings of a silent stream; 0: there are none, not even the first."""
    max_buffered_bytes: int = 64 * 1024 * 1024
    """Memory for request bodies and WebSocket messages that are arriving, over all connections."""
    max_buffered_answer_bytes: int = 128 * 1024 * 1024
    """Memory for large answers that are arriving or that clients have not read yet, over all requests."""
    tls_cert_file: str | None = None
    tls_key_file: str | None = None
    unix_socket: str | None = None
    """Path of a unix socket to listen on instead of host and port."""
    max_in_flight: int = 8192
    max_in_flight_bytes: int = 1024**3
    max_open_sockets: int = 8192
    """WebSockets that clients hold open."""
    socket_idle_s: float = 300.0
    socket_max_s: float = 3600.0
    """Maximum duration of a realtime session."""
    fetch_allow: tuple[str, ...] = ()
    allowed_hosts: tuple[str, ...] = ()
    cors_origins: tuple[str, ...] = ()
    """In lower case, or `*`."""
    """Hosts, addresses and networks from which URLs in requests may be fetched, in addition to the public internet."""

    def answer_limits(self) -> AnswerLimits:
        return AnswerLimits(
            bytes=self.max_answer_bytes,
            chars=self.max_answer_chars,
            parts=self.max_answer_parts,
            tool_calls=self.max_answer_tool_calls,
        )

    def request_limits(self) -> RequestLimits:
        """Return the limits on the structure of a request."""
        return RequestLimits(**{name: getattr(self, f"max_{name}") for name in RequestLimits.__struct_fields__})


class AnswersSpec(Struct, frozen=True, kw_only=True):
    names_requested_model: bool = False
    """True for `model_name: requested`: answers name the model as the client does, not as the upstream does."""


class BackoffSpec(Struct, frozen=True, kw_only=True):
    base_s: float = 1.0
    max_s: float = 30.0


class StoreSpec(Struct, frozen=True, kw_only=True):
    url: str
    """SQLAlchemy URL: `sqlite:///relative.db`, `sqlite:////absolute.db`."""
    spool_dir: str
    """Directory of exchange records that are not in the database yet. By default it is next to the database."""
    fsync_interval_s: float | None = 0.2
    """How often records are synced to disk, as protection against power loss. None leaves it to the operating system.
    A killed process loses nothing in either case."""
    log_keep_days: float = 30.0
    log_max_bytes: int = 1024 * 1024 * 1024
    """The oldest entries of the exchange log are deleted when either limit is exceeded. Ledger entries are kept."""


class BatchesSpec(Struct, frozen=True, kw_only=True):
    """Settings of batches."""

    concurrency: int = 4
    """How many lines, over all batches, are processed concurrently."""
    max_lines: int = 50_000
    max_file_bytes: int = 200 * 1024 * 1024


class FilesSpec(Struct, frozen=True, kw_only=True):
    """Settings of files."""

    max_tenant_bytes: int = 10 * 1024**3
    max_tenant_files: int = 10_000
    keep_days: float = 30.0


class ReasoningMemorySpec(Struct, frozen=True, kw_only=True):
    """Settings of the memory for reasoning."""

    enabled: bool = True
    max_entries: int = 50_000
    max_bytes: int = 64 * 1024 * 1024
    max_age_s: float = 6 * 3600.0


class SemanticSpec(Struct, frozen=True, kw_only=True):
    """How answers to similar requests are found, and how many of them must be right."""

    min_similarity: float = 0.7
    target_precision: float = 0.95
    verify_share: float = 0.05
    max_bytes: int = 64 * 1024 * 1024


class RedisSpec(Struct, frozen=True, kw_only=True):
    """The Redis or Valkey server of the response cache."""

    host: str = ""
    port: int = 6379
    uds: str | None = None
    """The socket of a server on this machine, instead of host and port."""
    is_tls: bool = False
    ca_file: str | None = None
    database: int = 0
    username: str | None = None
    password: Secret | None = None
    prefix: str = "intellirouter:"
    timeout_s: float = 0.05
    connect_timeout_s: float = 1.0

    @property
    def shown_address(self) -> str:
        """The address for messages, without a login."""
        if self.uds is not None:
            return f"Redis at unix:{self.uds}"
        return f"Redis at {format_authority(self.host, self.port)}"


class CacheSpec(Struct, frozen=True, kw_only=True):
    """Settings of the response cache."""

    default_mode: CacheMode = "off"
    tenants: dict[str, CacheMode] = {}
    """The tenants that have a setting of their own."""
    is_used: bool = False
    """Whether any requests can use the cache."""
    max_bytes: int = 256 * 1024 * 1024
    max_entry_bytes: int = 1024 * 1024
    ttl_s: dict[str, float] = {}
    """By operation."""
    stale_if_error_s: float = 0.0
    kept_stale_s: float = 0.0
    """How long expired answers are stored: as long as any model may use them."""
    join_window_s: float = 5.0
    tool_calls: bool = False
    max_temperature: float | None = None
    redis: RedisSpec | None = None
    """None: answers are stored in the memory of the process."""
    max_replay_s: float | None = None
    """How long stored streams may take at their original pace. None: they are sent at once."""
    semantic: SemanticSpec | None = None
    """None: no model has the mode `semantic`, or what it needs is not installed. Then `exact` is used instead."""

    def uses_similar(self, tenant: str, model_mode: CacheMode | None) -> bool:
        """Return whether requests may get answers to similar ones. A tenant's own setting prevents that."""
        return model_mode == "semantic" and self.semantic is not None and tenant not in self.tenants

    def applies(self, tenant: str, model_mode: CacheMode | None) -> bool:
        """Return whether a tenant's requests for a model use the cache. If model and tenant disagree, `off` wins."""
        tenant_mode = self.tenants.get(tenant)
        if model_mode == "off" or tenant_mode == "off":
            return False
        return (model_mode or tenant_mode or self.default_mode) != "off"


class HostSpec(Struct, frozen=True, kw_only=True):
    """Settings of local models."""

    cache_dir: str | None = None
    """Directory of model weights. None means the cache directory of the user."""
    run_dir: str | None = None
    """Directory of worker sockets. None means a private directory of this process."""
    context_tokens: int = 4096
    slots: int = 4
    threads: int | None = None
    """None means that it depends on the number of cores."""


class ProviderSpec(Struct, frozen=True, kw_only=True):
    name: str
    vendor: str
    base_url: str | None = None
    uds: str | None = None
    credentials: tuple[Secret, ...] = ()
    credential_references: tuple[str, ...] = ()
    """Where the credentials came from: `env:NAME`, `file:PATH` or `store:NAME`, for messages."""
    region: str | None = None
    dialect: str | None = None
    """Overrides the dialect of the vendor."""
    auth: AuthScheme | None = None
    """Overrides how the vendor expects the credential."""
    headers: tuple[tuple[str, str], ...] = ()
    ca_file: str | None = None
    client_certificate: ClientCertificate | None = None
    proxies: ProxyRules = DIRECT
    allows_any_model: bool = False
    """True for `models: "*"`: clients can call any `provider/model`."""
    is_listed: bool = False
    """Lists of models contain those that the provider offers (`models: "*"`)."""
    max_connections: int = 1024
    retries: int | None = None
    """For its deployments that do not set their own, and for wildcards."""
    marks_prompt_cache: bool = True
    """The same, for prompt-cache marks."""
    is_regional: bool = False
    """The region is a part of `base_url`, so that a deployment can have another one."""
    cache: CacheMode | None = None
    """For its deployments that do not set their own, and for wildcards."""
    timeouts: Timeouts = field(default_factory=Timeouts)

    @property
    def proxy(self) -> Proxy | None:
        """The proxy for requests to `base_url`."""
        url = urlsplit(self.base_url or "")
        if self.uds is not None or not url.hostname:
            return None
        return self.proxies.proxy_for(url.scheme, url.hostname, url.port or _PORTS.get(url.scheme, 0))


class DeploymentSpec(Struct, frozen=True, kw_only=True):
    name: str
    provider: str
    model: str
    """The name that the upstream uses for the model."""
    artifact: str | None = None
    artifact_sha256: str | None = None
    weight: float = 1.0
    region: str | None = None
    context_tokens: int | None = None
    capabilities: frozenset[str] | None = None
    price: Price | None = None
    """The configured price. None means that the price list is used."""
    timeouts: Timeouts = field(default_factory=Timeouts)
    retries: int | None = None
    breaker: BreakerPolicy = DEFAULT_BREAKER
    slots: SlotPolicy | None = None
    """How many requests are processed at the same time, and how many wait; None: there is no limit."""
    cache: CacheMode | None = None
    """For requests for the deployment itself."""
    marks_prompt_cache: bool = True


class ModelSpec(Struct, frozen=True, kw_only=True):
    name: str
    deployments: tuple[str, ...]
    """Names of deployments in order of preference. `*` and `provider/*` have been expanded."""
    fallbacks: tuple[str, ...] = ()
    fallback_causes: dict[str, frozenset[FallbackCause]] = {}
    """The causes for which a fallback is tried, for those that are not tried for all."""
    strategy: str = "priority"
    retries: int = 2
    retry_order: RetryOrder = "next_first"
    request_timeout_s: float | None = None
    """None: the sum of the total timeouts of its deployments."""
    max_attempts: int = DEFAULT_MAX_ATTEMPTS
    max_cost_microusd: int | None = None
    hedging: HedgingPolicy | None = None
    affinity: AffinityPolicy | None = DEFAULT_AFFINITY
    """None: it is off."""
    continues_streams: bool = False
    degradation: tuple[DegradationStep, ...] = ()
    pool: PoolPolicy = DEFAULT_POOL
    queue_wait_s: float | None = None
    """How long a request may wait for a slot of a deployment; None: as long as the deployment's queue allows."""
    cache: CacheMode | None = None


class KeySpec(Struct, frozen=True, kw_only=True):
    digest: bytes
    """SHA-256 of the key. The key itself is not stored."""
    tenant: str
    name: str
    """Unique within the tenant. It identifies the key in records and batches, so it does not depend on the order."""
    models: tuple[str, ...] = ("*",)
    """Glob patterns of model names."""
    grants: frozenset[str] = frozenset()
    priority: Priority = "normal"
    expires_us: int | None = None


class Runtime(Struct, frozen=True, kw_only=True):
    server: ServerSpec
    auth_required: bool | None
    """None: clients need a key if keys are configured, or if the address is not a loopback address."""
    store: StoreSpec
    providers: dict[str, ProviderSpec]
    deployments: dict[str, DeploymentSpec]
    models: dict[str, ModelSpec]
    keys: tuple[KeySpec, ...] = ()
    backoff: BackoffSpec = field(default_factory=BackoffSpec)
    default_retries: int = 2
    default_request_timeout_s: float | None = None
    default_max_attempts: int = DEFAULT_MAX_ATTEMPTS
    default_max_cost_microusd: int | None = None
    default_breaker: BreakerPolicy = DEFAULT_BREAKER
    """For deployments of wildcards."""
    default_slots: SlotPolicy | None = None
    """The same."""
    default_pool: PoolPolicy = DEFAULT_POOL
    default_affinity: AffinityPolicy | None = DEFAULT_AFFINITY
    """For requests for deployments themselves."""
    cache: CacheSpec = field(default_factory=CacheSpec)
    answers: AnswersSpec = field(default_factory=AnswersSpec)
    logs_bodies: bool = False
    log_level: str = "info"
    log_format: str = "text"
    host: HostSpec = field(default_factory=HostSpec)
    batches: BatchesSpec = field(default_factory=BatchesSpec)
    files: FilesSpec = field(default_factory=FilesSpec)
    reasoning_memory: ReasoningMemorySpec = field(default_factory=ReasoningMemorySpec)
    catalog_file: str | None = None
    """The configured price list. None means the one installed next to the database, or else the built-in one."""
    discovery_interval_s: float | None = 3600.0
    """How often the models of wildcard providers are listed; None: never."""
    environment_proxies: ProxyRules = DIRECT
    """For connections that do not lead to a provider, and for providers without a proxy of their own."""
    trust: TrustFiles = SYSTEM_TRUST
    warnings: tuple[str, ...] = ()
    """Warnings for the operator, for example about settings that have no effect in this version."""

    @property
    def is_auth_required(self) -> bool:
        if self.auth_required is not None:
            return self.auth_required
        return bool(self.keys) or not is_loopback(self.server.host)


def is_loopback(host: str) -> bool:
    """Return whether an address to listen on (a name or an IP address) is reachable from this machine only."""
    parts = host.split(".")
    is_v4 = len(parts) == 4 and all(part.isdigit() and int(part) < 256 for part in parts)
    return host.lower() in _LOOPBACK_NAMES or (is_v4 and parts[0] == "127")
