"""The example configurations are valid, and say which of their settings are not in force."""

import re
from pathlib import Path

import pytest

from intellirouter.roles import check

EXAMPLES = Path(__file__).resolve().parents[3] / "examples"


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.yaml")), ids=lambda path: path.name)
def test_example_names_exactly_the_settings_that_are_not_in_force(path: Path) -> None:
    warned = [warning.partition(": ")[0] for warning in check(path, resolves_secrets=False).warnings]
    named = re.findall(r"^#   ([a-z]+\S*)", path.read_text("utf-8"), re.MULTILINE)
    assert sorted(named) == sorted(warned)
