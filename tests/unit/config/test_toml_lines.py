"""The lines of settings in TOML files."""

import tomllib
from pathlib import Path as FilePath
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from intellirouter.config import ConfigError, load_config
from intellirouter.config.toml_lines import toml_lines
from intellirouter.config.tree import Path


def test_line_of_every_kind_of_setting() -> None:
    text = """\
# A comment with [brackets] and = signs.
title = "a # b = c"  # comment
server.port = 9000
providers = { fake = { vendor = "fake" }, "with.dot" = { vendor = 'x' } }

[deployments.a]
model = '''
several = lines
'''
tags = [
    "one",  # ] no end
    [2, 3],
]

[[keys]]
name = "first"
[keys.limits]
rpm = 1
[[keys]]
name = "second" """
    assert toml_lines(text) == {
        ("title",): 2,
        ("server",): 3,
        ("server", "port"): 3,
        ("providers",): 4,
        ("providers", "fake"): 4,
        ("providers", "fake", "vendor"): 4,
        ("providers", "with.dot"): 4,
        ("providers", "with.dot", "vendor"): 4,
        ("deployments", "a"): 6,
        ("deployments", "a", "model"): 7,
        ("deployments", "a", "tags"): 10,
        ("deployments", "a", "tags", 0): 11,
        ("deployments", "a", "tags", 1): 12,
        ("deployments", "a", "tags", 1, 0): 12,
        ("deployments", "a", "tags", 1, 1): 12,
        ("keys",): 15,
        ("keys", 0): 15,
        ("keys", 0, "name"): 16,
        ("keys", 0, "limits"): 17,
        ("keys", 0, "limits", "rpm"): 18,
        ("keys", 1): 19,
        ("keys", 1, "name"): 20,
    }


@pytest.mark.parametrize(
    "value",
    [
        r'"quote \" and backslash \\"',
        '"""two "" quotes, and \\""" more"""',
        '"""ends with quotes"""""',
        "'''it's''' ",
        "1979-05-27T07:32:00Z",
        "+1_000.5e3",
        "[ ]",
        "{}",
        "[{a = 1}, {a = [2, ], b = '}'}]",
    ],
)
def test_what_follows_a_value_is_found(value: str) -> None:
    text = f"first = {value}\r\nlast = 1"
    tomllib.loads(text)
    assert toml_lines(text)["last",] == text.count("\n") + 1


TEXTS = st.text(st.sampled_from("a\"'\\#[]{}=,.\n \té"), max_size=12)


def tables(values: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.dictionaries(TEXTS.filter(bool), values, max_size=4)


VALUES = st.recursive(
    st.integers() | st.booleans() | TEXTS, lambda inner: st.lists(inner, max_size=3) | tables(inner), max_leaves=8
)


@pytest.mark.hypothesis
@given(tables(VALUES))
def test_every_setting_of_a_valid_file_has_a_line(values: dict[str, Any]) -> None:
    text = "".join(f"{_text(name)} = {_value(value)}\n" for name, value in values.items())
    assert tomllib.loads(text) == values
    lines = toml_lines(text)
    assert set(lines) == {path for name, value in values.items() for path in _paths(value, (name,))}
    assert [lines[name,] for name in values] == list(range(1, len(values) + 1))


def _paths(value: Any, path: Path) -> list[Path]:
    items: list[tuple[Any, Any]] = []
    if isinstance(value, dict):
        items = list(value.items())
    elif isinstance(value, list):
        items = list(enumerate(value))
    return [path, *(found for step, item in items for found in _paths(item, (*path, step)))]


def _value(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_text(name)} = {_value(item)}" for name, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_value, value)) + "]"
    return _text(value) if isinstance(value, str) else str(value).lower()


def _text(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\t", "\\t")
    return f'"{escaped}"'


def test_problems_of_a_toml_file_have_their_lines(tmp_path: FilePath) -> None:
    path = tmp_path / "config.toml"
    path.write_text('[providers.fake]\nvendor = "fake"\n\n[deployments.a]\nprovider = "fake"\nmodle = "echo"\n')
    with pytest.raises(ConfigError) as caught:
        load_config(path, environ={})
    assert [problem.origin for problem in caught.value.problems if "modle" in problem.path] == [f"file {path}:6"]
