"""Settings of a model: a name that clients can call."""

from pydantic import Field

from intellirouter.config.affinity_section import Affinity, AffinityField
from intellirouter.config.attempts_section import (
    CONTINUATION_TEXT,
    HEDGING_TEXT,
    ContinuationMode,
    FallbackField,
    Hedging,
    MaxAttempts,
    MaxCost,
)
from intellirouter.config.breaker_section import Breaker, BreakerField, Pool
from intellirouter.config.cache_section import CacheMode
from intellirouter.config.concurrency_section import ModelQueue
from intellirouter.config.degradation_section import DEGRADATION_TEXT, DegradationStep
from intellirouter.config.section import Section
from intellirouter.config.timeouts_section import Timeouts
from intellirouter.config.value_types import Retries, Seconds, Text
from intellirouter.core import RetryOrder


class ModelEntry(Section):
    """A name that clients can call, backed by one or more deployments."""

    deployments: list[Text] = Field(
        min_length=1,
        description='Deployments in order of preference: names, provider/model, "provider/*", or "*" for all '
        "deployments in the order of the file.",
    )
    strategy: Text = Field(
        default="priority",
        description="How the deployments are ordered for each request: priority, round_robin, weighted, least_busy, "
        "power_of_two, "
        "latency or cost.",
    )
    fallbacks: list[FallbackField] = Field(
        default_factory=list,
        description="Deployments to try after all entries of deployments have failed: names, or entries with the "
        "causes for which they are tried.",
    )
    retries: Retries | None = Field(default=None, description="Overrides defaults.retries.")
    retry_order: RetryOrder | None = Field(default=None, description="Overrides defaults.retry_order.")
    request_timeout_s: Seconds | None = Field(default=None, description="Overrides defaults.request_timeout_s.")
    max_attempts: MaxAttempts | None = Field(default=None, description="Overrides defaults.max_attempts.")
    max_cost_usd: MaxCost | None = Field(default=None, description="Overrides defaults.max_cost_usd.")
    degradation: list[DegradationStep] = Field(default_factory=list, max_length=10, description=DEGRADATION_TEXT)
    hedging: Hedging | None = Field(default=None, description=HEDGING_TEXT)
    continuation: ContinuationMode = Field(default="off", description=CONTINUATION_TEXT)
    breaker: BreakerField = Field(default_factory=Breaker, description="Overrides defaults.breaker.")
    pool: Pool = Field(default_factory=Pool, description="Overrides defaults.pool.")
    queue: ModelQueue = Field(default_factory=ModelQueue, description="Requests that wait for a deployment.")
    affinity: AffinityField = Field(default_factory=Affinity, description="Overrides defaults.affinity.")
    cache: CacheMode | None = Field(
        default=None,
        description="Overrides defaults.cache. If the tenant has another setting, off wins. With semantic, requests "
        "also get the answers to similar requests of the same tenant, unless the tenant has a setting of its own.",
    )
    timeouts: Timeouts = Field(default_factory=Timeouts, description="Has no effect in this version.")
    target_quality: float | None = Field(default=None, ge=0, le=1, description="Has no effect in this version.")
