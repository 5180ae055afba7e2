"""The wording check finds messages without a full stop and banned expressions, and applies its allow-list."""

import ast
from pathlib import Path

import pytest

from scripts import check_wording as wording

PLACE = "src/intellirouter/room/module.py"


def unfinished(source: str) -> list[str]:
    tree = ast.parse(source)
    return [each.text for each in wording.unfinished_sentences(tree, PLACE, wording.checked_classes([TREE, tree]))]


TREE = ast.parse("class InvalidRequest(GatewayError): ...\nclass UpstreamError(GatewayError): ...")


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("errors.InvalidRequest('It failed.')", []),
        ("errors.InvalidRequest('Is it running?')", []),
        ("""errors.InvalidRequest('It said "no."')""", []),
        ("errors.InvalidRequest('See `a.b`.')", []),
        ("errors.InvalidRequest('It failed (twice.)')", []),
        ("errors.InvalidRequest('It failed')", ["It failed"]),
        ("InvalidRequest('It failed')", ["It failed"]),
        ("errors.InvalidRequest(f'No {name}.')", []),
        ("errors.InvalidRequest(f'No {name}')", ["No {}"]),
        ("errors.InvalidRequest('One, ' 'two')", ["One, two"]),
        ("errors.InvalidRequest('It ' + 'failed')", ["failed"]),
        ("errors.InvalidRequest(text or 'unknown')", ["unknown"]),
        ("errors.InvalidRequest('a' if x else 'B.')", ["a"]),
        ("errors.InvalidRequest('It failed.', hint='Fix it')", ["Fix it"]),
        ("errors.InvalidRequest('It failed.', hint='')", []),
        ("errors.InvalidRequest('It failed.', code='no_stop', param='model')", []),
        ("errors.InvalidRequest(message)", []),
        ("ConfigProblem('a.path', 'It is wrong', 'Fix it')", ["It is wrong", "Fix it"]),
        ("LineError(code='x', message='It is wrong')", ["It is wrong"]),
        ("class Missing(UpstreamError):\n    hint = 'Fix it'", ["Fix it"]),
        ("class Other:\n    hint = 'fix'", []),
        ("ValueError('it failed')", []),
    ],
)
def test_message_without_a_full_stop_is_found(source: str, found: list[str]) -> None:
    assert unfinished(source) == found


def test_message_in_a_variable_is_found_within_its_function() -> None:
    source = """
TEXT = "No stop"
def one():
    message = "First" if x else "Second."
    raise errors.InvalidRequest(message)
def two():
    message = "unrelated"
    raise errors.InvalidRequest(TEXT)
"""
    assert unfinished(source) == ["First", "No stop"]


def test_subclass_in_another_module_is_checked() -> None:
    base = ast.parse("class Missing(InvalidRequest): ...")
    assert "Missing" in wording.checked_classes([base, TREE])


def test_banned_expression_is_found_across_lines(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    banned = tmp_path / "banned.txt"
    banned.write_text("# a comment\n\n\\bdone lately\\b  # recent\n")
    monkeypatch.setattr(wording, "BANNED", banned)
    phrases = wording.banned_phrases()
    [finding] = wording.phrase_findings("x = 1\n# what was done\n# lately\n", PLACE, phrases)
    assert (finding.line, finding.problem) == (2, "Write instead: recent")
    assert list(wording.phrase_findings("# done latelyish\n", PLACE, phrases)) == []


def test_every_banned_expression_has_a_replacement() -> None:
    assert all(replacement for _, replacement in wording.banned_phrases())


def test_allow_list_covers_what_it_names_and_must_be_needed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("one", "two"):
        module = tmp_path / "src" / name / "module.py"
        module.parent.mkdir(parents=True)
        module.write_text("GatewayError(f'no {name}')\n")
    allowed = tmp_path / "allow.txt"
    monkeypatch.setattr(wording, "ROOT", tmp_path)
    monkeypatch.setattr(wording, "TREES", ("src",))
    monkeypatch.setattr(wording, "ALLOWED", allowed)
    exclude = "exclude src/one 2026-01-01 being rewritten\n"
    message = "message src/two/module.py | no {} | a vendor's wording\n"
    for text, status in (("", 1), (exclude, 1), (exclude + message, 0), (exclude + message.replace("no", "not"), 1)):
        allowed.write_text(text)
        assert wording.main() == status
    (tmp_path / "src" / "one" / "module.py").write_text("")
    allowed.write_text(exclude + message)
    assert wording.main() == 1
    assert "no longer needed" in capsys.readouterr().out


def test_invalid_allow_list_entry_is_reported(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    allowed = tmp_path / "allow.txt"
    allowed.write_text("message src/a.py without separators\n")
    monkeypatch.setattr(wording, "ALLOWED", allowed)
    with pytest.raises(SystemExit, match=r"allow\.txt:1"):
        wording.allowances()
