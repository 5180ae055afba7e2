"""The settings of the response cache."""

from typing import Annotated, Final, Literal

from pydantic import Field

from intellirouter.config.section import Section
from intellirouter.config.value_types import KeyPrefix, SecretRef, Switch, Text

CacheMode = Annotated[Literal["off", "exact", "semantic"], Switch]
MIN_TTL_S: Final = 300.0
MAX_TTL_S: Final = 86_400.0
Ttl = Annotated[float, Field(ge=0, le=MAX_TTL_S)]

_TTL_TEXT: Final = "Time to live of {answers}, in seconds. With 0, they are not stored."


class CacheTtl(Section):
    """How long answers are used, in seconds, by what was requested. With 0, they are not stored."""

    chat: Ttl = Field(default=3600.0, description=_TTL_TEXT.format(answers="chat answers"))
    completions: Ttl = Field(default=3600.0, description=_TTL_TEXT.format(answers="completions"))
    embeddings: Ttl = Field(default=MAX_TTL_S, description=_TTL_TEXT.format(answers="embeddings"))
    count_tokens: Ttl = Field(default=MAX_TTL_S, description=_TTL_TEXT.format(answers="token counts"))
    moderations: Ttl = Field(default=3600.0, description=_TTL_TEXT.format(answers="moderations"))
    images: Ttl = Field(
        default=MIN_TTL_S,
        description=_TTL_TEXT.format(answers="generated images") + " URLs of images expire at the provider.",
    )
    audio: Ttl = Field(default=MAX_TTL_S, description=_TTL_TEXT.format(answers="speech and transcriptions"))
    rerank: Ttl = Field(default=MAX_TTL_S, description=_TTL_TEXT.format(answers="rankings"))


class SemanticCache(Section):
    """How answers to similar requests are found, for models whose setting `cache` is semantic."""

    min_similarity: float = Field(
        default=0.7,
        ge=0.5,
        le=1,
        description="Minimum similarity of two requests. Most differences that matter are found in their words, so a "
        "higher value finds fewer answers, and hardly more correct ones.",
    )
    target_precision: float = Field(
        default=0.95,
        ge=0.5,
        le=0.98,
        description="Minimum share of correct answers. Answers to similar requests are only used while the measured "
        "share is at least this, with a confidence of 95 %.",
    )
    verify_share: float = Field(
        default=0.05,
        gt=0,
        le=1,
        description="Share of the similar requests whose answers are requested and compared, to measure how many are "
        "correct.",
    )
    max_bytes: int = Field(
        default=64 * 1024 * 1024,
        ge=1024 * 1024,
        le=16 * 1024**3,
        description="Memory for the texts of requests and their vectors, in bytes, in addition to cache.max_bytes. If "
        "it is full, the tenant with the most bytes gives up what it has not used for the longest time.",
    )


class RedisCache(Section):
    """The Redis or Valkey server that stores answers, if `backend` is redis."""

    url: Text | None = Field(
        default=None,
        description="`redis://HOST:PORT/DATABASE`, `rediss://HOST:PORT/DATABASE` with TLS, or `unix:/path/to.sock`. A "
        "URL with a login must be a reference to the whole URL: `env:NAME`, `file:PATH` or `store:NAME`.",
    )
    username: Text | None = Field(
        default=None, description="User of the server's access control list. If not set, it is the default user."
    )
    password: SecretRef | None = Field(
        default=None,
        description="Reference to the password: `env:NAME`, `file:PATH`, or `store:NAME` for a stored credential.",
    )
    database: int | None = Field(
        default=None, ge=0, le=65_535, description="Number of the database. If not set, it is the one in the URL, or 0."
    )
    ca_file: Text | None = Field(
        default=None, description="File (PEM or DER) of additional trusted certificate authorities."
    )
    prefix: KeyPrefix = Field(
        default="intellirouter:",
        description="Beginning of all keys in the server. Gateways with the same prefix share their answers, so they "
        "must have the same tenants.",
    )
    timeout_s: float = Field(
        default=0.05,
        ge=0.001,
        le=5,
        description="How long a reply of the server may take, in seconds. After that, the request counts as a miss.",
    )
    connect_timeout_s: float = Field(
        default=1.0,
        ge=0.01,
        le=60,
        description="How long connecting may take, in seconds. Requests do not wait for it.",
    )


class Cache(Section):
    """The response cache. It is used where the setting `cache` of a model, a tenant or the defaults is not off."""

    backend: Literal["memory", "redis"] = Field(
        default="memory",
        description="Where answers are stored: in the memory of the process, or in a Redis or Valkey server that "
        "several processes share.",
    )
    redis: RedisCache = Field(default_factory=RedisCache, description="The server, if `backend` is redis.")
    max_bytes: int = Field(
        default=256 * 1024 * 1024,
        ge=1024 * 1024,
        le=64 * 1024**3,
        description="Memory for stored answers, in bytes. If it is full, the tenant with the most bytes gives up what "
        "it has not used for the longest time. Answers that are arriving take up to a quarter of it in addition. If "
        "`backend` is redis, the server limits its own memory, and only this quarter counts.",
    )
    max_entry_bytes: int = Field(
        default=1024 * 1024, ge=1024, le=1024**3, description="Maximum size of an answer that is stored, in bytes."
    )
    ttl_s: CacheTtl = Field(default_factory=CacheTtl, description="How long answers are used, in seconds.")
    stale_if_error_s: float = Field(
        default=0.0,
        ge=0,
        le=7 * 86_400,
        description="How long after its time to live an answer is used if all attempts fail, in seconds.",
    )
    join_window_s: float = Field(
        default=5.0,
        ge=0,
        le=60,
        description="How long after the start of a request identical ones share its answer, in seconds. With 0, they "
        "never do.",
    )
    tool_calls: bool = Field(
        default=False,
        description="Whether answers with tool calls are stored, and requests that offer tools are joined.",
    )
    max_temperature: float | None = Field(
        default=None,
        ge=0,
        le=2,
        description="Requests with a higher temperature do not use the cache. A request without one counts as 1. If "
        "not set, every temperature is accepted.",
    )
    replay: Literal["fast", "original"] = Field(
        default="fast",
        description="How stored streams are sent: at once, or at the pace at which the first client got them.",
    )
    max_replay_s: float = Field(
        default=30.0,
        gt=0,
        le=600,
        description="How long sending a stored stream at its original pace may take, in seconds. The pauses of longer "
        "streams are shortened.",
    )
    semantic: SemanticCache = Field(
        default_factory=SemanticCache, description="How answers to similar requests are found."
    )
