import pytest

from intellirouter.client import Client
from intellirouter.client.settings import resolve_settings


def test_argument_overrides_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INTELLIROUTER_BASE_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("INTELLIROUTER_API_KEY", "from-env")
    explicit = resolve_settings("http://127.0.0.1:2", "explicit", 1, 0)
    from_environment = resolve_settings(None, None, 1, 0)
    assert explicit.base_url == "http://127.0.0.1:2"
    assert explicit.headers()["authorization"] == "Bearer explicit"
    assert from_environment.base_url == "http://127.0.0.1:1"
    assert from_environment.headers()["authorization"] == "Bearer from-env"


def test_defaults_are_the_local_gateway_and_no_key() -> None:
    settings = resolve_settings(None, None, 1, 0)
    assert settings.base_url == "http://127.0.0.1:8080"
    assert "authorization" not in settings.headers()


def test_the_port_of_a_gateway_on_this_machine_is_used_as_by_the_command_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("API_PORT", "9001")
    assert resolve_settings(None, None, 1, 0).base_url == "http://127.0.0.1:9001"
    assert Client().base_url == "http://127.0.0.1:9001"
    assert resolve_settings("http://h:1", None, 1, 0).base_url == "http://h:1"
    monkeypatch.setenv("INTELLIROUTER_BASE_URL", "http://h:2")
    assert resolve_settings(None, None, 1, 0).base_url == "http://h:2"
    monkeypatch.delenv("INTELLIROUTER_BASE_URL")
    monkeypatch.setenv("API_PORT", "tcp://10.0.0.1:80")
    assert resolve_settings(None, None, 1, 0).base_url == "http://127.0.0.1:8080"


@pytest.mark.parametrize("address", ["http://h:1/", "http://h:1/v1", "http://h:1/v1/", " http://h:1 "])
def test_trailing_slash_and_v1_are_removed(address: str) -> None:
    assert resolve_settings(address, None, 1, 0).base_url == "http://h:1"


@pytest.mark.parametrize("address", ["127.0.0.1:8080", "ftp://h", "http://", "nonsense", "unix:relative.sock"])
def test_address_that_is_not_http_is_rejected(address: str) -> None:
    with pytest.raises(ValueError, match="must be an http or https URL"):
        resolve_settings(address, None, 1, 0)


@pytest.mark.parametrize("address", ["http://h:99999", "http://h:port", "http://[::1", "http://a b", "http://h?x=1"])
def test_address_with_an_invalid_host_or_port_is_rejected(address: str) -> None:
    with pytest.raises(ValueError, match="must be an http or https URL"):
        resolve_settings(address, None, 1, 0)


@pytest.mark.parametrize("address", ["http://user:pass@h", "user:pass@h:80"])
def test_password_in_an_address_is_rejected_and_not_repeated(address: str) -> None:
    with pytest.raises(ValueError, match="gateway address must") as raised:
        resolve_settings(address, None, 1, 0)
    assert "pass@" not in str(raised.value)


@pytest.mark.parametrize("key", ["key\r", "key\n", " key\r\n"])
def test_white_space_around_a_key_is_removed(key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert resolve_settings(None, key, 1, 0).headers()["authorization"] == "Bearer key"
    monkeypatch.setenv("INTELLIROUTER_API_KEY", key)
    assert resolve_settings(None, None, 1, 0).headers()["authorization"] == "Bearer key"


@pytest.mark.parametrize("key", ["secret\nx", "secret\x7f", "sécret", "secret\udcff"])
def test_key_that_cannot_be_sent_is_rejected_by_the_name_of_its_source(
    key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ValueError, match="given API key") as given:
        resolve_settings(None, key, 1, 0)
    monkeypatch.setenv("INTELLIROUTER_API_KEY", "secret\nx")
    with pytest.raises(ValueError, match="INTELLIROUTER_API_KEY") as from_environment:
        resolve_settings(None, None, 1, 0)
    assert "cret" not in f"{given.value}{from_environment.value}"


def test_blank_key_is_no_key() -> None:
    assert resolve_settings(None, " \n", 1, 0).api_key is None


def test_key_is_not_in_the_repr() -> None:
    assert "sk-secret" not in repr(resolve_settings(None, "sk-secret", 1, 0))


@pytest.mark.parametrize(
    ("address", "environ", "proxy"),
    [
        ("http://127.0.0.1:1", {"ALL_PROXY": "http://p:1"}, None),
        ("https://localhost", {"HTTPS_PROXY": "http://p:1"}, None),
        ("unix:/run/gw.sock", {"ALL_PROXY": "http://p:1"}, None),
        ("https://gw.example", {"HTTPS_PROXY": "http://ann:s3cret@p:1"}, "http://p:1"),
        ("http://gw.example", {"HTTPS_PROXY": "http://p:1"}, None),
        ("https://gw.example", {"HTTPS_PROXY": "http://p:1", "NO_PROXY": ".example"}, None),
    ],
)
def test_proxy_of_the_environment(
    monkeypatch: pytest.MonkeyPatch, address: str, environ: dict[str, str], proxy: str | None
) -> None:
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    settings = resolve_settings(address, None, 1, 0)
    assert (settings.proxy and str(settings.proxy)) == proxy
    assert "s3cret" not in repr(settings)


def test_unusable_proxy_is_rejected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", "socks5://ann:s3cret@p:1")
    with pytest.raises(ValueError, match=r"ALL_PROXY cannot be used. SOCKS proxies are not supported") as caught:
        resolve_settings("https://gw.example", None, 1, 0)
    assert "s3cret" not in str(caught.value)
    assert resolve_settings(None, None, 1, 0).proxy is None


@pytest.mark.parametrize(("address", "uds"), [("unix:/run/gw.sock", "/run/gw.sock"), ("http://h", None)])
def test_unix_socket(address: str, uds: str | None) -> None:
    settings = resolve_settings(address, None, 1, 0)
    assert (settings.base_url, settings.uds) == (address, uds)
