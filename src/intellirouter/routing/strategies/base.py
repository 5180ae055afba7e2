"""The shape of a strategy."""

import random
from collections.abc import Callable, Mapping, Sequence

from msgspec import Struct

from intellirouter.catalog import DeploymentHealth
from intellirouter.core import Call, Deployment


class Scored(Struct, frozen=True):
    """One eligible deployment with its score (lower is earlier) and the reason in words."""

    deployment: Deployment
    score: float
    reason: str


class View(Struct, frozen=True):
    """What a strategy may look at besides the deployments themselves."""

    call: Call
    health: Mapping[str, DeploymentHealth]
    turn: int
    """How many decisions this model has had: what round robin counts."""
    rng: random.Random
    now_s: float
    input_tokens: int
    """Estimated from the size of the request."""


Strategy = Callable[[Sequence[Deployment], View], list[Scored]]
