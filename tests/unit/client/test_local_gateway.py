import pytest

from intellirouter.client import local_gateway_url


@pytest.mark.parametrize(
    ("environ", "url"),
    [
        ({}, None),
        ({"API_PORT": "9000"}, "http://127.0.0.1:9000"),
        ({"API_PORT": "9000", "ORCHESTRATOR_API_PORT": "9001"}, "http://127.0.0.1:9001"),
        ({"ORCHESTRATOR_API_PORT": "9001", "INTELLIR_SERVER__PORT": "9002"}, "http://127.0.0.1:9002"),
        ({"ORCHESTRATOR_HOST": "0.0.0.0", "API_PORT": "9000"}, "http://127.0.0.1:9000"),
        ({"ORCHESTRATOR_HOST": "::1"}, "http://[::1]:8080"),
        ({"ORCHESTRATOR_HOST": "gateway", "INTELLIR_SERVER__TLS_CERT_FILE": "c.pem"}, "https://gateway:8080"),
        ({"API_PORT": "9000", "INTELLIROUTER_BASE_URL": "http://h"}, None),
        ({"API_PORT": "tcp://10.0.0.1:80"}, None),
        ({"API_PORT": "9000", "ORCHESTRATOR_API_PORT": "tcp://10.0.0.1:80"}, "http://127.0.0.1:9000"),
        ({"API_PORT": "0"}, "http://127.0.0.1:8080"),
    ],
)
def test_address_is_the_one_that_serve_uses(environ: dict[str, str], url: str | None) -> None:
    assert local_gateway_url(environ) == url


@pytest.mark.parametrize("text", ["many", "-1", "65536", "٣"])
def test_invalid_port_is_an_error(text: str) -> None:
    with pytest.raises(ValueError, match="API_PORT must be a port number from 1 to 65535"):
        local_gateway_url({"API_PORT": text})
