"""Commands that read or write a configuration, run with the real implementation."""

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from typer.testing import CliRunner, Result

from intellirouter import config, roles
from intellirouter.cli import ExitStatus, build_app
from intellirouter.config import config_file

GOOD = """\
server: {port: 9001}
providers:
  lab: {vendor: fake}
deployments:
  echo: {provider: lab, model: "fake/echo"}
models:
  auto: {deployments: [echo]}
"""
BAD = """\
server: {prot: 9001}
providers:
  lab: {vendor: fake}
models:
  auto: {deployments: 5}
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "gateway.yaml"
    path.write_text(GOOD)
    return path


def run(*arguments: object) -> Result:
    return CliRunner().invoke(build_app(), [str(each) for each in arguments])


def test_valid_file_is_summarized(file: Path) -> None:
    result = run("config", "check", file)
    assert result.exit_code == ExitStatus.OK
    assert result.stdout == f"{file} is valid: 1 provider, 1 deployment, 1 model, 0 keys.\n"


@pytest.mark.parametrize("command", [("config", "check"), ("config", "show"), ("serve", "--config")])
def test_all_problems_are_listed_with_origin_and_hint(tmp_path: Path, command: tuple[str, ...]) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(BAD)
    result = run(*command, path)
    assert result.exit_code == ExitStatus.CONFIGURATION
    assert "Error: The configuration has 2 problems." in result.stderr
    assert "server.prot" in result.stderr
    assert "port" in result.stderr
    assert f"{path.name}:1" in result.stderr
    assert "models.auto.deployments" in result.stderr
    assert result.stdout == ""


def test_check_as_data(file: Path, tmp_path: Path) -> None:
    found = json.loads(run("config", "check", file, "--format", "json").stdout)
    assert found == {"file": str(file), "is_valid": True, "problems": [], "warnings": []}
    bad = tmp_path / "bad.yaml"
    bad.write_text(BAD)
    result = run("config", "check", bad, "--format", "json")
    assert result.exit_code == ExitStatus.CONFIGURATION
    problems = json.loads(result.stdout)["problems"]
    assert [each["path"] for each in problems] == ["server.prot", "models.auto.deployments"]
    assert problems[0]["hint"] == "Did you mean `port`?"


def test_check_without_secrets(tmp_path: Path) -> None:
    path = tmp_path / "gateway.yaml"
    path.write_text("providers: {a: {vendor: openai}, b: {vendor: groq, credential: 'env:NO_SUCH_VARIABLE'}}\n")
    assert run("config", "check", path).exit_code == ExitStatus.CONFIGURATION
    assert run("config", "check", path, "--no-secrets").exit_code == ExitStatus.OK


def test_missing_file_is_a_configuration_problem(tmp_path: Path) -> None:
    assert run("config", "check", tmp_path / "none.yaml").exit_code == ExitStatus.CONFIGURATION


def test_show_prints_effective_values_and_their_origin(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INTELLIR_SERVER__HOST", "127.0.0.2")
    shown = json.loads(run("config", "show", "--origin", file, "--format", "json").stdout)
    assert shown["server.port"] == {"value": 9001, "origin": f"file {file}:1"}
    assert shown["server.host"] == {"value": "127.0.0.2", "origin": "env INTELLIR_SERVER__HOST"}
    assert shown["server.workers"]["origin"] == "default"
    plain = yaml.safe_load(run("config", "show", file, "--format", "yaml").stdout)
    assert plain["server.port"] == 9001
    table = run("config", "show", "--origin", file).stdout
    assert any(line.split()[:2] == ["server.port", "9001"] for line in table.splitlines())


NOT_IN_FORCE = """\
providers: {f: {vendor: fake, region: eu}}
deployments: {d: {provider: f, model: echo}}
models: {m: {deployments: [d], strategy: adaptive, target_quality: 0.5}}
tenants: {t: {tier: pro, budget: {usd: 5}}}
keys: [{key: "env:K", tenant: t}]
"""


def test_show_says_what_is_not_in_force(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UI_PORT", "3001")
    path = tmp_path / "config.yaml"
    path.write_text(NOT_IN_FORCE)
    shown = json.loads(run("config", "show", "--origin", path, "--format", "json").stdout)
    noted = {name for name, entry in shown.items() if "note" in entry}
    assert noted == {
        "providers.f.region", "models.m.strategy", "models.m.target_quality", "tenants.t.tier",
        "tenants.t.budget.usd", "tenants.t.budget.window", "tenants.t.budget.alert", "tenants.t.budget.soft",
        "tenants.t.budget.hard",
    }  # fmt: skip
    assert shown["models.m.strategy"]["note"].endswith("`priority` is used instead.")
    table = run("config", "show", path)
    (line,) = [line for line in table.stdout.splitlines() if line.startswith("models.m.target_quality")]
    assert line.rstrip().endswith("This setting is not enforced in this version.")
    assert table.stderr.count("Warning: ") == 1
    assert "Warning: UI_PORT: This variable has no effect" in table.stderr
    plain = run("config", "show", path, "--format", "json")
    assert json.loads(plain.stdout)["models.m.strategy"] == "adaptive"
    assert "Warning: models.m.strategy: " in plain.stderr


def test_show_names_the_settings_from_environment_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("API_PORT", "9001")
    assert "Set by environment variables: server.port (API_PORT).\n" in run("config", "show").stderr
    assert "Set by" not in run("config", "show", "--origin").stderr


def test_show_works_for_a_configuration_with_problems(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text("deployments: {d: {provider: nobody, model: m}}")
    shown = run("config", "show", path)
    assert shown.exit_code == ExitStatus.OK
    assert "deployments.d.provider" in shown.stdout
    assert shown.stderr == run("config", "check", path).stderr.removeprefix("Error: ")


@pytest.mark.parametrize("command", [("config", "check"), ("config", "show"), ("serve",), ("discover",)])
def test_the_file_is_an_argument_or_an_option(tmp_path: Path, command: tuple[str, ...]) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(BAD)
    by_argument, by_option = run(*command, path), run(*command, "--config", path)
    assert by_argument.exit_code == by_option.exit_code == ExitStatus.CONFIGURATION
    assert by_argument.stderr == by_option.stderr == run("config", "check", path).stderr
    assert run(*command, path, "-c", path).stderr == by_argument.stderr
    twice = run(*command, path, "-c", tmp_path / "other.yaml")
    assert twice.exit_code == ExitStatus.USAGE
    assert "The configuration file is given twice" in twice.stderr


@pytest.mark.parametrize(
    ("command", "hint"),
    [
        (("credentials", "list", "a.yaml"), " Use --config a.yaml."),
        (("init", "a.toml"), " Use --output a.toml."),
        (("credentials", "list", "words"), ""),
        (("serve", "a.yaml", "b.yaml"), ""),
        (("health", "a.yaml"), ""),
    ],
)
def test_file_in_a_wrong_place_gets_a_hint(command: tuple[str, ...], hint: str) -> None:
    result = run(*command)
    assert result.exit_code == ExitStatus.USAGE
    assert f"Unexpected argument: {command[-1]}.{hint}\n" in result.stderr


INVALID_AND_INCONSISTENT = """\
server: {prot: 9001}
providers:
  lab: {vendor: nope, ca_file: /no/such/file}
  cloud: {vendor: groq, credential: "env:NO_SUCH_VARIABLE"}
deployments:
  one: {provider: lab, weight: -1}
models:
  m: {deployments: [one, two], strategy: fast}
keys: [{key: "env:NO_SUCH_KEY", tenant: nobody}]
catalog: {file: /no/such/prices.json}
"""


def test_all_commands_list_the_same_problems(tmp_path: Path) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(INVALID_AND_INCONSISTENT)
    checked = run("config", "check", path)
    expected = (
        "server.prot", "providers.lab.vendor", "providers.lab.ca_file", "providers.cloud.credential",
        "deployments.one.weight", "deployments.one.model", "models.m.deployments[1]", "models.m.strategy",
        "keys[0].tenant", "keys[0].key", "catalog.file",
    )  # fmt: skip
    lines = [line.strip() for line in checked.stderr.splitlines() if "[file " in line]
    assert tuple(line.partition(": ")[0] for line in lines) == expected
    others = (
        ("serve", "--config", path), ("config", "show", path), ("discover", path),
        ("credentials", "list", "--config", path), ("catalog", "show", "openai", "--config", path),
    )  # fmt: skip
    for command in others:
        found = run(*command)
        assert (found.exit_code, found.stderr) == (ExitStatus.CONFIGURATION, checked.stderr)


@pytest.mark.parametrize("command", [("config", "check"), ("config", "show"), ("serve",), ("discover",)])
def test_a_file_that_cannot_be_read_is_a_configuration_problem(
    file: Path, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
) -> None:
    def refuse(*_: object) -> bytes:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "access", lambda *_args, **_options: False)
    monkeypatch.setattr(config_file, "read_bounded", refuse)
    by_argument, by_option = run(*command, file), run(*command, "--config", file)
    for result in (by_argument, by_option):
        assert result.exit_code == ExitStatus.CONFIGURATION
        assert f"The file cannot be read: Permission denied.  [file {file}]" in result.stderr
    monkeypatch.undo()
    directory = run(*command, file.parent)
    assert directory.exit_code == ExitStatus.CONFIGURATION
    assert f"The file cannot be read: Is a directory.  [file {file.parent}]" in directory.stderr


def test_no_command_leaves_the_check_of_a_file_to_the_command_line() -> None:
    def files(command: Any) -> Iterator[Any]:
        described = [each.type_descriptor for each in command.params]
        yield from (each.parameter_info for each in described if each.annotation is Path)
        for name in command.list_commands(None) if hasattr(command, "list_commands") else ():
            yield from files(command.get_command(None, name))

    found = list(files(typer.main.get_command(build_app())))
    assert len(found) > 10
    assert not any(each.readable for each in found)


def test_the_hint_for_a_missing_file_names_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "dangling.yaml").symlink_to("nowhere.yaml")
    hints = {
        "nope.yaml": "Check the path, or run `intellirouter init -o nope.yaml` to create the file",
        "intellirouter.yaml": "or run `intellirouter init` to create the file",
        "two words.yaml": "`intellirouter init -o 'two words.yaml'`",
        "none/nope.yaml": "The directory none does not exist either.",
        "nope.toml": "`intellirouter init` writes YAML files only.",
        "dangling.yaml": "It is a symbolic link to a file that does not exist.",
    }
    for name, hint in hints.items():
        result = run("serve", name)
        assert result.exit_code == ExitStatus.CONFIGURATION
        assert hint in result.stderr


def test_show_without_a_file_uses_defaults_and_environment() -> None:
    assert json.loads(run("config", "show", "--format", "json").stdout)["server.port"] == 8080


def test_the_file_in_the_working_directory_is_used_and_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "intellirouter.yaml").write_text(GOOD)
    checked = run("config", "check")
    assert checked.stdout.startswith("intellirouter.yaml is valid: 1 provider,")
    assert checked.stderr == "Using intellirouter.yaml in this directory.\n"
    assert json.loads(run("config", "show", "--format", "json").stdout)["server.port"] == 9001


def test_check_without_a_file_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = run("config", "check")
    assert result.exit_code == ExitStatus.FAILURE
    assert "There is no intellirouter.yaml in this directory." in result.stderr
    assert "intellirouter init" in result.stderr


def test_schema_is_printed_as_json_and_yaml() -> None:
    schema = json.loads(run("config", "schema").stdout)
    assert "server" in schema["properties"]
    assert yaml.safe_load(run("config", "schema", "--format", "yaml").stdout) == schema


@pytest.fixture
def bare_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that offers one provider. Tests must not probe the ports of real local servers."""

    def discover(_environ: Mapping[str, str]) -> config.Discovery:
        found = {"providers": {"lab": {"vendor": "fake", "models": "*"}}}
        return config.Discovery(found, ("the lab answers",))

    monkeypatch.setattr(roles, "discover_here", discover)


@pytest.mark.usefixtures("bare_machine")
def test_init_writes_a_valid_file(tmp_path: Path) -> None:
    path = tmp_path / "new.yaml"
    result = run("init", "--output", path)
    assert result.exit_code == ExitStatus.OK
    assert "Added: the lab answers" in result.stdout
    assert f"intellirouter serve --config {path}" in result.stdout
    assert run("config", "check", path).exit_code == ExitStatus.OK


@pytest.mark.usefixtures("bare_machine")
def test_init_writes_the_file_that_serve_reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert run("init").stdout.endswith("To start the gateway, run: intellirouter serve\n")
    paths: list[Path | None] = []
    monkeypatch.setattr(roles, "serve", lambda path, _: paths.append(path) or 0)
    assert run("serve").exit_code == run("serve", "--discover").exit_code == ExitStatus.OK
    assert paths == [Path("intellirouter.yaml"), None]
    both = run("serve", "--discover", "--config", "intellirouter.yaml")
    assert both.exit_code == ExitStatus.USAGE
    assert "Use either --config or --discover." in both.stderr


@pytest.mark.usefixtures("bare_machine")
def test_init_does_not_overwrite_unless_forced(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("mine")
    refused = run("init", "--output", path)
    assert refused.exit_code == ExitStatus.FAILURE
    assert "--force" in refused.stderr
    assert path.read_text() == "mine"
    assert run("init", "--output", path, "--force").exit_code == ExitStatus.OK
    assert path.read_text() != "mine"


@pytest.mark.usefixtures("bare_machine")
def test_init_prints_to_standard_output(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = run("init", "--output", "-")
    assert "lab" in yaml.safe_load(result.stdout)["providers"]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("bare_machine")
def test_init_reports_a_write_error(tmp_path: Path) -> None:
    result = run("init", "--output", tmp_path / "no" / "such" / "folder.yaml")
    assert result.exit_code == ExitStatus.FAILURE
    assert "Cannot write" in result.stderr


def test_init_does_not_write_yaml_to_a_toml_file(tmp_path: Path) -> None:
    result = run("init", "--output", tmp_path / "new.toml")
    assert result.exit_code == ExitStatus.FAILURE
    assert "because `init` writes YAML" in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_similar_file_next_to_the_configuration_is_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "intellirouter.yaml").write_text(GOOD)
    (tmp_path / "intellirouter.yml").write_text(GOOD)
    warning = "Warning: intellirouter.yml: This file is not read, because intellirouter.yaml exists."
    assert warning in run("config", "check").stderr
    assert warning in run("config", "show").stderr


def test_serve_overrides_only_the_settings_of_given_options(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[Path | None, Any]] = []

    def serve(path: Path | None, overrides: Mapping[str, object]) -> int:
        seen.append((path, overrides))
        return 7

    monkeypatch.setattr(roles, "serve", serve)
    assert run("serve", "--config", file, "--port", "0", "--log-level", "debug").exit_code == 7
    assert run("serve", "--host", "::1", "--role", "monolith").exit_code == 7
    assert seen == [
        (file, {"server.port": 0, "logging.level": "debug"}),
        (None, {"server.host": "::1", "server.role": "monolith"}),
    ]
