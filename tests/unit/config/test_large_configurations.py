"""Large configurations: loading and checking takes time in proportion to their size, with and without problems."""

from collections.abc import Callable
from typing import Any

import pytest

from intellirouter.cli.config_options import problem_lines
from intellirouter.config import ConfigError, ConfigProblem
from tests.support.lines import lines_of

PROVIDER = "providers:\n  lab: {vendor: openai-compatible, base_url: 'http://127.0.0.1:1/v1', credentials: []}\n"
SMALL, LARGE = 100, 200
MAX_GROWTH = 2.3
"""Of the executed lines for twice as many entries. It would be 4 for quadratic work."""


def configuration(entry: str, count: int) -> str:
    deployments = "".join(f"  d{i}: {{provider: lab, model: m{i}}}\n" for i in range(count))
    models = "".join(f"  m{i}: {{deployments: [{entry}{i}]}}\n" for i in range(count))
    return f"{PROVIDER}deployments:\n{deployments}models:\n{models}"


def growth(work: Callable[[str], Any], entry: str) -> float:
    small, large = (configuration(entry, count) for count in (SMALL, LARGE))
    work(small)  # what is done once per process is not counted
    return lines_of(lambda: work(large)) / lines_of(lambda: work(small))


@pytest.mark.parametrize("entry", ["d", "lab/m"])
def test_many_models_take_linear_work(compile_text: Callable[[str], Any], entry: str) -> None:
    assert growth(compile_text, entry) < MAX_GROWTH
    assert compile_text(configuration(entry, SMALL)).models["m7"].deployments == ("d7",)


def test_many_unknown_names_take_linear_work(compile_problems: Callable[[str], Any]) -> None:
    assert growth(compile_problems, "nope") < MAX_GROWTH
    problems = compile_problems(configuration("nope", SMALL))
    assert len(problems) == SMALL
    assert all(problem.origin for problem in problems)


def _unknown_providers(count: int) -> str:
    providers = "".join(f"  p{i}: {{vendor: openai-compatible, base_url: 'http://h:1'}}\n" for i in range(count))
    deployments = "".join(f"  d{i}: {{provider: nope{i}, model: m}}\n" for i in range(count))
    return f"providers:\n{providers}deployments:\n{deployments}"


def _unknown_tenants(count: int) -> str:
    tenants = "".join(f"  t{i}: {{}}\n" for i in range(count))
    keys = "".join(f"  - {{key: 'sha256:{i:064x}', tenant: nope{i}}}\n" for i in range(count))
    return f"tenants:\n{tenants}keys:\n{keys}"


@pytest.mark.parametrize("text", [_unknown_providers, _unknown_tenants])
def test_many_unknown_providers_and_tenants_take_linear_work(
    compile_problems: Callable[[str], Any], text: Callable[[int], str]
) -> None:
    small, large = text(SMALL), text(LARGE)
    compile_problems(small)
    work = [lines_of(lambda each=each: compile_problems(each)) for each in (large, small)]
    assert work[0] / work[1] < MAX_GROWTH


def test_the_first_hundred_problems_are_printed() -> None:
    problems = [ConfigProblem(f"models.m{i}", "Wrong.") for i in range(120)]
    message, *lines = problem_lines(ConfigError(problems))
    assert message == "The configuration has 120 problems."
    assert len(lines) == 101
    assert lines[-1] == "… and 20 more. `intellirouter config check --format json` lists all of them."
    assert len(problem_lines(ConfigError(problems[:100]))) == 101
