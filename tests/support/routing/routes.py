"""Builders for deployments, resolved models, calls and health."""

import random
from typing import Any

from intellirouter.catalog import HealthBoard, ResolvedModel
from intellirouter.core import Call, Decision, Deployment, UpstreamAddress
from intellirouter.routing import STRATEGIES, Router
from tests.support.dialects.standard import ENDPOINTS

_ENDPOINTS = {
    "chat": "openai_chat",
    "completions": "openai_completions",
    "count_tokens": "anthropic_count_tokens",
    "embeddings": "openai_embeddings",
    "audio": "openai_speech",
    "images": "openai_images",
}
"""By operation."""


def deployment(name: str, **members: Any) -> Deployment:
    return Deployment(
        name=name,
        provider="p",
        vendor="v",
        upstream_model=f"up-{name}",
        address=UpstreamAddress(base_url="http://x"),
        **members,
    )


def deployments(names: str) -> tuple[Deployment, ...]:
    return tuple(deployment(name) for name in names.split())


def target(
    pool: str | tuple[Deployment, ...], fallbacks: str | tuple[Deployment, ...] = (), strategy: str = "priority"
) -> ResolvedModel:
    members = deployments(pool) if isinstance(pool, str) else pool
    others = deployments(fallbacks) if isinstance(fallbacks, str) else fallbacks
    by_name = {each.name: each for each in (*members, *others)}
    return ResolvedModel(
        model="m",
        kind="model",
        strategy=strategy,
        pool=members,
        fallbacks=others,
        request_timeout_s=600.0,
        by_name=by_name,
    )


def call(size_bytes: int = 40, **members: Any) -> Call:
    return Call(**{"operation": "chat", "model": "m", "body": b"x" * size_bytes, **members})


def router(board: HealthBoard | None = None) -> Router:
    return Router({row.name: row for row in STRATEGIES}, board or HealthBoard(), random.Random(11))


def decide(by: Router, one: Call, model: ResolvedModel, now_s: float) -> Decision:
    """Decide a request to the endpoint of its operation."""
    return by.decide(ENDPOINTS[_ENDPOINTS[one.operation]], one, model, now_s)


def fail(board: HealthBoard, name: str, times: int = 1, now_s: float = 0.0) -> None:
    for _ in range(times):
        ticket = board.of(name).begin(now_s)
        board.of(name).fail(ticket, "upstream_timeout", now_s, "timeout")


def succeed(
    board: HealthBoard, name: str, latency_ms: float = 100.0, first_token_ms: float = 10.0, now_s: float = 0.0
) -> None:
    ticket = board.of(name).begin(now_s)
    board.of(name).succeed(ticket, first_token_ms, latency_ms, now_s)
