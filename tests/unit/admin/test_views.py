"""Local models that cannot serve, in the lists of models and in dry runs."""

from types import SimpleNamespace
from typing import Any

from intellirouter.admin.views import problems_by_deployment, with_problems


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
