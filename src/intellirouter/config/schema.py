"""The one typed tree of settings. Descriptions here become the reference page, the JSON Schema and the forms.

Everything is optional. What is accepted but has no effect yet is reported by `compile`, not refused here.
"""

from datetime import datetime
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from intellirouter.config.values import (
    BaseUrl,
    Count,
    FoldedCase,
    Headers,
    KeyRef,
    LevelName,
    Name,
    ProviderRegion,
    PublicName,
    Retries,
    Seconds,
    SecretRef,
    Switch,
    Text,
    Usd,
)
from intellirouter.core import AuthScheme

IMPLEMENTED_STRATEGIES: Final = ("priority", "round_robin", "weighted", "least_busy", "latency", "cost")
Strategy = Literal[
    "priority",
    "round_robin",
    "weighted",
    "least_busy",
    "latency",
    "cost",
    "adaptive",
    "balanced",
    "quality",
    "throughput",
    "cascade",
]
Dialect = Literal["openai_chat", "openai_responses", "anthropic_messages", "gemini", "ollama", "bedrock"]
CacheMode = Annotated[Literal["off", "exact", "semantic"], Switch]


class Section(BaseModel):
    """Base of every section: unknown keys are errors, values are not silently converted."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False, hide_input_in_errors=True)


class Server(Section):
    """Where the gateway listens and what it takes in."""

    host: Text = Field(default="127.0.0.1", description="Address to listen on.")
    port: int = Field(default=8080, ge=0, le=65535, description="TCP port; 0 lets the system choose a free one.")
    workers: int = Field(
        default=1, ge=1, le=256, description="Number of processes. Only 1 is available in this version."
    )
    role: Literal["monolith", "router", "orchestrator", "summarizer", "rag-injector", "host"] = Field(
        default="monolith", description="Which parts this process runs. Only monolith is available in this version."
    )
    max_body_bytes: int = Field(
        default=32 * 1024 * 1024,
        ge=1024,
        le=4 * 1024**3,
        description="Largest request body that is accepted, in bytes.",
    )
    max_json_depth: int = Field(default=128, ge=8, le=1024, description="Deepest nesting of a request body.")
    body_timeout_s: Seconds = Field(default=60.0, description="How long the whole request body may take to arrive.")
    drain_s: float = Field(
        default=30.0, ge=0, le=86_400, description="How long a stopping gateway waits for requests in flight."
    )
    max_in_flight: Count = Field(default=8192, description="Requests served at once; more are refused with 503.")
    socket_idle_s: Seconds = Field(
        default=300.0, description="How long a WebSocket on which nothing happens is kept open."
    )
    socket_max_s: Seconds = Field(
        default=3600.0, description="How long a realtime session may last; what happens in it is settled at its end."
    )
    fetch_allow: list[Text] = Field(
        default_factory=list,
        description="Hosts, addresses and networks (10.0.0.0/8) beyond the public internet from which URLs in "
        "requests may be fetched.",
    )


class Auth(Section):
    """Who may call."""

    required: bool | None = Field(
        default=None,
        description="Whether a key is needed. Empty: not needed when listening on loopback only, needed otherwise.",
    )


class Store(Section):
    """Where settled requests are kept. The URL alone may stand in place of the mapping."""

    url: Text = Field(
        default="sqlite:///intellirouter.db",
        description="`sqlite:///relative.db` (from the working directory) or `sqlite:////absolute.db`.",
    )
    spool_dir: Text | None = Field(
        default=None, description="Directory of records on their way to the database. Empty: beside the database."
    )
    fsync_interval_s: float | None = Field(
        default=0.2,
        ge=0.001,
        le=3600,
        description="How often records are forced to disk, against loss of power; null leaves it to the system.",
    )
    log_keep_days: float = Field(
        default=30.0, gt=0, le=36_500, description="Request log entries older than this are deleted."
    )
    log_max_bytes: int = Field(
        default=1024**3, ge=1024**2, description="The oldest request log entries are deleted above this size, in bytes."
    )


def _url_to_store(value: Any) -> Any:
    return {"url": value} if isinstance(value, str) else value


class Catalog(Section):
    """What models cost and how much they take in, beyond what deployments state themselves."""

    file: Text | None = Field(
        default=None,
        description="A price list in place of the built-in one: in the built-in form, or as genai-prices publishes it. "
        "Empty: the one that `intellirouter catalog refresh` has installed beside the database, if there is one.",
    )


class Timeouts(Section):
    """Deadlines of one attempt, in seconds. Left out: inherited (deployment, then provider, then defaults)."""

    connect_s: Seconds | None = Field(default=None, description="To connect, TLS included. Default 5.")
    first_token_s: Seconds | None = Field(
        default=None,
        description="From the request's last byte to the first content (stream) or the headers. Default 60.",
    )
    idle_s: Seconds | None = Field(default=None, description="Between two pieces of the answer. Default 60.")
    total_s: Seconds | None = Field(default=None, description="For the whole attempt. Default 600.")


class Backoff(Section):
    """How long to wait between retries: exponential with full jitter."""

    base_s: Seconds = Field(default=1.0, description="The first wait, at most.")
    max_s: Seconds = Field(default=30.0, description="The longest wait.")


class Defaults(Section):
    """What providers, deployments and models inherit."""

    retries: Retries = Field(default=2, description="Further attempts after the first one failed.")
    cache: CacheMode = Field(default="off", description="Answer cache. Only off is available in this version.")
    timeouts: Timeouts = Field(default_factory=Timeouts, description="Deadlines of one attempt.")
    backoff: Backoff = Field(default_factory=Backoff, description="Waits between retries.")


class Provider(Section):
    """A vendor or an endpoint, with its credentials. The key is its name."""

    vendor: Text = Field(description="Which kind of upstream: openai, groq, ollama, openai-compatible, host, …")
    base_url: BaseUrl | None = Field(
        default=None,
        description="http(s)://host:port/prefix, or unix:/path/to.sock[:/prefix]. Empty: the vendor's own.",
    )
    region: ProviderRegion | None = Field(
        default=None, description="The vendor's region, where its address or its signature needs one: us-east-1."
    )
    dialect: Dialect | None = Field(
        default=None, description="What the endpoint speaks. Empty: what the vendor's own endpoint does."
    )
    auth: AuthScheme | None = Field(
        default=None,
        description="How the credential is presented: as a bearer token, in a header of that name, by AWS's "
        "signature (sigv4) or Google's tokens (gcp). Empty: as the vendor asks.",
    )
    credential: SecretRef | None = Field(
        default=None,
        description="Reference to the credential: env:NAME, file:PATH or store:NAME. "
        "Empty: the vendor's usual variable.",
    )
    credentials: list[SecretRef] | None = Field(
        default=None, description="Several references, used in turn. An empty list says that none is needed."
    )
    headers: Headers = Field(default_factory=dict, description="Fixed extra headers (never credentials).")
    ca_file: Text | None = Field(default=None, description="PEM file of additional trusted certificate authorities.")
    models: Literal["*"] | None = Field(
        default=None, description='`"*"`: every model of the provider is callable as provider/model.'
    )
    max_connections: int = Field(default=1024, ge=1, le=65_536, description="Connections kept to it at once.")
    retries: Retries | None = Field(default=None, description="Overrides defaults.retries.")
    cache: CacheMode | None = Field(default=None, description="Overrides defaults.cache.")
    timeouts: Timeouts = Field(default_factory=Timeouts, description="Overrides defaults.timeouts.")


class Price(Section):
    """US dollars per million tokens."""

    input_per_1m_usd: Usd = Field(description="Prompt tokens.")
    output_per_1m_usd: Usd = Field(description="Completion tokens, reasoning included.")
    cache_read_per_1m_usd: Usd | None = Field(default=None, description="Prompt tokens read from the provider's cache.")
    cache_write_per_1m_usd: Usd | None = Field(
        default=None, description="Prompt tokens written to the provider's cache."
    )
    input_audio_per_1m_usd: Usd | None = Field(default=None, description="Audio prompt tokens.")
    output_audio_per_1m_usd: Usd | None = Field(default=None, description="Audio completion tokens.")


class DeploymentEntry(Section):
    """One concrete upstream choice. The key is its name; it is callable by it and as provider/model."""

    provider: Text = Field(description="Name of an entry under providers.")
    model: Text | None = Field(default=None, description="The provider's own name of the model.")
    artifact: Text | None = Field(
        default=None, description="For vendor host: the weights, bundled:NAME or the path of a GGUF file."
    )
    weight: float = Field(default=1.0, gt=0, le=1_000_000, description="Share of the traffic under strategy weighted.")
    region: Text | None = Field(default=None, description="Where it runs.")
    context_tokens: Count | None = Field(default=None, description="Context window. Empty: from the catalog.")
    capabilities: list[Text] | None = Field(
        default=None, description="What it can do: chat, tools, vision, json_schema, … Empty: from the catalog."
    )
    price: Price | None = Field(default=None, description="What it charges. Empty: from the catalog.")
    retries: Retries | None = Field(
        default=None, description="Overrides the provider's, the model's and the default number."
    )
    cache: CacheMode | None = Field(default=None, description="Overrides defaults.cache.")
    timeouts: Timeouts = Field(default_factory=Timeouts, description="Overrides the provider's deadlines.")


class ModelEntry(Section):
    """What clients may ask for. The key is the public name."""

    deployments: list[Text] = Field(
        min_length=1,
        description='In order of preference: deployments, provider/model, "provider/*", or "*" for all in file order.',
    )
    strategy: Strategy = Field(default="priority", description="How the order of attempts is decided.")
    fallbacks: list[Text] = Field(default_factory=list, description="Tried when all of deployments have failed.")
    retries: Retries | None = Field(default=None, description="Overrides defaults.retries.")
    cache: CacheMode | None = Field(default=None, description="Overrides defaults.cache.")
    timeouts: Timeouts = Field(default_factory=Timeouts, description="Not applied in this version.")
    target_quality: float | None = Field(default=None, ge=0, le=1, description="Not applied in this version.")


class Budget(Section):
    """What a tenant may spend. Not enforced in this version."""

    usd: Usd = Field(description="Amount per window.")
    window: Literal["hour", "day", "week", "month", "quarter", "year"] = Field(
        default="month", description="Calendar window."
    )
    alert: float = Field(default=0.8, ge=0, le=100, description="Share of the amount at which an alert is raised.")
    soft: float = Field(default=1.0, ge=0, le=100, description="Share at which cheaper models are used.")
    hard: float = Field(default=1.2, ge=0, le=100, description="Share at which requests are refused.")


class Tenant(Section):
    """Who pays. The key is the name; the tenant `default` always exists."""

    tier: Text | None = Field(default=None, description="free, pro, expert, master, … Not enforced in this version.")
    budget: Budget | None = Field(default=None, description="Not enforced in this version.")


class Limits(Section):
    """What a key may do. Not enforced in this version."""

    requests_per_min: Count | None = Field(default=None, description="Requests per minute.")
    requests_per_day: Count | None = Field(default=None, description="Requests per day.")
    tokens_per_min: Count | None = Field(default=None, description="Tokens per minute.")
    concurrency: Count | None = Field(default=None, description="Requests at once.")


class Key(Section):
    """A key that clients send as `Authorization: Bearer KEY`."""

    key: KeyRef = Field(
        description="Reference env:NAME, file:PATH or store:NAME, or the key's digest: sha256: and 64 hex digits."
    )
    tenant: Name = Field(default="default", description="Name of an entry under tenants.")
    name: Text | None = Field(default=None, description="For people and the log. Empty: key-1, key-2, …")
    models: list[Text] = Field(
        default_factory=lambda: ["*"], description="Patterns over the models it may use. Left out: all."
    )
    grants: list[Literal["admin"]] = Field(default_factory=list, description="Permissions beyond calling models.")
    expires: datetime | None = Field(
        default=None, strict=False, description="Refused from then on. A time without a zone is UTC."
    )
    limits: Limits | None = Field(default=None, description="Not enforced in this version.")


class Logging(Section):
    """What is written to standard error, and what is kept of requests."""

    level: Annotated[Literal["debug", "info", "warning", "error", "critical"], LevelName] = Field(
        default="info", description="Least important entries that are written."
    )
    format: Annotated[Literal["text", "json"], FoldedCase] = Field(
        default="text", description="For people or for machines."
    )
    bodies: Annotated[Literal["off", "full"], Switch] = Field(
        default="off", description="full keeps prompts and answers in the request log."
    )


class Host(Section):
    """Local models (providers of vendor host)."""

    cache_dir: Text | None = Field(
        default=None, description="Where weights are kept. Empty: the user's cache directory."
    )
    run_dir: Text | None = Field(
        default=None, description="Where worker sockets are created. Empty: a private directory."
    )
    context_tokens: int = Field(
        default=4096, ge=256, le=1_048_576, description="Context window of a worker, all slots together."
    )
    slots: int = Field(default=4, ge=1, le=64, description="Requests that one worker answers at once.")
    threads: int | None = Field(
        default=None, ge=1, le=1024, description="CPU threads of a worker. Empty: chosen by cores."
    )


class Batches(Section):
    """Batches, which the gateway runs itself."""

    concurrency: int = Field(default=4, ge=1, le=1024, description="Lines of all batches that are answered at once.")
    max_lines: int = Field(default=50_000, ge=1, le=1_000_000, description="Most lines of one batch.")
    max_file_bytes: int = Field(
        default=200 * 1024**2,
        ge=1024,
        le=1024**3,
        description="Largest input file of a batch, in bytes. server.max_body_bytes bounds every upload.",
    )


StoreField = Annotated[Store, BeforeValidator(_url_to_store, json_schema_input_type=str | Store)]


class Config(Section):
    """The whole configuration file."""

    server: Server = Field(default_factory=Server, description="Where the gateway listens.")
    auth: Auth = Field(default_factory=Auth, description="Who may call.")
    store: StoreField = Field(default_factory=Store, description="Where settled requests are kept: a URL or a mapping.")
    shared_state: Text = Field(
        default="memory", description="Where limits and health are shared. Only memory is available in this version."
    )
    defaults: Defaults = Field(default_factory=Defaults, description="What the rest inherits.")
    providers: dict[Name, Provider] = Field(default_factory=dict, description="Vendors and endpoints, by name.")
    deployments: dict[PublicName, DeploymentEntry] = Field(
        default_factory=dict, description="Concrete upstream choices, by name."
    )
    models: dict[PublicName, ModelEntry] = Field(default_factory=dict, description="What clients may ask for, by name.")
    tenants: dict[Name, Tenant] = Field(default_factory=dict, description="Who pays, by name.")
    keys: list[Key] = Field(default_factory=list, max_length=10_000, description="Keys that clients send.")
    catalog: Catalog = Field(default_factory=Catalog, description="Prices and context windows.")
    logging: Logging = Field(default_factory=Logging, description="What is written and kept.")
    host: Host = Field(default_factory=Host, description="Local models.")
    batches: Batches = Field(default_factory=Batches, description="How batches run.")


def config_schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of the configuration file, for editors and checks."""
    schema = Config.model_json_schema()
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": "IntelliRouter configuration"}
