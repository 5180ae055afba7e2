"""Help pages on narrow terminals: no name is broken."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from intellirouter.cli import build_app
from intellirouter.cli.help_text import wrap


def commands(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    yield path, command
    for name, child in getattr(command, "commands", {}).items():
        yield from commands(child, (*path, name))


ALL = dict(commands(typer.main.get_command(build_app())))
NAME = re.compile(r"(?<![\w-])--?[a-z][a-z-]*|[A-Z]+(?:_[A-Z]+)+|`[^`]+`|https?://[^\s,]+\b")
"""Options, variables, code spans and URLs."""


@pytest.mark.parametrize("columns", [40, 50, 60, 80])
@pytest.mark.parametrize("path", ALL, ids=lambda path: " ".join(path) or "intellirouter")
def test_names_are_never_broken(path: tuple[str, ...], columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    command = ALL[path]
    monkeypatch.setenv("COLUMNS", str(columns))
    shown = CliRunner().invoke(build_app(), [*path, "--help"]).stdout
    lines = shown.splitlines()
    texts = [command.help or "", *(each.help or "" for each in command.params)]
    names = {name for text in texts for name in NAME.findall(" ".join(text.split())) if len(name) <= columns - 10}
    names |= {name for each in command.params for name in each.opts if name.startswith("-")}
    names |= set(getattr(command, "commands", {}))
    for name in names:
        assert any(name in line for line in lines), name
    longest = max(len(word) for text in (*texts, *names, shown) for word in text.split())
    assert all(len(line) <= max(columns - 2, longest + 8) for line in lines)


def test_descriptions_of_commands_are_complete(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "50")
    shown = CliRunner().invoke(build_app(), ["--help"]).stdout
    assert "..." not in shown.partition("Commands:")[2]
    assert "Run the gateway until it receives SIGINT (Ctrl-C) or SIGTERM." in " ".join(shown.split())


@pytest.mark.parametrize(
    ("text", "width", "lines"),
    [
        ("one two three", 7, ["one two", "three"]),
        ("set --no-secrets now", 12, ["set", "--no-secrets", "now"]),
        ("run `a b c`. Then", 9, ["run", "`a b c`.", "Then"]),
        ("run `a b c d e`.", 6, ["run `a", "b c d", "e`."]),
        ("unbreakable", 4, ["unbreakable"]),
        ("", 4, []),
    ],
)
def test_lines_are_broken_between_words(text: str, width: int, lines: list[str]) -> None:
    assert wrap(text, width) == lines
