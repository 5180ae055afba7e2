"""Where commands look for the gateway that `serve` would start in this directory."""

from pathlib import Path

import pytest

from intellirouter.config import listen_address


@pytest.mark.parametrize(
    ("text", "environ", "expected"),
    [
        ("server: {port: 9000}", {}, ("127.0.0.1", 9000, None, False, True)),
        ("server: {host: 0.0.0.0, port: 9000}", {}, ("0.0.0.0", 9000, None, False, True)),
        ("server: {port: 9000}", {"API_PORT": "9001"}, ("127.0.0.1", 9001, None, False, False)),
        ("server: {host: h, port: 9000}", {"API_PORT": "9001"}, ("h", 9001, None, False, True)),
        ("server: {unix_socket: run/s.sock}", {}, ("127.0.0.1", 8080, "run/s.sock", False, True)),
        ("server: {tls_cert_file: c.pem, port: 9443}", {}, ("127.0.0.1", 9443, None, True, True)),
        ("server: {drain_s: 5}", {}, ("127.0.0.1", 8080, None, False, False)),
        ("", {}, ("127.0.0.1", 8080, None, False, False)),
        ("server: {port: 9000, prot: 1}\nproviders: 5", {}, ("127.0.0.1", 9000, None, False, True)),
        ("server: {port: x}", {}, None),
        ("server: []", {}, None),
        ("server: {", {}, None),
    ],
)
def test_address_that_serve_would_use(
    tmp_path: Path, text: str, environ: dict[str, str], expected: tuple[str, int, str | None, bool, bool] | None
) -> None:
    path = tmp_path / "intellirouter.yaml"
    path.write_text(text)
    found = listen_address(path, environ)
    assert expected == (
        None if found is None else (found.host, found.port, found.unix_socket, found.is_tls, found.is_from_file)
    )
