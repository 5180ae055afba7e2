"""The tree of settings. The descriptions become the reference page and the JSON Schema.

Every setting is optional unless it has no default. Settings that are valid but have no effect yet are reported by
`feature_support`.
"""

from typing import Annotated, Any, Literal

from pydantic import Field, PrivateAttr

from intellirouter.config.affinity_section import AFFINITY_TEXT, DefaultAffinity, DefaultAffinityField
from intellirouter.config.answers_section import Answers
from intellirouter.config.attempts_section import (
    MAX_ATTEMPTS_TEXT,
    MAX_COST_TEXT,
    Backoff,
    MaxAttempts,
    MaxCost,
)
from intellirouter.config.breaker_section import (
    Breaker,
    BreakerField,
    DefaultBreaker,
    DefaultBreakerField,
    DefaultPool,
)
from intellirouter.config.cache_section import Cache, CacheMode
from intellirouter.config.concurrency_section import (
    Concurrency,
    ConcurrencyField,
    DefaultConcurrency,
    DefaultConcurrencyField,
    DefaultQueue,
    Queue,
)
from intellirouter.config.files_section import Files
from intellirouter.config.host_section import Batches, Host
from intellirouter.config.model_section import ModelEntry
from intellirouter.config.reasoning_memory_section import ReasoningMemory
from intellirouter.config.section import Section
from intellirouter.config.server_section import Server
from intellirouter.config.store_section import Store, StoreField
from intellirouter.config.tenants_section import Key, Tenant
from intellirouter.config.timeouts_section import DefaultTimeouts, Timeouts
from intellirouter.config.value_types import (
    BaseUrl,
    Count,
    FoldedCase,
    Headers,
    LevelName,
    Name,
    ProviderRegion,
    ProxySetting,
    PublicName,
    Retries,
    Seconds,
    SecretRef,
    Sha256,
    Switch,
    Text,
    Usd,
)
from intellirouter.core import DEFAULT_MAX_ATTEMPTS, AuthScheme, RetryOrder

Dialect = Literal["openai_chat", "openai_responses", "anthropic_messages", "gemini", "ollama", "bedrock"]
PromptCache = Annotated[Literal["auto", "off"], Switch]


class Auth(Section):
    """Authentication of clients."""

    required: bool | None = Field(
        default=None,
        description="Whether clients need a key. If not set, a key is required if `keys` is not empty, or if the "
        "gateway does not listen on a loopback address only. If no key is required, keys do not restrict models.",
    )


class Catalog(Section):
    """Prices and context windows of models, for deployments that do not set their own."""

    file: Text | None = Field(
        default=None,
        description="Price list to use instead of the built-in one, in the built-in format or in the format that "
        "genai-prices publishes. If not set, the list that `intellirouter catalog refresh` has installed next to the "
        "database is used, if there is one.",
    )
    discovery_interval_s: float | None = Field(
        default=3600.0,
        ge=1,
        le=31_536_000,
        description='How often the models of providers with `models: "*"` are listed, in seconds. The lists of models '
        "for clients contain them. With null they are never listed.",
    )


class Defaults(Section):
    """Defaults for providers, deployments and models."""

    retries: Retries = Field(default=2, description="Number of retries after a failed attempt.")
    retry_order: RetryOrder = Field(
        default="next_first",
        description="What is tried first after a failure, if a model has several deployments. With next_first, all of "
        "them are tried once, at once, before any is retried. With same_first, each one is retried up to `retries` "
        "times, with back-off, before the next one is tried. Fallbacks are tried after both.",
    )
    cache: CacheMode = Field(
        default="off",
        description="Whether answers are stored and used again, and identical requests in flight are joined: off or "
        "exact. Models can also have semantic. The section `cache` has the details.",
    )
    prompt_cache: PromptCache = Field(
        default="auto",
        description="Whether requests get marks for the provider's prompt cache, if it needs them (Anthropic, Bedrock) "
        "and the client has set none. With auto, requests that are translated to another dialect get them where they "
        "are likely to save money. Requests that are relayed in the client's dialect never get any.",
    )
    timeouts: DefaultTimeouts = Field(default_factory=DefaultTimeouts, description="Timeouts of one attempt.")
    request_timeout_s: Seconds | None = Field(
        default=None,
        description="Timeout of a request over all attempts and delays, until its answer begins (stream) or is "
        "complete. The default is the sum of `timeouts.total_s` of the model's deployments. If it is shorter, an "
        "attempt may use at most half of the time that is left, as long as other deployments have not been tried.",
    )
    max_attempts: MaxAttempts = Field(default=DEFAULT_MAX_ATTEMPTS, description=MAX_ATTEMPTS_TEXT)
    max_cost_usd: MaxCost | None = Field(default=None, description=MAX_COST_TEXT)
    backoff: Backoff = Field(default_factory=Backoff, description="Delay between retries.")
    breaker: DefaultBreakerField = Field(
        default_factory=DefaultBreaker, description="Circuit breakers: a mapping, or off."
    )
    pool: DefaultPool = Field(
        default_factory=DefaultPool, description="What happens when deployments of a model are unavailable."
    )
    concurrency: DefaultConcurrencyField = Field(
        default_factory=DefaultConcurrency, description="Limit of the requests in flight of each deployment, or off."
    )
    queue: DefaultQueue = Field(default_factory=DefaultQueue, description="Requests that wait for a deployment.")
    affinity: DefaultAffinityField = Field(default_factory=DefaultAffinity, description=AFFINITY_TEXT)


class Provider(Section):
    """A vendor's service or another endpoint, with its credentials."""

    vendor: Text = Field(description="Kind of upstream: openai, groq, ollama, openai-compatible, host and others.")
    base_url: BaseUrl | None = Field(
        default=None,
        description="Base URL: http(s)://host:port/prefix, or unix:/path/to.sock[:/prefix] for a Unix socket. If not "
        "set, the vendor's own URL is used.",
    )
    region: ProviderRegion | None = Field(
        default=None,
        description="Region of the vendor, such as us-east-1, if its URL or its signature requires one.",
    )
    dialect: Dialect | None = Field(
        default=None, description="Dialect of the endpoint. If not set, it is the vendor's dialect."
    )
    auth: AuthScheme | None = Field(
        default=None,
        description="How the credential is sent: as a bearer token, in the header with that name, as an AWS signature "
        "(sigv4) or as a Google token (gcp). If not set, it depends on the vendor.",
    )
    credential: SecretRef | None = Field(
        default=None,
        description="Reference to the credential: env:NAME, file:PATH or store:NAME. If not set, the vendor's usual "
        "environment variable is used.",
    )
    credentials: list[SecretRef] | None = Field(
        default=None,
        description="References to several credentials, which are used in rotation. An empty list means that the "
        "endpoint requires no credential.",
    )
    headers: Headers = Field(
        default_factory=dict, description="Additional headers of every request. They must not contain credentials."
    )
    proxy: ProxySetting | None = Field(
        default=None,
        description="HTTP proxy for all connections to the provider: http[s]://[USER:PASSWORD@]HOST:PORT, or a "
        "reference to such a URL (env:NAME, file:PATH or store:NAME). With none, connections are direct. If not set, "
        "HTTPS_PROXY, HTTP_PROXY, ALL_PROXY and NO_PROXY decide.",
    )
    ca_file: Text | None = Field(
        default=None, description="File (PEM or DER) of additional trusted certificate authorities."
    )
    client_cert_file: Text | None = Field(
        default=None,
        description="Certificate chain (PEM or DER) with which the gateway identifies itself to the provider (mTLS). A "
        "reload reads it again.",
    )
    client_key_file: Text | None = Field(
        default=None,
        description="Private key (PEM or DER) of the client certificate, if it is not in the same file.",
    )
    client_key_password: SecretRef | None = Field(
        default=None, description="Reference to the password of the private key: env:NAME, file:PATH or store:NAME."
    )
    models: Literal["*"] | None = Field(
        default=None, description='With `"*"`, clients can call every model of the provider as provider/model.'
    )
    max_connections: int = Field(
        default=1024, ge=1, le=65_536, description="Maximum number of concurrent connections to the provider."
    )
    retries: Retries | None = Field(
        default=None, description="Overrides defaults.retries for requests for its deployments, not for models."
    )
    cache: CacheMode | None = Field(
        default=None, description="Overrides defaults.cache for requests for its deployments, not for models."
    )
    prompt_cache: PromptCache | None = Field(default=None, description="Overrides defaults.prompt_cache.")
    timeouts: Timeouts = Field(default_factory=Timeouts, description="Overrides defaults.timeouts.")


class Price(Section):
    """Price of a deployment, in US dollars per million tokens."""

    input_per_1m_usd: Usd = Field(description="Price of input tokens.")
    output_per_1m_usd: Usd = Field(description="Price of output tokens, including reasoning tokens.")
    cache_read_per_1m_usd: Usd | None = Field(
        default=None, description="Price of input tokens that are read from the provider's prompt cache."
    )
    cache_write_per_1m_usd: Usd | None = Field(
        default=None, description="Price of input tokens that are written to the provider's prompt cache."
    )
    cache_write_1h_per_1m_usd: Usd | None = Field(
        default=None,
        description="Price of input tokens that are written to the provider's prompt cache for an hour. If not set, it "
        "is twice the price of input tokens.",
    )
    input_audio_per_1m_usd: Usd | None = Field(default=None, description="Price of audio input tokens.")
    output_audio_per_1m_usd: Usd | None = Field(default=None, description="Price of audio output tokens.")
    input_image_per_1m_usd: Usd | None = Field(
        default=None, description="Price of image input tokens, if the provider reports them."
    )
    output_image_per_1m_usd: Usd | None = Field(
        default=None, description="Price of image output tokens, if the provider reports them."
    )


class DeploymentEntry(Section):
    """A model of a provider. Clients can call it by its name and as provider/model."""

    provider: Text = Field(description="Name of an entry under providers.")
    model: Text | None = Field(default=None, description="The provider's name of the model.")
    artifact: Text | None = Field(
        default=None,
        description="Model weights, for providers of the vendor host: bundled:NAME or the path of a GGUF file.",
    )
    artifact_sha256: Sha256 | None = Field(
        default=None,
        description="The SHA-256 that the artifact must have, as 64 hexadecimal digits. It is compared before the "
        "model is loaded. Bundled models are always compared with their own.",
    )
    weight: float = Field(
        default=1.0,
        gt=0,
        le=1_000_000,
        description="Share of the requests with the strategies weighted, least_busy and power_of_two.",
    )
    region: Text | None = Field(
        default=None,
        description="Region whose endpoint is called, for vendors whose URL contains the region (bedrock). If not set, "
        "it is the region of the provider. Has no effect for other vendors.",
    )
    context_tokens: Count | None = Field(
        default=None,
        description="Context window in tokens. If not set, it is taken from the price list; for a local "
        "model, it is host.context_tokens.",
    )
    capabilities: list[Text] | None = Field(
        default=None,
        description="What the model supports: chat, embeddings, tools, json_schema, vision, audio, video, files. If "
        "not set, it is taken from the price list, or else every request is accepted.",
    )
    price: Price | None = Field(
        default=None, description="Price of the model. If not set, it is taken from the price list."
    )
    retries: Retries | None = Field(
        default=None,
        description="Number of retries of requests for the deployment itself, by its name or as provider/model. "
        "Overrides those of the provider. Requests for a model have the number of the model.",
    )
    cache: CacheMode | None = Field(
        default=None,
        description="Overrides the setting of the provider, for requests for the deployment itself, by its name or as "
        "provider/model.",
    )
    prompt_cache: PromptCache | None = Field(
        default=None, description="Overrides that of the provider, and defaults.prompt_cache."
    )
    timeouts: Timeouts = Field(default_factory=Timeouts, description="Overrides the timeouts of the provider.")
    breaker: BreakerField = Field(default_factory=Breaker, description="Overrides the circuit breaker of the model.")
    concurrency: ConcurrencyField = Field(default_factory=Concurrency, description="Overrides defaults.concurrency.")
    queue: Queue = Field(default_factory=Queue, description="Overrides defaults.queue.")


class Logging(Section):
    """The log on standard error, and the content of the request log."""

    level: Annotated[Literal["debug", "info", "warning", "error", "critical"], LevelName] = Field(
        default="info", description="Minimum level of log messages."
    )
    format: Annotated[Literal["text", "json"], FoldedCase] = Field(
        default="text", description="Format of log messages: text for people, json for machines."
    )
    bodies: Annotated[Literal["off", "full"], Switch] = Field(
        default="off",
        description="With full, the request log also contains prompts and responses, but not those of realtime "
        "sessions.",
    )


class Config(Section):
    """The whole configuration."""

    server: Server = Field(default_factory=Server, description="Address and limits of the server.")
    auth: Auth = Field(default_factory=Auth, description="Authentication of clients.")
    store: StoreField = Field(default_factory=Store, description="Database of completed requests: a URL or a mapping.")
    shared_state: Text = Field(
        default="memory",
        description="Where limits and health are shared between processes. Only memory is available in this version.",
    )
    defaults: Defaults = Field(default_factory=Defaults, description="Defaults for providers, deployments and models.")
    providers: dict[Name, Provider] = Field(default_factory=dict, description="Vendors and other endpoints, by name.")
    deployments: dict[PublicName, DeploymentEntry] = Field(
        default_factory=dict, description="Models of providers, by name."
    )
    models: dict[PublicName, ModelEntry] = Field(default_factory=dict, description="Models that clients call, by name.")
    tenants: dict[Name, Tenant] = Field(default_factory=dict, description="Owners of keys and budgets, by name.")
    keys: list[Key] = Field(default_factory=list, max_length=10_000, description="Keys of clients.")
    catalog: Catalog = Field(default_factory=Catalog, description="Prices and context windows of models.")
    cache: Cache = Field(default_factory=Cache, description="The response cache.")
    answers: Answers = Field(default_factory=Answers, description="The answers that clients receive.")
    logging: Logging = Field(default_factory=Logging, description="Log messages and the content of the request log.")
    host: Host = Field(default_factory=Host, description="Local models.")
    batches: Batches = Field(default_factory=Batches, description="Batches.")
    files: Files = Field(default_factory=Files, description="Files of clients.")
    reasoning_memory: ReasoningMemory = Field(
        default_factory=ReasoningMemory, description="Reasoning that clients do not send back."
    )
    _invalid: set[tuple[str | int, ...]] = PrivateAttr(default_factory=set)

    def is_invalid(self, *path: str | int) -> bool:
        """Return whether the setting, or a section that contains it, is invalid: it was removed or replaced."""
        return bool(self._invalid) and any(path[:length] in self._invalid for length in range(1, len(path) + 1))


def invalid_settings_of(config: Config) -> set[tuple[str | int, ...]]:
    """Return the paths of the invalid settings that a configuration had, to be extended."""
    return config._invalid  # noqa: SLF001 - an attribute without underscore would be a setting


def config_schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of the configuration file, for editors and validators."""
    schema = Config.model_json_schema()
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": "IntelliRouter configuration"}
