"""`intellirouter catalog`: what is checked, installed and shown."""

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
LIST = [{"id": "acme", "name": "Acme", "api_pattern": "acme", "models": MODELS}]


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("INTELLIR_STORE", f"sqlite:///{tmp_path / 'x.db'}")


def run(*words: str) -> Result:
    return CliRunner().invoke(build_app(), ["catalog", *words])


def written(document: Any) -> str:
    Path("list.json").write_text(json.dumps(document))
    return "list.json"


def test_a_list_is_installed_and_then_shown(tmp_path: Path) -> None:
    assert "(built in)" in run("show", "openai/gpt-4o").output
    done = run("refresh", written(LIST))
    assert done.exit_code == 0, done.output
    assert "12 models of 1 providers, 12 with a price" in done.output
    assert "12 new: acme/m-1, " in done.output
    assert "(2 more)" in done.output
    assert str(tmp_path / "x.catalog.json") in done.output
    shown = json.loads(run("show", "acme/m-3", "--format", "json").output)
    assert shown["file"] == str(tmp_path / "x.catalog.json")
    (row,) = shown["models"]
    assert (row["context_tokens"], row["input_per_1m_usd"], row["output_per_1m_usd"]) == (30, "3", "0")
    assert len(json.loads(run("show", "acme", "--format", "json").output)["models"]) == 12
    assert "unknown" in run("show", "openai/gpt-4o").output


def test_our_own_form_is_taken_too() -> None:
    done = run("refresh", str(DATA_FILE), "--format", "json")
    assert done.exit_code == 0
    assert json.loads(done.output)["changed"] == []


def test_a_check_installs_nothing(tmp_path: Path) -> None:
    done = run("refresh", written(LIST), "--check")
    assert done.exit_code == 0
    assert "nothing was installed" in done.output
    assert not (tmp_path / "x.catalog.json").exists()


@pytest.mark.parametrize("document", [[], {}, "text", [{"id": "acme", "models": [{"id": "m", "match": {"no": "m"}}]}]])
def test_what_is_no_list_is_refused(tmp_path: Path, document: Any) -> None:
    done = run("refresh", written(document))
    assert done.exit_code == ExitStatus.FAILURE
    assert "list.json is not a valid price list" in done.output
    assert "Nothing was changed." in done.output
    assert not (tmp_path / "x.catalog.json").exists()


def test_a_broken_installed_list_is_a_problem_and_is_mended_by_a_refresh(tmp_path: Path) -> None:
    (tmp_path / "x.catalog.json").write_text("{")
    shown = run("show", "acme")
    assert shown.exit_code == ExitStatus.CONFIGURATION
    assert "Run `intellirouter catalog refresh FILE`" in shown.output
    assert run("refresh", written(LIST)).exit_code == 0
    assert run("show", "acme").exit_code == 0


def test_a_configured_file_is_not_hidden_by_an_installed_one() -> None:
    Path("c.yaml").write_text(json.dumps({"catalog": {"file": written(LIST)}}))
    done = run("refresh", "list.json", "--config", "c.yaml")
    assert done.exit_code == ExitStatus.FAILURE
    assert "catalog.file" in done.output
    shown = json.loads(run("show", "acme/m-1", "--config", "c.yaml", "--format", "json").output)
    assert shown["file"] == "list.json"
