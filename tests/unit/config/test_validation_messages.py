"""Every problem reads as a path, a sentence and a hint, and none of them is in the words of the validation library."""

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from intellirouter.config import ConfigError, ConfigProblem, compile_config, load_config
from intellirouter.config.tree import ROOT, Path, Shape, child_shape, shape_of
from tests.unit.config.conftest import STRATEGIES, VENDORS

Problems = Callable[..., list[ConfigProblem]]
PLAIN_NUMBER = "Write it as a plain number, without quotes or an exponent."
SENTENCES = re.compile(r"([A-Z`][^\n]*[.?])")
FOREIGN = re.compile(
    r"Input should|Value error|String should|List should|validation|pydantic|ctx|\bnan\b", re.IGNORECASE
)
VALUES = (
    None,
    True,
    -1,
    0,
    1.5,
    10**30,
    float("nan"),
    "",
    "x",
    "80",
    "ä\n",
    "x" * 5000,
    [],
    ["x"],
    [1],
    {},
    {"x": 1},
    {"x": "y"},
)


def settings(shape: Shape, path: Path) -> Iterator[Path]:
    """Yield the path of every setting and section; entries of mappings are called `name`, of lists 0."""
    yield path
    if shape.section is not None:
        for name in shape.section.model_fields:
            inner = child_shape(shape, name)
            assert inner is not None
            yield from settings(inner, (*path, name))
    elif shape.values is not None:
        yield from settings(shape_of(shape.values), (*path, "name"))
    elif shape.items is not None:
        yield from settings(shape_of(shape.items), (*path, 0))


def tree(path: Path, value: Any) -> Any:
    for step in reversed(path):
        value = [value] if isinstance(step, int) else {step: value}
    return value


def assert_readable(problem: ConfigProblem) -> None:
    for text in (problem.message, problem.hint):
        assert not text or SENTENCES.fullmatch(text), problem
        assert not FOREIGN.search(text), problem
    assert problem.message


@pytest.mark.parametrize(
    "path", [path for path in settings(ROOT, ()) if path], ids=lambda path: ".".join(map(str, path))
)
def test_any_value_in_any_setting_gives_readable_problems(path: Path) -> None:
    for value in VALUES:
        try:
            config = load_config(environ={}, discovered=tree(path, value)).config
            compile_config(config, vendors=VENDORS, strategies=STRATEGIES, environ={})
        except ConfigError as error:
            for problem in error.problems:
                assert_readable(problem)
                assert problem.message != "The value is not valid.", (problem, value)


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("server: {host: ''}", "The value must not be empty.", ""),
        ("server: {port: '80'}", "The value must be an integer, not `80`.", PLAIN_NUMBER),
        ("server: {port: [80]}", "The value must be an integer.", ""),
        ("defaults: {backoff: {base_s: 1e3}}", "The value must be a number, not `1e3`.", PLAIN_NUMBER),
        ("defaults: {backoff: {base_s: -1}}", "The value must be greater than 0, not -1.", ""),
        ("defaults: {backoff: {base_s: 86401.5}}", "The value must be at most 86400, not 86401.5.", ""),
        ("server: {port: abc}", "The value must be an integer, not `abc`.", ""),
        ("server: {port: 1.5}", "The value must be an integer, not 1.5.", ""),
        ("auth: {required: 'true'}", "The value must be `true` or `false`, not `true`.", "Write it without quotes."),
        ("logging: {bodies: verbose}", "The value must be one of `off` or `full`, not `verbose`.", ""),
        ("keys: [{key: 'sha256:12'}]", "A SHA-256 digest must have 64 hexadecimal digits.", "Write it as "),
        ("keys: [{key: secret}]", "A secret must be a reference, not the value itself.", "Use `env:NAME` "),
        ("models: {m: {deployments: []}}", "At least one entry is required.", "List at least one deployment, "),
        ("models: {m: {deployments: a}}", "The value must be a list.", "Write it as `[a, b]`."),
        ("providers: []", "The value must be a mapping.", "Write it as `{name: value}`."),
        ("logging: {format: xml}", "The value must be one of `text` or `json`, not `xml`.", ""),
        ("logging: {format: jsn}", "The value must be one of `text` or `json`, not `jsn`.", "Did you mean `json`?"),
        ("providers: {p: {vendor: x, models: 5}}", "The value must be `*`, not 5.", ""),
        ("providers: {p: {vendor: x, region: 'A B'}}", "The region is not valid.", "Use lower-case letters, "),
        ("keys: [{key: 'env:K', tenant: 'a b'}]", "The name is not valid.", "Use letters, digits, "),
        ("keys: [{key: 'env:K', expires: tomorrow}]", "The value must be a date and time.", "Write it in ISO 8601"),
        ("keys: [{}]", "This setting is required.", "Set it to a reference, for example `key: env:NAME`."),
        ("xyzzy: 1", "Unknown setting `xyzzy`.", "Known settings are `server`, `auth`, "),
    ],
)  # fmt: skip
def test_message_and_hint(problems_of: Problems, text: str, message: str, hint: str) -> None:
    (problem,) = problems_of(text)
    assert problem.message == message
    assert problem.hint.startswith(hint) if hint else not problem.hint


def test_a_value_in_the_place_of_an_option_is_repeated_only_if_it_cannot_be_a_secret(problems_of: Problems) -> None:
    for text in (
        "providers: {p: {vendor: x, auth: hunter}}",
        "logging: {format: sk-live-123}",
        "logging: {format: [x]}",
    ):
        (problem,) = problems_of(text)
        assert ", not" not in problem.message


def test_names_that_are_not_strings_are_described(problems_of: Problems) -> None:
    (problem,) = problems_of("", environ={"INTELLIR_SERVER": json.dumps({"host": "h"})[:-1] + ", 5: 6}"})
    assert_readable(problem)
