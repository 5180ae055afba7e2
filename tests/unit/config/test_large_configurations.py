"""Large configurations: loading and checking takes time in proportion to their size, with and without problems."""

import time

import pytest

from intellirouter.cli.config_options import problem_lines
from intellirouter.config import ConfigError, ConfigProblem

COUNT = 3000
PROVIDER = "providers:\n  lab: {vendor: openai-compatible, base_url: 'http://127.0.0.1:1/v1', credentials: []}\n"
DEPLOYMENTS = "deployments:\n" + "".join(f"  d{i}: {{provider: lab, model: m{i}}}\n" for i in range(COUNT))
LIMIT_S = 12.0
"""Generous. With a quadratic step, each of these takes several times as long."""


def models(entry: str) -> str:
    return "models:\n" + "".join(f"  m{i}: {{deployments: [{entry}{i}]}}\n" for i in range(COUNT))


@pytest.mark.parametrize("entry", ["d", "lab/m"])
def test_many_models_are_compiled_quickly(compile_text, entry):
    started_s = time.process_time()
    runtime = compile_text(PROVIDER + DEPLOYMENTS + models(entry))
    assert time.process_time() - started_s < LIMIT_S
    assert runtime.models["m7"].deployments == ("d7",)


def test_many_unknown_names_are_found_quickly(compile_problems):
    started_s = time.process_time()
    problems = compile_problems(PROVIDER + DEPLOYMENTS + models("nope"))
    assert time.process_time() - started_s < LIMIT_S
    assert len(problems) == COUNT
    assert all(problem.origin for problem in problems)


def test_the_first_hundred_problems_are_printed():
    problems = [ConfigProblem(f"models.m{i}", "Wrong.") for i in range(120)]
    message, *lines = problem_lines(ConfigError(problems))
    assert message == "The configuration has 120 problems."
    assert len(lines) == 101
    assert lines[-1] == "… and 20 more. `intellirouter config check --format json` lists all of them."
    assert len(problem_lines(ConfigError(problems[:100]))) == 101
