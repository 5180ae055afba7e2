"""Certificates and keys for upstreams are checked when the configuration is loaded."""

from pathlib import Path

import pytest

from intellirouter.config import ConfigError, ConfigProblem
from intellirouter.roles import check
from tests.support.providers.loopback import Authority


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"))


def config(tmp_path: Path, *providers: str, url: str = "https://vendor.example/v1") -> Path:
    path = tmp_path / "gateway.yaml"
    rows = [
        f'  p{number}: {{vendor: openai-compatible, base_url: "{url}", credentials: [], {settings}}}\n'
        for number, settings in enumerate(providers, 1)
    ]
    path.write_text("".join(["providers:\n", *rows]))
    return path


def problems(path: Path) -> list[ConfigProblem]:
    with pytest.raises(ConfigError) as caught:
        check(path)
    return caught.value.problems


def test_files_that_can_be_used(authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cert, key = authority.client_certificate()
    monkeypatch.setenv("SSL_CERT_FILE", authority.ca_file)
    settings = f"ca_file: {authority.ca_file}, client_cert_file: {cert}, client_key_file: {key}"
    assert check(config(tmp_path, settings)).providers["p1"].client_certificate is not None


def test_every_problem_is_reported_at_its_setting(authority: Authority, tmp_path: Path) -> None:
    cert, _ = authority.client_certificate()
    _, other_key = authority.client_certificate("other")
    bad = tmp_path / "bad.pem"
    bad.write_text("text")
    path = config(
        tmp_path,
        f"ca_file: {bad}",
        f"client_cert_file: {cert}, client_key_file: {other_key}",
        "client_cert_file: /no/such.pem",
    )
    found = problems(path)
    assert [each.path for each in found] == [
        "providers.p1.ca_file",
        "providers.p2.client_key_file",
        "providers.p3.client_cert_file",
    ]
    assert [each.origin.rpartition(":")[2] for each in found] == ["2", "3", "4"]
    assert "does not belong to the certificate" in found[1].message
    assert check(path, resolves_secrets=False)


def test_bundle_of_the_environment_is_reported_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/no/such.pem")
    (problem,) = problems(config(tmp_path, "region: a", "region: b"))
    assert problem.message == "The CA file /no/such.pem cannot be loaded: No such file or directory."
    assert (problem.path, problem.origin) == ("", "env REQUESTS_CA_BUNDLE")
    assert check(config(tmp_path, "region: a", url="http://127.0.0.1:9/v1"))
