"""Converts records and catalog entries to the JSON of the control API."""

from collections.abc import Mapping
from typing import Any

from msgspec import to_builtins

from intellirouter.admin.plane import ControlPlane
from intellirouter.catalog import DeploymentHealth, ResolvedModel
from intellirouter.core import Call, Decision, ExchangeRecord, Loss, Price, format_usd
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
    pool, rest = decision.order[: decision.pool_size], decision.order[decision.pool_size :]
    return {
        "model": resolved.model,
        "kind": resolved.kind,
        "decision": to_builtins(decision),
        "needs": sorted(call.needs),
        "input_tokens_estimate": call.estimated_input_tokens(),
        "retries": resolved.retries,
        "retry_order": resolved.retry_order,
        "request_timeout_s": resolved.request_timeout_s,
        "plan": [
            *(
                {"deployment": name, "kind": "pool", "tries": 1 + resolved.retries} | _losses_view(losses[name])
                for name in pool
            ),
            *({"deployment": name, "kind": "fallback", "tries": 1} | _losses_view(losses[name]) for name in rest),
        ],
    }


def _losses_view(losses: tuple[Loss, ...] | str) -> dict[str, Any]:
    """Return the members for the losses of one deployment, if there are any."""
    if isinstance(losses, str):
        return {"refused": losses}
    return {"dropped": to_builtins(losses)} if losses else {}


def models_view(plane: ControlPlane, identity: Identity) -> dict[str, Any]:
    """Return the JSON of every model, deployment and wildcard that the caller may use."""
    catalog = plane.current.value.catalog
    rows = [
        _model_row(name, resolved, plane)
        for name, resolved in catalog.resolved_models.items()
        if identity.may_use(name)
    ]
    rows += [
        {"name": f"{provider}/*", "kind": "wildcard", "deployments": [], "status": "unknown"}
        for provider in catalog.wildcard_providers
    ]
    return {"models": rows, "total": len(rows), "active": sum(row["status"] != "failing" for row in rows)}


def _model_row(name: str, resolved: ResolvedModel, plane: ControlPlane) -> dict[str, Any]:
    members = (*resolved.pool, *resolved.fallbacks)
    now_s = plane.clock.monotonic_s()
    health = [plane.board.of(each.name) for each in members]
    is_failing = all(each.is_failing(now_s) for each in health) if health else False
    first = members[0]
    known = [each.capabilities for each in members if each.capabilities is not None]
    return {
        "name": name,
        "kind": resolved.kind,
        "strategy": resolved.strategy,
        "deployments": [each.name for each in members],
        "status": "failing" if is_failing else "available",
        "capabilities": sorted(frozenset().union(*known)) if known else None,
        "context_tokens": max((each.context_tokens or 0 for each in members), default=0) or None,
        "price": _price_view(first.price),
        "metrics": {each.name: _health_view(one) for each, one in zip(members, health, strict=True)},
    }


def _price_view(price: Price | None) -> dict[str, Any] | None:
    if price is None:
        return None
    return {
        "input_per_1m_usd": format_usd(price.input),
        "output_per_1m_usd": format_usd(price.output),
        "version": price.version,
    }


def _health_view(health: DeploymentHealth) -> dict[str, Any]:
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
    }
