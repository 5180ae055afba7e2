"""Converts records and catalog entries to the JSON of the control API."""

from collections.abc import Mapping
from typing import Any

from msgspec import to_builtins

from intellirouter.admin.plane import ControlPlane
from intellirouter.catalog import (
    DeploymentHealth,
    LadderStep,
    ModelFacts,
    ResolvedModel,
    shared_capabilities,
    shared_context_tokens,
)
from intellirouter.core import Call, Decision, Deployment, ExchangeRecord, Loss, Price, format_usd
from intellirouter.governance import Identity


def record_view(record: ExchangeRecord) -> dict[str, Any]:
    """Return the record as JSON, with the cost in US dollars in addition to micro-USD."""
    view: dict[str, Any] = to_builtins(record)
    view["cost_usd"] = None if record.cost_microusd is None else format_usd(record.cost_microusd)
    return view


def explain_view(
    call: Call, resolved: ResolvedModel, decision: Decision, losses: Mapping[str, tuple[Loss, ...] | str]
) -> dict[str, Any]:
    """Return the JSON of a dry run. `losses` has the losses, or the reason of a refusal, for each deployment."""
    fallbacks = {each.name for each in resolved.fallbacks}
    return {
        "model": resolved.model,
        "kind": resolved.kind,
        "decision": to_builtins(decision),
        "needs": sorted(call.needs),
        "input_tokens_estimate": call.estimated_input_tokens(),
        "retries": resolved.retries,
        "retry_order": resolved.retry_order,
        "request_timeout_s": resolved.request_timeout_s,
        "max_attempts": resolved.max_attempts,
        "continuation": "prefill" if resolved.continues_streams else "off",
        "max_cost_usd": None if resolved.max_cost_microusd is None else format_usd(resolved.max_cost_microusd),
        "hedging": None if resolved.hedging is None else to_builtins(resolved.hedging),
        "degradation": [_ladder_view(each) for each in resolved.degradation],
        "plan": [
            {
                "deployment": name,
                "kind": "fallback" if name in fallbacks else "pool",
                **_causes_view(resolved, name),
                "tries": 1 + resolved.retries if number < decision.pool_size else 1,
            }
            | _losses_view(losses[name])
            for number, name in enumerate(decision.order)
        ],
    }


def _causes_view(resolved: ResolvedModel, name: str) -> dict[str, Any]:
    """Return the member for the causes of a fallback that is not tried for all of them."""
    causes = resolved.fallback_causes.get(name)
    return {} if causes is None else {"on": sorted(causes)}


def _ladder_view(each: LadderStep) -> dict[str, Any]:
    """Return a step of the degradation ladder, with the deployments that it calls."""
    step, resolved = each.step, each.resolved
    members = () if resolved is None else (*resolved.pool, *resolved.fallbacks)
    return {"step": step.label, "deployments": [each.name for each in members]} | {
        name: value
        for name, value in (
            ("max_input_tokens", step.max_input_tokens),
            ("stale_s", step.stale_s),
            ("message", None if step.refusal is None else step.refusal.message),
        )
        if value is not None
    }


def _losses_view(losses: tuple[Loss, ...] | str) -> dict[str, Any]:
    """Return the members for the losses of one deployment, if there are any."""
    if isinstance(losses, str):
        return {"refused": losses}
    return {"dropped": to_builtins(losses)} if losses else {}


def with_problems(explained: dict[str, Any], plane: ControlPlane) -> dict[str, Any]:
    """Add to the JSON of a dry run why local models are unavailable, to their steps and to their candidates."""
    problems = problems_by_deployment(plane)
    for step in explained["plan"]:
        if (problem := problems.get(step["deployment"])) is not None:
            step["unavailable"] = problem
    for candidate in explained["decision"]["candidates"]:
        if (problem := problems.get(candidate["deployment"])) is not None:
            candidate["reason"] = f"{candidate['reason']}; unavailable: {problem}".removeprefix("; ")
    return explained


def problems_by_deployment(plane: ControlPlane) -> dict[str, str]:
    """Return why local models cannot serve now, by the name of their deployment."""
    return {worker["name"]: worker["problem"] for worker in plane.host() if worker.get("problem")}


def models_view(plane: ControlPlane, identity: Identity) -> dict[str, Any]:
    """Return the JSON of every model, deployment and wildcard that the caller may use."""
    catalog = plane.current.value.catalog
    problems = problems_by_deployment(plane)
    rows = [
        _model_row(name, resolved, plane, problems)
        for name, resolved in catalog.resolved_models.items()
        if identity.may_use(name)
    ]
    listed = [facts for facts in catalog.listed_models(identity.may_use) if facts.name not in catalog.resolved_models]
    rows += [_listed_row(facts) for facts in listed]
    owners = {facts.owner for facts in listed}
    rows += [
        {"name": f"{provider}/*", "kind": "wildcard", "deployments": [], "status": "unknown"}
        for provider in catalog.wildcard_providers
        if provider in owners or identity.may_use(f"{provider}/*")
    ]
    return {"models": rows, "total": len(rows), "active": sum(row["status"] != "failing" for row in rows)}


def _model_row(name: str, resolved: ResolvedModel, plane: ControlPlane, problems: Mapping[str, str]) -> dict[str, Any]:
    members = (*resolved.pool, *resolved.fallbacks)
    now_s = plane.clock.monotonic_s()
    health = [plane.board.of(each.name) for each in members]
    reasons = [
        problems.get(each.name) or one.breaker.unavailable_reason(now_s)
        for each, one in zip(members, health, strict=True)
    ]
    capabilities = shared_capabilities(resolved.pool)
    return {
        "name": name,
        "kind": resolved.kind,
        "strategy": resolved.strategy,
        "deployments": [each.name for each in members],
        "status": "failing" if members and all(reasons) else "available",
        "capabilities": None if capabilities is None else sorted(capabilities),
        "context_tokens": shared_context_tokens(resolved.pool),
        "members": {each.name: _member_view(each, why) for each, why in zip(members, reasons, strict=True)},
        "price": _price_view(members[0].price),
        "metrics": {each.name: _health_view(one, now_s) for each, one in zip(members, health, strict=True)},
    }


def _member_view(deployment: Deployment, problem: str) -> dict[str, Any]:
    able = deployment.capabilities
    return {
        "context_tokens": deployment.context_tokens,
        "capabilities": None if able is None else sorted(able),
        "price": _price_view(deployment.price),
    } | ({"unavailable": problem} if problem else {})


def _listed_row(facts: ModelFacts) -> dict[str, Any]:
    """Return the row of a model that a wildcard provider has listed."""
    return {
        "name": facts.name,
        "kind": "wildcard",
        "strategy": "priority",
        "deployments": [facts.name],
        "status": "unknown",
        "capabilities": None if facts.capabilities is None else sorted(facts.capabilities),
        "context_tokens": facts.context_tokens,
        "price": _price_view(facts.price),
    }


def _price_view(price: Price | None) -> dict[str, Any] | None:
    if price is None:
        return None
    return {
        "input_per_1m_usd": format_usd(price.input),
        "output_per_1m_usd": format_usd(price.output),
        "version": price.version,
    }


def _health_view(health: DeploymentHealth, now_s: float) -> dict[str, Any]:
    """Return the metrics. `success_rate` is successes over attempts of the last `success_rate_attempts`, up to 100.

    Attempts that the client has ended, with an invalid request or by disconnecting, are not among them.
    """
    recent = health.recent_attempts
    return {
        "in_flight": health.in_flight,
        "attempts": health.attempts,
        "failures": health.failures,
        "success_rate": round(health.recent_successes / recent, 4) if recent else None,
        "success_rate_attempts": recent,
        "latency_ms": None if health.latency_ms is None else round(health.latency_ms, 1),
        "first_token_ms": None if health.first_token_ms is None else round(health.first_token_ms, 1),
        "last_error": health.last_error,
        "circuit": health.breaker.state_at(now_s),
        "limit": None if health.slots is None or health.slots.limit is None else health.slots.limit.value,
        "waiting": 0 if health.slots is None else health.slots.waiting,
    }
