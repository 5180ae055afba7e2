"""The shape of a strategy."""

import random
from collections.abc import Callable, Mapping, Sequence

from msgspec import Struct

from intellirouter.catalog import DeploymentHealth
from intellirouter.core import Call, Deployment


class Scored(Struct, frozen=True):
    """One eligible deployment with its score (lower is tried earlier) and the reason in words."""

    deployment: Deployment
    score: float
    reason: str


class RoutingContext(Struct, frozen=True):
    """What a strategy may read in addition to the deployments themselves."""

    call: Call
    health: Mapping[str, DeploymentHealth]
    turn: int
    """How many decisions this model has had, which round robin counts."""
    rng: random.Random
    now_s: float
    input_tokens: int
    """Estimated from the size of the request."""


Strategy = Callable[[Sequence[Deployment], RoutingContext], list[Scored]]


class StrategyRow(Struct, frozen=True, kw_only=True):
    """One strategy in the registry."""

    name: str
    score: Strategy
    is_static: bool = False
    """The scores depend on the deployments alone, so a decision may be reused: `score` must not read its context."""
