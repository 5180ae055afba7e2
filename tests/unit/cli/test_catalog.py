"""`intellirouter catalog`: price lists are checked, installed and shown."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from intellirouter.catalog.prices import DATA_FILE
from intellirouter.cli import ExitStatus, build_app

MODELS = [
    {"id": f"m-{n}", "match": {"equals": f"m-{n}"}, "context_window": 10 * n, "prices": {"input_mtok": n}}
    for n in range(1, 13)
]
INSTALLED = "x.catalog.json"
LIST = [{"id": "acme", "name": "Acme", "api_pattern": "acme", "models": MODELS}]


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("INTELLIR_STORE", f"sqlite:///{tmp_path / 'x.db'}")


def run(*words: str) -> Result:
    return CliRunner().invoke(build_app(), ["catalog", *words])


def write_list(document: Any) -> str:
    Path("list.json").write_text(json.dumps(document))
    return "list.json"


def test_price_list_is_installed_and_shown(tmp_path: Path) -> None:
    assert "(built in)" in run("show", "openai/gpt-4o").output
    done = run("refresh", write_list(LIST))
    assert done.exit_code == 0, done.output
    assert "12 models from 1 provider, 12 with a price" in done.output
    assert "12 added: acme/m-1, " in done.output
    assert "(2 more)" in done.output
    assert str(tmp_path / INSTALLED) in done.output
    shown = json.loads(run("show", "acme/m-3", "--format", "json").output)
    assert shown["file"] == str(tmp_path / INSTALLED)
    (row,) = shown["models"]
    assert (row["context_tokens"], row["input_per_1m_usd"], row["output_per_1m_usd"]) == (30, "3", "0")
    assert len(json.loads(run("show", "acme", "--format", "json").output)["models"]) == 12
    assert "unknown" in run("show", "openai/gpt-4o").output


def test_own_format_is_accepted() -> None:
    done = run("refresh", str(DATA_FILE), "--format", "json")
    assert done.exit_code == 0
    assert json.loads(done.output)["changed"] == []


def test_check_does_not_install(tmp_path: Path) -> None:
    done = run("refresh", write_list(LIST), "--check")
    assert done.exit_code == 0
    assert "It was not installed." in done.output
    assert not (tmp_path / INSTALLED).exists()


@pytest.mark.parametrize("document", [[], {}, "text", [{"id": "acme", "models": [{"id": "m", "match": {"no": "m"}}]}]])
def test_invalid_list_is_rejected(tmp_path: Path, document: Any) -> None:
    done = run("refresh", write_list(document))
    assert done.exit_code == ExitStatus.FAILURE
    assert "list.json is not a valid price list" in done.output
    assert "Nothing was changed." in done.output
    assert not (tmp_path / INSTALLED).exists()


def test_refresh_replaces_a_broken_installed_list(tmp_path: Path) -> None:
    (tmp_path / INSTALLED).write_text("{")
    shown = run("show", "acme")
    assert shown.exit_code == ExitStatus.CONFIGURATION
    assert "intellirouter catalog refresh FILE" in shown.output
    assert run("refresh", write_list(LIST)).exit_code == 0
    assert run("show", "acme").exit_code == 0


def test_configured_file_takes_precedence_over_an_installed_one() -> None:
    Path("c.yaml").write_text(json.dumps({"catalog": {"file": write_list(LIST)}}))
    done = run("refresh", "list.json", "--config", "c.yaml")
    assert done.exit_code == ExitStatus.FAILURE
    assert "catalog.file" in done.output
    shown = json.loads(run("show", "acme/m-1", "--config", "c.yaml", "--format", "json").output)
    assert shown["file"] == "list.json"


@pytest.mark.parametrize(("name", "similar"), [("opnai", "openai"), ("opnai/gpt-4o", "openai/gpt-4o"), ("zzzz", "")])
def test_name_that_is_not_listed_fails_with_a_similar_one(name: str, similar: str) -> None:
    done = run("show", name)
    assert done.exit_code == ExitStatus.FAILURE
    assert f"The price list does not contain `{name}`." in done.output
    assert (f"Did you mean `{similar}`?" in done.output) is bool(similar)


def test_configured_file_that_is_invalid_is_reported_with_its_line() -> None:
    Path("bad.json").write_text("{")
    Path("c.yaml").write_text("catalog:\n  file: bad.json\n")
    done = run("show", "acme", "--config", "c.yaml")
    assert done.exit_code == ExitStatus.CONFIGURATION
    assert "[file c.yaml:2]" in done.output
