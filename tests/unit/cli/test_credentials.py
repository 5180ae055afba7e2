"""`intellirouter credentials`: values are stored and used, but never printed."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from intellirouter.cli import ExitStatus, build_app
from intellirouter.roles import check

SECRET = "sk-very-secret"


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("INTELLIR_SECRET_KEY", raising=False)
    monkeypatch.setenv("INTELLIR_STORE", f"sqlite:///{tmp_path / 'x.db'}")


def run(*words: str, typed: str | None = None) -> Result:
    return CliRunner().invoke(build_app(), ["credentials", *words], input=typed)


def test_credential_is_stored_listed_used_and_removed(tmp_path: Path) -> None:
    stored = run("set", "openai", typed=f"{SECRET}\n")
    assert stored.exit_code == 0, stored.output
    assert f"Created the encryption key {tmp_path / 'x.key'}." in stored.output
    listed = run("list", "--format", "json")
    assert [each["name"] for each in json.loads(listed.output)["credentials"]] == ["openai"]
    assert "openai" in run("list").output
    config = tmp_path / "c.yaml"
    config.write_text("providers: {p: {vendor: openai, credential: 'store:openai'}}\n")
    runtime = check(config)
    assert [each.reveal() for each in runtime.providers["p"].credentials] == [SECRET]
    rekeyed = run("rekey")
    assert "Re-encrypted 1 stored credential with the new key." in rekeyed.output
    assert [each.reveal() for each in check(config).providers["p"].credentials] == [SECRET]
    assert run("remove", "openai").exit_code == 0
    assert "No credentials are stored." in run("list").output
    for result in (stored, listed, rekeyed):
        assert SECRET not in result.output
        assert (tmp_path / "x.key").read_text().strip() not in result.output


def test_reference_to_a_missing_credential_is_a_configuration_problem(tmp_path: Path) -> None:
    config = tmp_path / "c.yaml"
    config.write_text("providers: {p: {vendor: openai, credential: 'store:nobody'}}\n")
    result = CliRunner().invoke(build_app(), ["config", "check", str(config)])
    assert result.exit_code == ExitStatus.CONFIGURATION
    assert "There is no stored credential `nobody`." in result.output
    assert "To store it, run `intellirouter credentials set nobody`." in result.output
    run("set", "somebody", typed=SECRET)
    result = CliRunner().invoke(build_app(), ["config", "check", str(config)])
    assert "Did you mean `store:somebody`? If not, run `intellirouter credentials set nobody`." in result.output


def test_wrong_encryption_key_is_a_configuration_problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run("set", "openai", typed=SECRET)
    monkeypatch.setenv("INTELLIR_SECRET_KEY", "00" * 32)
    config = tmp_path / "c.yaml"
    config.write_text("providers: {p: {vendor: openai, credential: 'store:openai'}}\n")
    result = CliRunner().invoke(build_app(), ["config", "check", str(config)])
    assert result.exit_code == ExitStatus.CONFIGURATION
    assert "cannot be decrypted with this key" in result.output
    assert "00" * 32 not in result.output


def test_rekey_with_keys_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INTELLIR_SECRET_KEY", "00" * 32)
    assert "Created the encryption key" not in run("set", "a", typed="1").output
    refused = run("rekey")
    assert refused.exit_code == ExitStatus.FAILURE
    assert "INTELLIR_SECRET_KEY_NEW" in refused.output
    monkeypatch.setenv("INTELLIR_SECRET_KEY_NEW", "11" * 32)
    assert "Now set INTELLIR_SECRET_KEY to the new key." in run("rekey").output


@pytest.mark.parametrize(
    ("words", "typed", "status", "message"),
    [
        (("set", "a b"), "x", ExitStatus.USAGE, "Invalid credential name."),
        (("set", "a"), " \n", ExitStatus.FAILURE, "The credential is empty."),
        (("remove", "a"), None, ExitStatus.FAILURE, "no stored credential named a"),
        (("rekey",), None, ExitStatus.FAILURE, "missing"),
        (("list", "--config", "nowhere.yaml"), None, ExitStatus.CONFIGURATION, "nowhere.yaml"),
    ],
)
def test_invalid_use_is_reported(words: tuple[str, ...], typed: str | None, status: ExitStatus, message: str) -> None:
    result = run(*words, typed=typed)
    assert (result.exit_code, message in result.output) == (status, True), result.output
