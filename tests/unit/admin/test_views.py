"""Local models that cannot serve, in the lists of models and in dry runs."""

from types import SimpleNamespace
from typing import Any

import pytest

from intellirouter.admin.views import explain_view, problems_by_deployment, with_problems
from intellirouter.core import Candidate, Decision


def plane(*workers: dict[str, Any]) -> Any:
    return SimpleNamespace(host=lambda: list(workers))


def test_only_workers_with_a_problem_are_listed() -> None:
    workers = ({"name": "a", "problem": None}, {"name": "b", "problem": "No weights."}, {"name": "c"})
    assert problems_by_deployment(plane(*workers)) == {"b": "No weights."}


def test_dry_run_says_why_a_local_model_is_unavailable() -> None:
    view: dict[str, Any] = {
        "decision": {"candidates": [{"deployment": "a", "reason": "priority 1"}, {"deployment": "b", "reason": ""}]},
        "plan": [{"deployment": "a"}, {"deployment": "b"}],
    }
    found = with_problems(view, plane({"name": "a", "problem": "No weights."}))
    assert found["plan"] == [{"deployment": "a", "unavailable": "No weights."}, {"deployment": "b"}]
    assert found["decision"]["candidates"] == [
        {"deployment": "a", "reason": "priority 1; unavailable: No weights."},
        {"deployment": "b", "reason": ""},
    ]


@pytest.mark.parametrize(
    ("order", "pool_size", "expected"),
    [
        ("a f b", 1, [("a", "pool", 3), ("f", "fallback", 1), ("b", "pool", 1)]),
        ("f a b", 3, [("f", "fallback", 3), ("a", "pool", 3), ("b", "pool", 3)]),  # the whole pool is unavailable
    ],
)
def test_only_fallbacks_of_the_configuration_are_called_fallbacks(
    order: str, pool_size: int, expected: list[tuple[str, str, int]]
) -> None:
    names = order.split()
    candidates = tuple(Candidate(name, "p", "m", "fallback" if name == "f" else "eligible", "r") for name in names)
    decision = Decision("m", "priority", "r", tuple(names), pool_size, candidates)
    fallback = SimpleNamespace(name="f")
    resolved: Any = SimpleNamespace(
        model="m",
        kind="model",
        retries=2,
        retry_order="next_first",
        request_timeout_s=None,
        max_attempts=16,
        continues_streams=False,
        fallback_causes={},
        max_cost_microusd=None,
        hedging=None,
        degradation=(),
        fallbacks=(fallback,),
    )
    call: Any = SimpleNamespace(needs=frozenset(), estimated_input_tokens=lambda: 1)
    view = explain_view(call, resolved, decision, dict.fromkeys(names, ()))
    assert [(each["deployment"], each["kind"], each["tries"]) for each in view["plan"]] == expected
    verdicts = {each["deployment"]: each["verdict"] for each in view["decision"]["candidates"]}
    assert (verdicts["b"], verdicts["f"]) == ("eligible", "fallback")
