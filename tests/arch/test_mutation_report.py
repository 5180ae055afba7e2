"""The mutation report: how it reads mutmut's results, and which of them fail the run."""

from collections import Counter

import pytest

from scripts import mutants

OUTPUT = """
    intellirouter.routing.decide.x__eligible__mutmut_1: killed
    intellirouter.routing.decide.x__eligible__mutmut_2: survived
    intellirouter.routing.decide.xǁRouterǁdecide__mutmut_1: timeout
    intellirouter.routing.decide.xǁRouterǁdecide__mutmut_12: no tests
    intellirouter.routing.strategies.builtin.x_cost__mutmut_1: segfault
"""


def results(killed: int, survived: int, status: str = "survived") -> mutants.Results:
    return {"routing.decide.f": Counter({"killed": killed, status: survived})}


def test_results_are_counted_by_function() -> None:
    assert mutants.parse_results(OUTPUT) == {
        "routing.decide._eligible": Counter({"killed": 1, "survived": 1}),
        "routing.decide.Router.decide": Counter({"timeout": 1, "no tests": 1}),
        "routing.strategies.builtin.cost": Counter({"segfault": 1}),
    }


def test_reasons_are_read_without_comments_and_empty_lines() -> None:
    text = "# A comment.\n\nrouting.decide.f: equivalent: both are zero\n"
    assert mutants.read_reasons(text) == {"routing.decide.f": "equivalent: both are zero"}


@pytest.mark.parametrize("status", ["survived", "no tests", "suspicious", "skipped"])
def test_mutant_that_was_not_detected_counts_as_a_survivor(status: str) -> None:
    assert mutants.survivors(Counter({"killed": 3, "timeout": 2, "segfault": 1, status: 4})) == 4


@pytest.mark.parametrize(
    ("found", "reasons", "problem"),
    [
        (results(9, 1), {"routing.decide.f": "why"}, None),
        (results(10, 0), {"pipeline.entry.f": "of another room"}, None),
        (results(8, 2), {"routing.decide.f": "why"}, "20.0 % of the mutants survive"),
        (results(9, 1, "no tests"), {}, "1 survivors without a reason"),
        (results(10, 0), {"routing.decide.f": "why"}, "Remove its line"),
        (results(10, 0), {"routing.decide.gone": "why"}, "Remove its line"),
        (results(99, 1, "not checked"), {"routing.decide.f": "why"}, "1 mutants were not tested"),
        ({}, {}, "there are no mutants"),
    ],
)
def test_run_fails_only_for_these_reasons(found: mutants.Results, reasons: dict[str, str], problem: str | None) -> None:
    problems = list(mutants.problems("routing", found, reasons))
    assert len(problems) == (problem is not None)
    assert (problem or "") in "".join(problems)


def test_listed_reasons_are_sorted_and_name_tested_rooms() -> None:
    text = mutants.REASONS.read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    assert lines == sorted(set(lines))
    reasons = mutants.read_reasons(text)
    assert len(reasons) == len(lines)
    assert {name.partition(".")[0] for name in reasons} <= set(mutants.ROOMS)
    assert all(reasons.values())
