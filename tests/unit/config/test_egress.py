"""Proxies and client certificates of providers: their settings, the environment, and what is reported."""

from collections.abc import Callable
from pathlib import Path

import pytest

from intellirouter.config import ConfigProblem, Runtime, compile_config, effective_settings, load_config
from intellirouter.config.secret_references import SecretSources
from intellirouter.core import DIRECT, ClientCertificate, Proxy, Secret

Compile = Callable[..., Runtime]
Problems = Callable[..., list[ConfigProblem]]

URL = "https://vendor.example/v1"


def provider(settings: str, url: str = URL) -> str:
    return f'providers: {{p: {{vendor: openai-compatible, base_url: "{url}", credentials: []{settings}}}}}\n'


def proxy_of(runtime: Runtime, host: str = "vendor.example") -> Proxy | None:
    return runtime.providers["p"].proxies.proxy_for("https", host, 443)


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        ("", "http://corp.example:8080"),
        (", proxy: null", "http://corp.example:8080"),
        (", proxy: none", None),
        (", proxy: NONE", None),
        (", proxy: off", None),
        (', proxy: "http://own.example:3128"', "http://own.example:3128"),
        (', proxy: "own.example:3128"', "http://own.example:3128"),
        (', proxy: "https://ann:s3cret@own.example"', "https://own.example:443"),
        (', proxy: "env:OWN"', "http://own.example:1"),
    ],
)
def test_setting_takes_precedence_over_the_environment(
    compile_text: Compile, setting: str, expected: str | None
) -> None:
    environ = {
        "HTTPS_PROXY": "http://corp.example:8080",
        "NO_PROXY": ".local",
        "OWN": "http://ann:s3cret@own.example:1",
    }
    runtime = compile_text(provider(setting), environ=environ)
    found = proxy_of(runtime)
    assert (found and str(found)) == expected
    assert "s3cret" not in repr(runtime)


def test_own_proxy_holds_for_loopback_and_for_exceptions_of_the_environment(compile_text: Compile) -> None:
    environ = {"NO_PROXY": "*"}
    own = compile_text(provider(', proxy: "http://own.example:1"'), environ=environ)
    assert str(proxy_of(own, "localhost")) == "http://own.example:1"
    assert proxy_of(compile_text(provider(""), environ={**environ, "ALL_PROXY": "http://corp.example"})) is None


def test_environment_is_used_for_other_connections(compile_text: Compile) -> None:
    environ = {"ALL_PROXY": "http://corp.example", "SSL_CERT_FILE": "/etc/corp.pem"}
    runtime = compile_text(provider(", proxy: none"), environ=environ)
    assert str(runtime.environment_proxies.http) == "http://corp.example:80"
    assert runtime.trust.paths == (("SSL_CERT_FILE", "/etc/corp.pem"),)
    assert compile_text("").environment_proxies == DIRECT


@pytest.mark.parametrize(
    ("settings", "path", "message"),
    [
        (', proxy: "socks5://own.example:1080"', "proxy", "SOCKS proxies are not supported."),
        (', proxy: "socks5h://ann:s3cret@own.example"', "proxy", "SOCKS proxies are not supported."),
        (', proxy: "ftp://own.example"', "proxy", "must start with `http://` or `https://`"),
        (', proxy: "http://ann:s3cret@own.example/x"', "proxy", "must not contain a path"),
        (', proxy: ""', "proxy", "invalid host or port"),
        (', proxy: "env:NOPE"', "proxy", "The environment variable NOPE is not set."),
        (', proxy: "env:BAD"', "proxy", "SOCKS proxies are not supported."),
        (", client_key_file: /k.pem", "client_key_file", "A private key needs a certificate."),
        (', client_key_password: "env:PW"', "client_key_password", "A private key needs a certificate."),
        (', client_cert_file: /c, client_key_password: "env:NOPE"', "client_key_password", "NOPE is not set"),
        (", client_cert_file: /c, client_key_password: s3cret", "client_key_password", "must be a reference"),
    ],
)
def test_problems(compile_problems: Problems, settings: str, path: str, message: str) -> None:
    environ = {"BAD": "socks5://ann:s3cret@p", "PW": "s3cret"}
    (problem,) = compile_problems(provider(settings), environ=environ)
    assert problem.path == f"providers.p.{path}"
    assert message in problem.message
    assert problem.origin.endswith("config.yaml:1")
    assert "s3cret" not in str(problem)


def test_unix_socket_has_no_proxy(compile_text: Compile, compile_problems: Problems) -> None:
    unix = provider(', proxy: "http://own.example"', "unix:/run/w.sock")
    assert "not reached through a proxy" in compile_problems(unix)[0].message
    environ = {"ALL_PROXY": "socks5://p"}
    assert compile_text(provider("", "unix:/run/w.sock"), environ=environ).providers["p"].uds == "/run/w.sock"


def test_unusable_proxy_of_the_environment_is_one_problem(compile_text: Compile, compile_problems: Problems) -> None:
    environ = {"ALL_PROXY": "socks5://ann:s3cret@corp.example"}
    text = "providers: {a: {vendor: openai, credentials: []}, b: {vendor: gemini, credentials: []}}\n"
    (problem,) = compile_problems(text, environ=environ)
    assert problem.message == "The proxy in ALL_PROXY, which `a`, `b` would need, cannot be used."
    assert problem.hint.startswith("SOCKS proxies are not supported.")
    assert problem.origin == "env ALL_PROXY"
    assert "s3cret" not in str(problem)
    for settings, url in ((", proxy: none", URL), ("", "http://127.0.0.1:9/v1"), ("", "http://localhost:9/v1")):
        assert compile_text(provider(settings, url), environ=environ).providers


def test_client_certificate(compile_text: Compile) -> None:
    settings = ', client_cert_file: /c.pem, client_key_file: /k.pem, client_key_password: "env:PW"'
    runtime = compile_text(provider(settings), environ={"PW": "s3cret"})
    expected = ClientCertificate(cert_file="/c.pem", key_file="/k.pem", key_password=Secret("s3cret"))
    assert runtime.providers["p"].client_certificate == expected
    assert "s3cret" not in repr(runtime)


@pytest.mark.parametrize(
    ("settings", "url", "warning"),
    [
        (", client_cert_file: /c.pem", URL, ""),
        (", client_cert_file: /c.pem", "http://lab.example/v1", "client_cert_file: It has no effect"),
        (', proxy: "http://ann:s3cret@p"', URL, "proxy: The file contains the login of a proxy."),
        (', proxy: "http://p"', URL, ""),
        (', proxy: "file:/etc/a@b"', URL, ""),
    ],
)
def test_warnings(compile_text: Compile, settings: str, url: str, warning: str, tmp_path: Path) -> None:
    if "/etc/a@b" in settings:
        (tmp_path / "a@b").write_text("http://ann:s3cret@p")
        settings = settings.replace("/etc/a@b", f"{tmp_path}/a@b")
    warnings = compile_text(provider(settings, url)).warnings
    assert len(warnings) == bool(warning)
    assert all(each.startswith(f"providers.p.{warning}") for each in warnings)
    assert "s3cret" not in str(warnings)


def test_login_from_a_variable_is_no_warning(vendors: dict[str, object]) -> None:
    environ = {
        "INTELLIR_PROVIDERS__P__VENDOR": "openai-compatible",
        "INTELLIR_PROVIDERS__P__BASE_URL": URL,
        "INTELLIR_PROVIDERS__P__PROXY": "http://ann:s3cret@corp.example",
    }
    loaded = load_config(environ=environ)
    runtime = compile_config(
        loaded.config,
        vendors=vendors,  # type: ignore[arg-type]
        strategies=["priority"],
        origins=loaded.origins,
        secrets=SecretSources(environ),
    )
    assert runtime.warnings == ()
    assert str(proxy_of(runtime)) == "http://corp.example:80"


@pytest.mark.parametrize(
    ("setting", "shown"),
    [
        ("http://ann:s3cret@p:1", "http://***@p:1"),
        ("http://s3cret@p", "http://***@p"),
        ("ann:s3@cret@p:1", "***@p:1"),
        ("http://p:1", "http://p:1"),
        ("none", "none"),
        ("env:PROXY", "env:PROXY"),
    ],
)
def test_config_show_does_not_contain_the_login(load: Callable[..., object], setting: str, shown: str) -> None:
    loaded = load(provider(f', proxy: "{setting}"'))
    found = {each.path: each.value for each in effective_settings(loaded)}  # type: ignore[arg-type]
    assert found["providers.p.proxy"] == shown
