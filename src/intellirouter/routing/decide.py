"""Makes decisions: filters the deployments, scores them, and puts them in order. No I/O."""

import math
import random
from collections.abc import Mapping
from operator import attrgetter, itemgetter
from typing import Final

from msgspec import Struct, structs

from intellirouter.catalog import HealthBoard, ResolvedModel
from intellirouter.core import Call, Candidate, Decision, Deployment, FallbackCause, Verdict, errors, estimate_tokens
from intellirouter.dialects import CONTEXT_LENGTH, Endpoint
from intellirouter.routing.broken_affinity import NOT_BROKEN, BrokenAffinity, broken_affinity
from intellirouter.routing.filters import always_fits_tokens, exclusion_reason, is_about_context
from intellirouter.routing.outliers import find_outliers
from intellirouter.routing.strategies import Affinity, RoutingContext, Scored, StrategyRow

_DEFAULT_STRATEGY: Final = "priority"
_TRIED_LAST: Final = "tried last"
_MAX_MEMO: Final = 2048
_MAX_NAMED: Final = 3
"""How many other deployments the reason of a decision names. The candidates contain all of them."""
_available_at: Final = attrgetter("available_at_s")
_delay: Final = itemgetter(0)
_OUTLIER: Final = 1
_FULL: Final = 2
"""It has no free slot, so it is tried after outliers."""

MemoKey = tuple[ResolvedModel, str, frozenset[str], bool]
"""Model, endpoint, needs, and whether the gateway answers the request itself: everything that the decision of a static
strategy depends on, as long as no deployment is suspect and the request fits into every context."""


class _Memo(Struct, frozen=True):
    """A decision that stays valid. Returning it takes 0.5 µs, making it 5.5 µs (four deployments: 0.9 and 8.3 µs)."""

    decision: Decision
    fits_tokens: int
    """Requests of up to this many tokens, input and output together, fit into every context."""


class _Unavailable(Struct, frozen=True):
    """A deployment that is unavailable, with the reason."""

    deployment: Deployment
    reason: str
    available_at_s: float
    is_fallback: bool


class _Remark(Struct, frozen=True):
    """What the reason of an available deployment adds, and how much later than others it is tried."""

    text: str
    delay: int = 0
    """0 for the usual place, `_OUTLIER`, or `_FULL`."""


class _Order(Struct, frozen=True):
    """The deployments that can serve a request, in the order in which they are tried."""

    scored: list[Scored]
    fallbacks: tuple[Deployment, ...]
    unavailable: tuple[_Unavailable, ...]
    deferred: tuple[Deployment, ...]
    """Fallbacks that are tried only if an attempt has one of their causes."""
    note: str
    """Why the order is not the usual one; empty if it is."""
    remarks: Mapping[str, _Remark]

    @property
    def is_last_resort(self) -> bool:
        return not self.scored and not self.fallbacks


class Router:
    """Makes the decisions of one generation of the configuration."""

    def __init__(
        self,
        strategies: Mapping[str, StrategyRow],
        board: HealthBoard,
        rng: random.Random,
        turns: dict[str, int] | None = None,
    ) -> None:
        """`turns` counts the decisions by model, for round robin. Pass the same dict again after a reload."""
        self._strategies = strategies
        self._board = board
        self._rng = rng
        self._turns = {} if turns is None else turns
        self._memo: dict[MemoKey, _Memo] = {}

    def decide(
        self,
        endpoint: Endpoint,
        call: Call,
        resolved: ResolvedModel,
        now_s: float,
        affinity: Affinity | None = None,
    ) -> Decision:
        """Return the decision. Raises `NoEligibleDeployment` if no deployment can serve the request.

        `affinity`: the session of the request. It has no effect if the order of the deployments is fixed.
        """
        key = (resolved, endpoint.name, call.needs, endpoint.local is not None and endpoint.local.applies(call))
        memo = self._memo.get(key)
        if memo is not None and self._is_valid(memo, call, resolved, now_s):
            return memo.decision
        excluded: list[Candidate] = []
        pool = _eligible(endpoint, resolved.pool, call, excluded)
        available, unavailable = self._split(pool, now_s)
        note = ""
        if unavailable and len(unavailable) > resolved.pool_policy.panic_threshold * len(pool):
            note = f"{len(unavailable)} of {len(pool)} deployments are unavailable, so open circuits are ignored"
            available, unavailable = self._split_in_panic(pool, now_s)
        causes = None if available else self._causes(unavailable, excluded, now_s)
        fallbacks = _eligible(endpoint, resolved.fallbacks, call, excluded)
        deferred: tuple[Deployment, ...] = ()
        if causes is not None and resolved.fallback_causes:
            fallbacks, deferred = _for_causes(fallbacks, resolved, causes)
        if not pool and not fallbacks:
            raise _no_eligible(call, resolved, excluded, deferred)
        ready_fallbacks, unavailable_fallbacks = self._split(fallbacks, now_s)
        strategy = self._strategies.get(resolved.strategy) or self._strategies[_DEFAULT_STRATEGY]
        affinity = None if strategy.stickiness is None else affinity
        scored = self._score(strategy, resolved, available, call, now_s, affinity) if available else []
        remarks = self._remarks(available, resolved, now_s)
        order = _Order(
            scored=_with_remarks(scored, remarks) if remarks else scored,
            fallbacks=ready_fallbacks,
            deferred=deferred,
            unavailable=self._unavailable(unavailable, unavailable_fallbacks, now_s),
            note=note,
            remarks=remarks,
        )
        broken = NOT_BROKEN
        if affinity is not None and affinity.home:
            broken = _broken_affinity(affinity, resolved, order, excluded, remarks)
        decision = _decision(resolved, order, excluded, broken)
        if order.is_last_resort:  # an outage must not take away the retries
            pool_size = len(decision.order) - len(deferred)
            decision = structs.replace(decision, pool_size=pool_size, is_last_resort=True)
        elif not available and unavailable:  # nor must one of the pool, where the fallbacks come first
            decision = structs.replace(decision, pool_size=len(ready_fallbacks) + len(unavailable))
        if strategy.is_static and not order.unavailable and not excluded and not remarks:
            self._remember(key, decision)
        return decision

    def _remember(self, key: MemoKey, decision: Decision) -> None:
        if len(self._memo) >= _MAX_MEMO:
            self._memo.clear()
        resolved = key[0]
        self._memo[key] = _Memo(decision, always_fits_tokens((*resolved.pool, *resolved.fallbacks)))

    def _is_valid(self, memo: _Memo, call: Call, resolved: ResolvedModel, now_s: float) -> bool:
        """Return whether the request fits into every context and no decision may depend on failures."""
        if estimate_tokens(len(call.body)) + call.added_tokens + (call.max_output_tokens or 0) > memo.fits_tokens:
            return False
        of = self._board.of
        for name in resolved.by_name:
            health = of(name)
            if health.is_suspect and health.affects_decisions(now_s):
                return False
            if health.slots is not None and health.slots.is_full:
                return False
        return True

    def _split(
        self, pool: tuple[Deployment, ...], now_s: float
    ) -> tuple[tuple[Deployment, ...], tuple[Deployment, ...]]:
        """Split deployments into available ones and unavailable ones, which are tried last."""
        of = self._board.of
        cooling = tuple([each for each in pool if not of(each.name).is_available(now_s)])
        return (tuple([each for each in pool if each not in cooling]), cooling) if cooling else (pool, ())

    def _causes(
        self, unavailable: tuple[Deployment, ...], excluded: list[Candidate], now_s: float
    ) -> frozenset[FallbackCause]:
        """Return why no deployment of the pool can be tried: why they are unavailable, or what has excluded them."""
        if unavailable:
            return frozenset().union(
                *[self._board.of(each.name).breaker.fallback_causes(now_s) for each in unavailable]
            )
        return frozenset(["context_length" if is_about_context(each.reason) else "unsupported" for each in excluded])

    def _split_in_panic(
        self, pool: tuple[Deployment, ...], now_s: float
    ) -> tuple[tuple[Deployment, ...], tuple[Deployment, ...]]:
        """Split deployments as if all circuits were closed, so that the few healthy ones do not get all requests."""
        deferred = tuple([each for each in pool if self._board.of(each.name).breaker.retry_at_s > now_s])
        return tuple([each for each in pool if each not in deferred]), deferred

    def _unavailable(
        self, pool: tuple[Deployment, ...], fallbacks: tuple[Deployment, ...], now_s: float
    ) -> tuple[_Unavailable, ...]:
        """Return the unavailable deployments with the reasons."""
        return tuple(
            [
                _Unavailable(each, breaker.unavailable_reason(now_s), breaker.available_at_s, is_fallback=is_fallback)
                for members, is_fallback in ((pool, False), (fallbacks, True))
                for each in members
                for breaker in (self._board.of(each.name).breaker,)
            ]
        )

    def _remarks(self, pool: tuple[Deployment, ...], resolved: ResolvedModel, now_s: float) -> dict[str, _Remark]:
        """Return by name what is to say about a deployment of the pool."""
        health = {each.name: self._board.of(each.name) for each in pool}
        suspects = [name for name, each in health.items() if each.is_suspect]
        remarks = {}
        if suspects:
            counts = {name: each.breaker.counts(now_s) for name, each in health.items()}
            outliers = find_outliers(counts, resolved.pool_policy) if len(pool) > 1 else {}
            remarks = {name: _Remark(reason, _OUTLIER) for name, reason in outliers.items()}
            for name in suspects:
                if name not in outliers and health[name].breaker.state_at(now_s) == "half_open":
                    remarks[name] = _Remark(f"probe after {health[name].breaker.cause}")
        for name, each in health.items():
            if each.slots is not None and each.slots.is_full:
                remarks[name] = _Remark(each.slots.full_reason, _FULL)
        return remarks

    def _score(
        self,
        strategy: StrategyRow,
        resolved: ResolvedModel,
        pool: tuple[Deployment, ...],
        call: Call,
        now_s: float,
        affinity: Affinity | None,
    ) -> list[Scored]:
        turn = self._turns.get(resolved.model, 0)
        if len(resolved.pool) > 1 and affinity is None:
            self._turns[resolved.model] = turn + 1
        context = RoutingContext(
            call=call,
            health={each.name: self._board.of(each.name) for each in pool},
            turn=turn,
            rng=self._rng,
            now_s=now_s,
            input_tokens=call.estimated_input_tokens(),
            affinity=affinity,
        )
        scored = strategy.score(pool, context)
        if affinity is not None and strategy.stickiness is not None:
            scored = strategy.stickiness(scored, context)
            scored.sort(key=lambda each: (each.score, each.deployment.name != affinity.home))
            return scored
        scored.sort(key=lambda each: each.score)
        return scored


def _eligible(
    endpoint: Endpoint, deployments: tuple[Deployment, ...], call: Call, excluded: list[Candidate]
) -> tuple[Deployment, ...]:
    """Return the deployments that can serve the call. Adds the others to `excluded`."""
    reasons = [exclusion_reason(endpoint, each, call) for each in deployments]
    if not any(reasons):
        return deployments
    eligible: list[Deployment] = []
    for each, reason in zip(deployments, reasons, strict=True):
        if reason is None:
            eligible.append(each)
        else:
            excluded.append(Candidate(each.name, each.provider, each.upstream_model, "excluded", reason))
    return tuple(eligible)


def _for_causes(
    fallbacks: tuple[Deployment, ...], resolved: ResolvedModel, causes: frozenset[FallbackCause]
) -> tuple[tuple[Deployment, ...], tuple[Deployment, ...]]:
    """Split fallbacks into those that are tried for these causes, and those that may be tried for others."""
    limits = resolved.fallback_causes
    deferred = tuple([each for each in fallbacks if causes.isdisjoint(limits.get(each.name, causes))])
    return tuple([each for each in fallbacks if each not in deferred]), deferred


def _limited(fallback: Deployment, resolved: ResolvedModel) -> str:
    """Return what a fallback is called in a reason."""
    causes = resolved.fallback_causes.get(fallback.name)
    return "fallback" if causes is None else f"fallback for {' or '.join(sorted(causes))}"


def _no_eligible(
    call: Call, resolved: ResolvedModel, excluded: list[Candidate], deferred: tuple[Deployment, ...]
) -> errors.NoEligibleDeployment:
    """Return the error for a request that no deployment can serve.

    If it is too long for all of them, its code is the one that clients know: they shorten the conversation.
    """
    reasons = [f"{each.deployment} {each.reason}" for each in excluded]
    reasons += [f"{each.name} is a {_limited(each, resolved)} only" for each in deferred]
    too_small = {each.deployment for each in excluded if is_about_context(each.reason)}
    hints = [each.context_hint for each in (*resolved.pool, *resolved.fallbacks) if each.name in too_small]
    return errors.NoEligibleDeployment(
        f"No deployment of the model '{call.model}' can serve this request: {'; '.join(reasons)}.",
        code=CONTEXT_LENGTH if len(too_small) == len(excluded) else None,
        hint=next(filter(None, hints), ""),
    )


def _decision(
    resolved: ResolvedModel, order: _Order, excluded: list[Candidate], broken: BrokenAffinity = NOT_BROKEN
) -> Decision:
    candidates = [
        _candidate(each.deployment, "eligible", each.reason, each.score if math.isfinite(each.score) else None)
        for each in order.scored
    ]
    candidates += [_candidate(each, "fallback", _limited(each, resolved)) for each in order.fallbacks]
    unavailable = sorted(order.unavailable, key=_available_at) if order.is_last_resort else order.unavailable
    candidates += [
        _candidate(each.deployment, "fallback" if each.is_fallback else "eligible", f"{each.reason}, {_TRIED_LAST}")
        for each in unavailable
    ]
    candidates += [_candidate(each, "fallback", _limited(each, resolved)) for each in order.deferred]
    first = candidates[0]
    reason = first.reason.replace(_TRIED_LAST, "but no other is available")
    candidates[0] = structs.replace(first, verdict="chosen", reason=reason)
    note = [each for each in (broken.note, resolved.pin, resolved.restriction) if each]
    return Decision(
        model=resolved.model,
        strategy=resolved.strategy,
        reason="; ".join([reason, *_reasons_of_others(order, len(candidates) - 1), *note]),
        order=tuple([each.deployment for each in candidates]),
        pool_size=len(order.scored),
        candidates=(*candidates, *excluded),
        restriction=resolved.restriction,
        affinity_broken=broken.cause,
        affinity_lost_microusd=broken.lost_microusd,
    )


def _broken_affinity(
    affinity: Affinity,
    resolved: ResolvedModel,
    order: _Order,
    excluded: list[Candidate],
    remarks: Mapping[str, _Remark],
) -> BrokenAffinity:
    """Return why the request does not stay where its session was served last, if it does not."""
    reasons = {name: remark.text for name, remark in remarks.items() if remark.delay}
    reasons |= {each.deployment.name: each.reason for each in order.unavailable}
    reasons |= {each.deployment: each.reason for each in excluded}
    if order.is_last_resort:
        return NOT_BROKEN
    first = order.scored[0].deployment.name if order.scored else ""
    return broken_affinity(affinity, resolved, first, reasons)


def _reasons_of_others(order: _Order, others: int) -> list[str]:
    """Return why the order is not the usual one, who is unavailable, and how many can be tried after the first one."""
    unavailable = [] if order.is_last_resort else order.unavailable
    named = [f"{each.deployment.name}: {each.reason}" for each in unavailable]
    named += [
        f"{each.deployment.name}: {remark.text}"
        for each in order.scored[1:]
        if (remark := order.remarks.get(each.deployment.name)) is not None and remark.delay == _FULL
    ]
    more = [f"{others} more to try"] if others else []
    note = [order.note] if order.note else []
    return [*note, *named[:_MAX_NAMED], *more]


def _candidate(deployment: Deployment, verdict: Verdict, reason: str, score: float | None = None) -> Candidate:
    return Candidate(deployment.name, deployment.provider, deployment.upstream_model, verdict, reason, score)


def _with_remarks(scored: list[Scored], remarks: Mapping[str, _Remark]) -> list[Scored]:
    """Return the deployments with remarks in their reasons, and those that are tried later at the end."""
    noted = [
        (remark.delay, structs.replace(each, reason=f"{each.reason}, {remark.text}")) if remark else (0, each)
        for each in scored
        for remark in (remarks.get(each.deployment.name),)
    ]
    return [each for _, each in sorted(noted, key=_delay)]
