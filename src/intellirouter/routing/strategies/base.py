"""The interface of a strategy."""

import random
from collections.abc import Callable, Mapping, Sequence

from msgspec import Struct

from intellirouter.catalog import DeploymentHealth
from intellirouter.core import Call, Deployment


class Scored(Struct, frozen=True):
    """An eligible deployment with its score (lower is tried earlier) and the reason for it."""

    deployment: Deployment
    score: float
    reason: str


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


Strategy = Callable[[Sequence[Deployment], RoutingContext], list[Scored]]


class StrategyRow(Struct, frozen=True, kw_only=True):
    """A strategy in the registry."""

    name: str
    score: Strategy
    is_static: bool = False
    """The scores depend only on the deployments, so decisions are reused. `score` must not use its context."""
