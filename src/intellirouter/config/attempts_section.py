"""Settings of the attempts of a request, for `defaults` and for models."""

from collections.abc import Sequence
from typing import Annotated, Any, Final, Literal

from pydantic import BeforeValidator, Field

from intellirouter.config.section import Section
from intellirouter.config.value_types import Seconds, Switch, Text, Usd
from intellirouter.core import FallbackCause, HedgingPolicy

MaxAttempts = Annotated[int, Field(ge=1, le=100)]
MAX_ATTEMPTS_TEXT: Final = (
    "Limit of the attempts of a request over all deployments. Attempts of all kinds count: retries, fallbacks, and "
    "attempts with another credential or over a new connection."
)
ContinuationMode = Annotated[Literal["off", "prefill"], Switch]
CONTINUATION_TEXT: Final = (
    "What happens to a stream that breaks off after its first content. With off, it ends with an error event. With "
    "prefill, another deployment is asked for the rest, with the text so far as the beginning of its answer, if the "
    "answer consists of text only."
)
MaxCost = Annotated[Usd, Field(gt=0)]
MAX_COST_TEXT: Final = (
    "When the attempts of a request whose answers could not be used have cost this much, in US dollars, no further "
    "attempt is made. Costs that the provider has not reported are estimated. There is no limit unless set."
)
HEDGING_TEXT: Final = (
    "Calls the next deployment of the model in addition, if the first one has sent no content after some time. The "
    "first one that answers is used, and the other one is canceled. Off unless set."
)


class Fallback(Section):
    """A deployment that is tried after the others have failed, always or for some causes only."""

    deployment: Text = Field(description='A deployment, provider/model, "provider/*", or "*".')
    on: list[FallbackCause] = Field(
        default_factory=list,
        description="Causes for which it is tried: error, timeout, rate_limit, credential (refused, or out of quota), "
        "context_length, content_policy, unavailable (open circuits), unsupported (no other deployment can serve the "
        "request). It is tried if one attempt of the request had one of them. Default: all.",
    )


def _expand_name(value: Any) -> Any:
    return {"deployment": value} if isinstance(value, str) else value


def causes_of(entries: Sequence[Fallback], expanded: Sequence[Sequence[str]]) -> dict[str, frozenset[FallbackCause]]:
    """Return the causes of the deployments that are not tried for all causes. `expanded`: the names for each entry."""
    limited: dict[str, frozenset[FallbackCause]] = {}
    always: set[str] = set()
    for entry, names in zip(entries, expanded, strict=True):
        if not entry.on:
            always.update(names)
        for name in names:
            limited[name] = limited.get(name, frozenset()) | frozenset(entry.on)
    return {name: causes for name, causes in limited.items() if name not in always}


FallbackField = Annotated[Fallback, BeforeValidator(_expand_name, json_schema_input_type=Text | Fallback)]


class Backoff(Section):
    """Delay between retries: exponential back-off with jitter. Each delay is random, from half of its maximum up."""

    base_s: Seconds = Field(
        default=1.0, description="Maximum delay before the first retry, in seconds. It doubles with every retry."
    )
    max_s: Seconds = Field(default=30.0, description="Maximum delay before any retry, in seconds.")


class Hedging(Section):
    """Second attempts, in parallel, for chat, completions and embeddings. Requests with media are never hedged."""

    after: Literal["p95"] | Seconds = Field(
        default="p95",
        description="Time until the second attempt, in seconds. With p95, it is the time within which the deployment "
        "has sent its first content 95 times out of 100; it is learned from at least 20 attempts.",
    )
    max_share: Annotated[float, Field(gt=0, le=1)] = Field(
        default=HedgingPolicy().max_share,
        description="Maximum share of the model's requests of the last minute that are hedged.",
    )
    tools: bool = Field(default=False, description="Whether requests with tools are hedged, too.")


def compile_hedging(entry: Hedging | None) -> HedgingPolicy | None:
    if entry is None:
        return None
    after_s = None if entry.after == "p95" else entry.after
    return HedgingPolicy(after_s=after_s, max_share=entry.max_share, allows_tools=entry.tools)
