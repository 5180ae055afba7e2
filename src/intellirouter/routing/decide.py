"""filter → score → order: a Decision that holds every candidate with its verdict, score and reason. No I/O."""

import math
import random
from typing import Final

from msgspec import Struct

from intellirouter.catalog import DeploymentHealth, HealthBoard, ResolvedModel
from intellirouter.core import Call, Candidate, Decision, Deployment, errors, estimate_input_tokens, estimate_tokens
from intellirouter.routing.strategies import STRATEGIES, Scored, View

_DEFAULT_STRATEGY: Final = "priority"
_MAX_STANDING: Final = 2048
_NO_LIMIT: Final = 1 << 62
_STANDS_IN: Final = {"completions": "chat", "count_tokens": "chat"}
"""Surfaces that the gateway offers over another one where the upstream has none of its own."""


_NO_CONTEXT: Final = frozenset({"audio", "images"})
"""Surfaces whose requests are bytes rather than text."""


class _Standing(Struct, frozen=True):
    """A decision that holds again for every call which asks for nothing special while all are well."""

    target: ResolvedModel
    decision: Decision
    max_tokens: int
    """Up to here every member's context is large enough."""
    health: list[DeploymentHealth]

    def holds(self, target: ResolvedModel, call: Call) -> bool:
        if target is not self.target or call.needs:
            return False
        if estimate_tokens(len(call.body)) + (call.max_output_tokens or 0) > self.max_tokens:
            return False
        for each in self.health:
            if each.failures_in_a_row:
                return False
        return call.operation == "chat"


class Router:
    """Decides. Holds only what strategies count (turns); everything else is handed in or read from the board."""

    def __init__(self, board: HealthBoard, rng: random.Random) -> None:
        self._board = board
        self._rng = rng
        self._turns: dict[str, int] = {}
        self._standing: dict[str, _Standing] = {}

    def decide(self, call: Call, target: ResolvedModel, now_s: float) -> Decision:
        """Return the decision. Raises `NoEligibleDeployment` when every candidate is excluded by the request."""
        standing = self._standing.get(target.model)
        if standing is not None and standing.holds(target, call):
            return standing.decision
        excluded: list[Candidate] = []
        pool = self._filter(target.pool, call, excluded)
        fallbacks = self._filter(target.fallbacks, call, excluded)
        if not pool and not fallbacks:
            raise _nobody(call, excluded)
        healthy, failing = self._split(pool, now_s)
        scored = self._score(target, healthy, call, now_s) if healthy else []
        decision = _decision(target, scored, fallbacks, failing, excluded)
        is_plain = not excluded and not failing and call.operation == "chat"
        if is_plain and (len(pool) == 1 or target.strategy == _DEFAULT_STRATEGY):
            self._remember(target, decision)
        return decision

    def _remember(self, target: ResolvedModel, decision: Decision) -> None:
        """Nothing but the configuration went into this decision, so it stands until something is wrong."""
        if len(self._standing) >= _MAX_STANDING:
            self._standing.clear()
        members = (*target.pool, *target.fallbacks)
        contexts = [each.context_tokens for each in members if each.context_tokens is not None]
        self._standing[target.model] = _Standing(
            target=target,
            decision=decision,
            max_tokens=min(contexts, default=_NO_LIMIT),
            health=[self._board.of(each.name) for each in target.pool],
        )

    def _filter(
        self, deployments: tuple[Deployment, ...], call: Call, excluded: list[Candidate]
    ) -> tuple[Deployment, ...]:
        """Keep what may serve the call; note the others with the constraint that excludes them."""
        reasons = [_obstacle(each, call) for each in deployments]
        if not any(reasons):
            return deployments
        for each, reason in zip(deployments, reasons, strict=True):
            if reason is not None:
                excluded.append(Candidate(each.name, each.provider, each.upstream_model, "excluded", reason))
        return tuple(each for each, reason in zip(deployments, reasons, strict=True) if reason is None)

    def _split(
        self, pool: tuple[Deployment, ...], now_s: float
    ) -> tuple[tuple[Deployment, ...], tuple[Deployment, ...]]:
        """Part the pool into healthy and failing. Failing ones are tried last, never left out."""
        of = self._board.of
        if not any(of(each.name).failures_in_a_row for each in pool):
            return pool, ()
        failing = tuple(each for each in pool if of(each.name).is_failing(now_s))
        return tuple(each for each in pool if each not in failing), failing

    def _score(self, target: ResolvedModel, pool: tuple[Deployment, ...], call: Call, now_s: float) -> list[Scored]:
        strategy = STRATEGIES.get(target.strategy) or STRATEGIES[_DEFAULT_STRATEGY]
        turn = self._turns.get(target.model, 0)
        if len(target.pool) > 1:
            self._turns[target.model] = turn + 1
        view = View(
            call=call,
            health={each.name: self._board.of(each.name) for each in pool},
            turn=turn,
            rng=self._rng,
            now_s=now_s,
            input_tokens=estimate_input_tokens(call.body),
        )
        scored = strategy(pool, view)
        scored.sort(key=lambda each: each.score)
        return scored


def _obstacle(deployment: Deployment, call: Call) -> str | None:
    """Return why this deployment cannot serve this call, or None. What is unknown excludes nothing."""
    surfaces = deployment.operations
    if surfaces is not None and call.operation not in surfaces and _STANDS_IN.get(call.operation) not in surfaces:
        return f"does not serve {call.operation}"
    capabilities = deployment.capabilities
    if capabilities is not None:
        if missing := call.needs - capabilities:
            return f"lacks {', '.join(sorted(missing))}"
        if call.operation == "chat" and "embeddings" in capabilities and "chat" not in capabilities:
            return "lacks chat"
    if deployment.context_tokens is not None and call.operation not in _NO_CONTEXT:
        # The estimate is rough, so only what cannot fit by a wide margin is excluded here.
        most = 2 * deployment.context_tokens - (call.max_output_tokens or 0)
        if estimate_tokens(len(call.body)) > most and (tokens := estimate_input_tokens(call.body)) > most:
            needed = tokens + (call.max_output_tokens or 0)
            return f"about {needed} tokens do not fit its context of {deployment.context_tokens}"
    return None


def _nobody(call: Call, excluded: list[Candidate]) -> errors.NoEligibleDeployment:
    reasons = "; ".join(f"{each.deployment} {each.reason}" for each in excluded)
    return errors.NoEligibleDeployment(
        f"No deployment of '{call.model}' can serve this request: {reasons}.", status=400
    )


def _decision(
    target: ResolvedModel,
    scored: list[Scored],
    fallbacks: tuple[Deployment, ...],
    failing: tuple[Deployment, ...],
    excluded: list[Candidate],
) -> Decision:
    candidates = [
        Candidate(
            each.deployment.name,
            each.deployment.provider,
            each.deployment.upstream_model,
            "eligible",
            each.reason,
            each.score if math.isfinite(each.score) else None,
        )
        for each in scored
    ]
    candidates += [
        Candidate(each.name, each.provider, each.upstream_model, "fallback", "fallback") for each in fallbacks
    ]
    candidates += [
        Candidate(each.name, each.provider, each.upstream_model, "fallback", "failing just now: tried last")
        for each in failing
    ]
    first = candidates[0]
    candidates[0] = Candidate(
        first.deployment, first.provider, first.upstream_model, "chosen", first.reason, first.score
    )
    others = len(candidates) - 1
    return Decision(
        model=target.model,
        strategy=target.strategy,
        reason=f"{first.reason}; {others} more to fall back on" if others else first.reason,
        order=tuple([each.deployment for each in candidates]),
        pool_size=len(scored),
        candidates=tuple(candidates + excluded) if excluded else tuple(candidates),
    )
