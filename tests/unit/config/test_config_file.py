from pathlib import Path

import pytest

from intellirouter.config import ConfigError, load_config


def test_empty_file_means_defaults(load):
    loaded = load("")
    assert loaded.config.server.port == 8080
    assert set(loaded.origins.values()) == {"default"}


def test_file_of_comments_and_empty_sections_means_defaults(load):
    assert load("# nothing\nproviders:\nserver:\n  port:\nkeys:\n").config == load("").config


def test_yaml_values_carry_their_line(load):
    loaded = load("server:\n  host: localhost\n\n  port: 9000\n")
    assert loaded.origins["server.port"].endswith("config.yaml:4")
    assert loaded.origins["server.host"].endswith("config.yaml:2")
    assert loaded.origins["server.workers"] == "default"


def test_toml_reads_the_same_tree(load):
    toml = '[server]\nport = 9000\n[providers.openai]\nvendor = "openai"\n[models.a]\ndeployments = ["x"]\n'
    yaml = "server: {port: 9000}\nproviders: {openai: {vendor: openai}}\nmodels: {a: {deployments: [x]}}\n"
    loaded = load(toml, name="config.toml")
    assert loaded.config == load(yaml).config
    assert loaded.origins["server.port"].startswith("file ")
    assert loaded.origins["server.port"].endswith("config.toml:2")


def test_duplicate_name_is_an_error_that_names_both_lines(problems_of):
    (problem,) = problems_of("server:\n  port: 1\n  host: a\n  port: 2\n")
    assert problem.path == "server.port"
    assert problem.message == "This name is set more than once."
    assert "line 2" in problem.hint
    assert problem.origin.endswith("config.yaml:4")


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("server:\n  port: [1\n", 3),
        ("a: b: c\n", 1),
        ("server: !!python/object:os.system {}\n", 1),
        ("a: 1\n---\nb: 2\n", 2),
    ],
)
def test_broken_yaml_is_one_problem_with_its_line(problems_of, text, line):
    (problem,) = problems_of(text)
    assert problem.origin.endswith(f"config.yaml:{line}")
    assert problem.message


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [1, 2", "The file is not valid YAML at column 9. A list that starts with `[` in line 1 is not complete."),
        (
            "a: {b: 1",
            "The file is not valid YAML at column 9. A mapping that starts with `{` in line 1 is not complete.",
        ),
        (
            "a: 1\nb: [1, {c: 2]\nd: 3\n",
            "The file is not valid YAML at column 13. A mapping that starts with `{` in line 2 is not complete.",
        ),
        (
            "a: 1\nb: 'x\nd: 3\n",
            "The file is not valid YAML at column 1. A quotation mark in line 2 is not closed.",
        ),
        ("a: ]", "The file is not valid YAML at column 4. A value is missing."),
        ("a: b: c", "The file is not valid YAML at column 5. A second `: ` on the line is not allowed here."),
        ("\ta: 1", "The file is not valid YAML at column 1. A tab is not allowed here."),
        ("a: @x", "The file is not valid YAML at column 4. A value must not start with `@`."),
        ("a: 'x", "The file is not valid YAML at column 6. A quotation mark in line 1 is not closed."),
        (
            "a:\n  b: 1\n c: 2",
            "The file is not valid YAML at column 2. The indentation does not match the lines above.",
        ),
        ("a: *x", "The file is not valid YAML at column 4. The alias refers to an anchor that does not exist."),
        ('a: "\\q"', "The file is not valid YAML at column 6. A backslash in double quotes starts an unknown escape."),
        ("a: !x 1", "The file is not valid YAML at column 4. Tags and directives are not allowed."),
        ("a: &", "The file is not valid YAML at column 5. The name of an anchor or an alias is not valid."),
    ],
)
def test_broken_yaml_is_described_in_sentences_of_our_own(problems_of, text, message):
    (problem,) = problems_of(text)
    assert problem.message == message
    assert problem.hint.endswith(".")


def test_broken_toml_is_an_error_with_its_line(problems_of):
    (problem,) = problems_of("[server\n", name="c.toml")
    assert problem.message.startswith("The file is not valid TOML: ")
    assert problem.origin.endswith("c.toml:1")


def test_top_level_must_be_a_mapping(problems_of):
    assert "mapping" in problems_of("- a\n- b\n")[0].message


def test_missing_and_unreadable_files_are_errors(tmp_path: Path):
    with pytest.raises(ConfigError, match="does not exist"):
        load_config(tmp_path / "absent.yaml", environ={})
    with pytest.raises(ConfigError, match="cannot be read"):
        load_config(tmp_path, environ={})


def test_binary_file_is_rejected(tmp_path: Path):
    path = tmp_path / "c.yaml"
    path.write_bytes(b"server: \xff\xfe\n")
    with pytest.raises(ConfigError, match="UTF-8"):
        load_config(path, environ={})
    path.write_bytes(b"server: \x00\n")
    with pytest.raises(ConfigError, match="not valid YAML"):
        load_config(path, environ={})


def test_huge_file_is_rejected(tmp_path: Path):
    path = tmp_path / "c.yaml"
    path.write_bytes(b"#" * (4 * 1024 * 1024 + 1))
    with pytest.raises(ConfigError, match="larger than 4 MiB"):
        load_config(path, environ={})


def test_alias_bomb_is_rejected_quickly(problems_of):
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    assert "aliases" in problems_of("\n".join(lines))[0].message


def test_deep_nesting_is_rejected(problems_of):
    assert "nested" in problems_of("a: " + "[" * 3000 + "]" * 3000)[0].message


def test_anchors_and_merges_work(load):
    text = """\
providers:
  a: &base {vendor: openai, models: "*", timeouts: {connect_s: 1}}
  b: {<<: *base, vendor: groq}
"""
    config = load(text).config
    assert config.providers["b"].vendor == "groq"
    assert config.providers["b"].timeouts.connect_s == 1


def test_names_are_used_as_written(load):
    config = load("models: {off: {deployments: [x]}, 1.50: {deployments: [x]}}\n").config
    assert list(config.models) == ["off", "1.50"]


def test_syntax_error_does_not_contain_the_line(problems_of):
    (problem,) = problems_of('providers: {a: {credential: "sk-very-secret" "more"}}\n')
    assert "sk-very-secret" not in str(problem)
