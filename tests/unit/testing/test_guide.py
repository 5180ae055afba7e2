"""The guide lists all models and faults, and its example runs."""

import re
from pathlib import Path

import pytest

from intellirouter.testing import FAKE_MODELS, FAULT_KINDS


@pytest.fixture(scope="module")
def page(repo: Path) -> str:
    return (repo / "docs" / "guides" / "testing.md").read_text(encoding="utf-8")


def test_every_model_has_a_row(page: str) -> None:
    rows = set(re.findall(r"^\| `fake/([\w-]+)` \| \w", page, re.MULTILINE))
    assert rows == set(FAKE_MODELS)
    assert all(FAKE_MODELS.values())


def test_every_fault_has_a_row_with_all_its_parameters(page: str) -> None:
    rows = dict(re.findall(r"^\| `(\w+)` \| (.+) \|$", page, re.MULTILINE))
    for kind, known in FAULT_KINDS.items():
        row = rows[kind]
        if kind != "reset":
            assert all(f"`{name}`" in row for name in known.params), kind


def test_every_parameter_choice_is_mentioned(page: str) -> None:
    named = set(re.findall(r"`(\w+)`", page))
    for known in FAULT_KINDS.values():
        for choices in known.choices.values():
            assert set(choices) <= named


def test_the_example_runs(page: str) -> None:
    (example,) = re.findall(r"^```python\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    exec(compile(example, "docs/guides/testing.md", "exec"), {})
