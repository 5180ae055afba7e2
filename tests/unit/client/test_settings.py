import pytest

from intellirouter.client.settings import settings_from


def test_the_argument_wins_over_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INTELLIROUTER_BASE_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("INTELLIROUTER_API_KEY", "from-env")
    stated = settings_from("http://127.0.0.1:2", "stated", 1, 0)
    silent = settings_from(None, None, 1, 0)
    assert stated.base_url == "http://127.0.0.1:2"
    assert stated.headers()["authorization"] == "Bearer stated"
    assert silent.base_url == "http://127.0.0.1:1"
    assert silent.headers()["authorization"] == "Bearer from-env"


def test_without_anything_it_is_the_local_gateway_and_no_key() -> None:
    settings = settings_from(None, None, 1, 0)
    assert settings.base_url == "http://127.0.0.1:8080"
    assert "authorization" not in settings.headers()


@pytest.mark.parametrize("address", ["http://h:1/", "http://h:1/v1", "http://h:1/v1/", " http://h:1 "])
def test_a_trailing_slash_and_v1_are_taken_off(address: str) -> None:
    assert settings_from(address, None, 1, 0).base_url == "http://h:1"


@pytest.mark.parametrize("address", ["127.0.0.1:8080", "ftp://h", "http://", "nonsense"])
def test_what_is_no_http_address_is_refused(address: str) -> None:
    with pytest.raises(ValueError, match="base_url must look like"):
        settings_from(address, None, 1, 0)


def test_the_key_does_not_print() -> None:
    assert "sk-secret" not in repr(settings_from(None, "sk-secret", 1, 0))


@pytest.mark.parametrize(
    ("address", "is_loopback"),
    [("http://127.0.0.1:1", True), ("http://localhost", True), ("https://gw.example", False)],
)
def test_proxies_are_for_gateways_elsewhere(address: str, is_loopback: bool) -> None:
    assert settings_from(address, None, 1, 0).is_loopback is is_loopback
