"""A configuration file in another format than its name says gets a hint."""

from collections.abc import Callable

import pytest

from intellirouter.config import ConfigError, ConfigProblem

Problems = Callable[..., list[ConfigProblem]]
TOML = "YAML is expected, and this seems to be TOML. If it is, give the file a name that ends in .toml."


@pytest.mark.parametrize(
    ("name", "text", "hint"),
    [
        ("c.yaml", "# TOML\n[server]\nport = 9000\n", TOML),
        ("c.conf", "port = 9000\n", TOML),
        ("c.yaml", '[[keys]]\nkey = "env:K"\n', TOML),
        ("c.json", "[server] # x\nport = 9000\n", TOML),
        ("c.yaml", "[server, store]\n", "Start it with a section, for example `providers:`."),
        ("c.yaml", "[server\n", "Separate its items by `,`, and end it with `]`."),
        ("c.json", '{"server": {"port": 1}\n', "JSON files are read as YAML. Separate its entries by `,`, and end it"),
        ("c.toml", "\nserver: {port: 1}\n", "The name ends in .toml, so TOML is expected. If this is YAML, rename"),
        ("c.toml", '{"server": {"port": 1}}', "The name ends in .toml, so TOML is expected. If this is JSON, rename"),
        ("c.toml", "[server\nport = 1\n", ""),
    ],
)
def test_hint(problems_of: Problems, name: str, text: str, hint: str) -> None:
    (problem,) = problems_of(text, name=name)
    assert problem.hint.startswith(hint) if hint else problem.hint == ""
    assert problem.message.startswith(("The file is not valid", "The file must be a mapping"))


def test_problems_are_in_the_order_of_the_file() -> None:
    origins = ["", "file c.yaml:12", "env A", "file c.yaml:3", "file c.yaml", "file c.yaml:12"]
    error = ConfigError([ConfigProblem(str(index), "Wrong.", "", each) for index, each in enumerate(origins)])
    assert [each.path for each in error.problems] == ["3", "1", "5", "0", "2", "4"]
