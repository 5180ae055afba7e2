"""The size check measures files, functions and parameters, finds banned names, and applies its exceptions."""

import ast
from pathlib import Path

import pytest

from scripts import check_sizes as sizes

REPO = Path(__file__).resolve().parents[2]


def _only_function(source: str) -> ast.FunctionDef:
    node = ast.parse(source).body[0]
    assert isinstance(node, ast.FunctionDef)
    return node


def test_docstring_does_not_count_as_lines_of_a_function() -> None:
    plain = _only_function("def f():\n    a = 1\n    return a\n")
    documented = _only_function('def f():\n    """One.\n\n    Two.\n    """\n    a = 1\n    return a\n')
    assert sizes.line_count(plain) == sizes.line_count(documented) == 3


@pytest.mark.parametrize(
    ("source", "count"),
    [
        ("def f(self, a, b): ...", 2),
        ("def f(a, /, b, *, c): ...", 3),
        ("def __init__(self, *, a, b, c, d, e, f, g): ...", 0),
        ("def __init__(self, a, *, b): ...", 2),
        ("def f(*args, **kwargs): ...", 0),
    ],
)
def test_parameters_are_counted_without_self_and_keyword_only_constructors(source: str, count: int) -> None:
    assert sizes.parameter_count(_only_function(source)) == count


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ("class KeyManager: ...", ["KeyManager"]),
        ("def http_handler(): ...", ["http_handler"]),
        ("class Utilisation: ...", []),
        ("def managed(): ...", []),
    ],
)
def test_banned_name_is_found(source: str, names: list[str]) -> None:
    assert list(sizes.banned_names(ast.parse(source), Path("src/intellirouter/core/keys.py"))) == names


def test_long_file_is_found_unless_an_exception_allows_its_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    room = tmp_path / "src" / "intellirouter" / "core"
    room.mkdir(parents=True)
    (room / "long.py").write_text("x = 1\n" * 510)
    allow = tmp_path / "allow.txt"
    monkeypatch.setattr(sizes, "ROOT", tmp_path)
    monkeypatch.setattr(sizes, "ALLOW_LIST", allow)
    place = "src/intellirouter/core/long.py"
    for allowed, status in ((None, 1), (509, 1), (510, 0)):
        allow.write_text("" if allowed is None else f"file {place} {allowed} 2026-01-01 being split\n")
        assert sizes.main() == status
    (room / "long.py").write_text("x = 1\n")
    assert sizes.main() == 1
    assert "no longer needed" in capsys.readouterr().out
