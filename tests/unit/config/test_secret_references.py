"""Secrets that cannot be read or sent."""

import pytest

from intellirouter.core import Secret


@pytest.mark.parametrize("value", ["sk-secret\r\n", " sk-secret\n", "sk-secret"])
def test_white_space_around_a_secret_is_removed(compile_text, tmp_path, value):
    path = tmp_path / "k"
    path.write_bytes(value.encode())
    for reference in ("env:K", f"file:{path}"):
        text = f"providers: {{p: {{vendor: fake, credential: '{reference}'}}}}"
        assert compile_text(text, environ={"K": value}).providers["p"].credentials == (Secret("sk-secret"),)


@pytest.mark.parametrize("value", ["sk-secret\nx", "sk-secret\x7f", "sk-sécret"])
def test_secret_that_cannot_be_sent_is_rejected_by_the_name_of_its_source(compile_problems, value):
    text = "providers: {p: {vendor: fake, credential: 'env:K'}}\nkeys: [{name: a, key: 'env:K'}]"
    problems = compile_problems(text, environ={"K": value})
    assert [problem.path for problem in problems] == ["providers.p.credential", "keys[0].key"]
    assert all("environment variable K contains characters" in problem.message for problem in problems)
    assert "sk-s" not in str(problems)


@pytest.mark.parametrize("reference", ["file:~no-such-user/key", "file:/dev/null/key", "file:/tmp"])
def test_secret_file_that_cannot_be_read_is_a_problem(compile_problems, reference):
    (problem,) = compile_problems(f"providers: {{p: {{vendor: fake, credential: '{reference}'}}}}")
    assert "cannot be read: " in problem.message


@pytest.mark.parametrize("setting", ["store", "server.unix_socket", "server.tls_cert_file", "host.cache_dir"])
def test_null_character_in_a_path_is_a_problem(problems_of, setting):
    section, _, name = setting.partition(".")
    value = '"/a\\0b"' if name else '"sqlite:////a\\0b"'
    (problem,) = problems_of(f"{section}: {{{name}: {value}}}" if name else f"{section}: {value}")
    assert "null character" in problem.message
