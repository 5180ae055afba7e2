"""The address of a gateway on this machine, according to the variables that `serve` reads."""

import os
from collections.abc import Mapping
from typing import Final

from intellirouter.core import is_service_link

BASE_URL_VARIABLE: Final = "INTELLIROUTER_BASE_URL"
_PORT_VARIABLES: Final = ("INTELLIR_SERVER__PORT", "ORCHESTRATOR_API_PORT", "API_PORT")
_HOST_VARIABLES: Final = ("INTELLIR_SERVER__HOST", "ORCHESTRATOR_HOST")
"""In the order in which `serve` prefers them."""
_ALL_ADDRESSES: Final = frozenset({"0.0.0.0", "::"})
_CERTIFICATE_VARIABLE: Final = "INTELLIR_SERVER__TLS_CERT_FILE"


def local_gateway_url(environ: Mapping[str, str] | None = None) -> str | None:
    """Return the address that `serve` would use with this environment; None if it sets none, or sets the client's own.

    `environ` defaults to the environment of the process. Raises `ValueError` for a port that is not one.
    """
    variables = os.environ if environ is None else environ  # noqa: TID251 - see `settings`
    if variables.get(BASE_URL_VARIABLE, "").strip():
        return None
    host, port = _first(variables, _HOST_VARIABLES), _first(variables, _PORT_VARIABLES)
    if host is None and port is None:
        return None
    if port is not None and not (port[1].isascii() and port[1].isdigit() and int(port[1]) < 65536):
        raise ValueError(f"{port[0]} must be a port number from 1 to 65535, not {port[1][:100]!r}.")
    return url_at(
        host[1] if host is not None else "127.0.0.1",
        int(port[1]) if port is not None else 8080,
        is_tls=bool(variables.get(_CERTIFICATE_VARIABLE, "").strip()),
    )


def url_at(host: str, port: int, *, is_tls: bool) -> str:
    """Return the URL of a gateway on this machine that listens there. For port 0, it has the default port."""
    name = "127.0.0.1" if host in _ALL_ADDRESSES else host
    return f"{'https' if is_tls else 'http'}://{f'[{name}]' if ':' in name else name}:{port or 8080}"


def _first(variables: Mapping[str, str], names: tuple[str, ...]) -> tuple[str, str] | None:
    """Return name and value of the first of these variables that is set and not a service link."""
    values = ((name, variables.get(name, "").strip()) for name in names)
    return next((pair for pair in values if pair[1] and not is_service_link(pair[1])), None)
