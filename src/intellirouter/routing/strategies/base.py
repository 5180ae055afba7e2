"""The interface of a strategy."""

import random
from collections.abc import Callable, Mapping, Sequence

from msgspec import Struct

from intellirouter.catalog import DeploymentHealth
from intellirouter.core import AffinityKind, Call, Deployment


class Scored(Struct, frozen=True):
    """An eligible deployment with its score (lower is tried earlier) and the reason for it."""

    deployment: Deployment
    score: float
    reason: str


class Affinity(Struct, frozen=True, kw_only=True):
    """Where a request should stay because the provider's prompt cache knows its beginning there."""

    kind: AffinityKind
    key: bytes
    """All requests of the session have the same one."""
    home: str = ""
    """The deployment that has served the session last; empty if it is not known."""
    age_s: float = 0.0
    """How long ago that was."""
    cached_tokens: int = 0
    """How many input tokens `home` probably reads from the cache of the provider."""
    max_extra_load: float = 1.0
    """How much more load or latency than that of the best deployment is accepted in order to stay."""


class RoutingContext(Struct, frozen=True):
    """What a strategy may use in addition to the deployments."""

    call: Call
    health: Mapping[str, DeploymentHealth]
    turn: int
    """The number of earlier decisions for this model, for round robin."""
    rng: random.Random
    now_s: float
    input_tokens: int
    """An estimate from the size of the request."""
    affinity: Affinity | None = None
    """None: the request belongs to no session, or the strategy does not take part in affinity."""


Strategy = Callable[[Sequence[Deployment], RoutingContext], list[Scored]]
Stickiness = Callable[[list[Scored], RoutingContext], list[Scored]]
"""Returns the scores with the price of leaving the deployment where the session is, in the unit of the strategy."""


class StrategyRow(Struct, frozen=True, kw_only=True):
    """A strategy in the registry."""

    name: str
    score: Strategy
    is_static: bool = False
    """The scores depend only on the deployments, so decisions are reused. `score` must not use its context."""
    stickiness: Stickiness | None = None
    """None: affinity does not change the order of the deployments. Static strategies have none."""
