"""The address of the gateway, the key, the timeout and the number of retries."""

import os
import re
from importlib.metadata import PackageNotFoundError, version
from typing import Final
from urllib.parse import urlsplit

from msgspec import Struct

from intellirouter.client.local_gateway import BASE_URL_VARIABLE, local_gateway_url
from intellirouter.core import (
    SYSTEM_TRUST,
    Proxy,
    ProxyRules,
    Secret,
    TrustFiles,
    environment_proxies,
    environment_trust,
)

DEFAULT_BASE_URL: Final = "http://127.0.0.1:8080"
_UNIX: Final = "unix:"
_PORTS: Final = {"http": 80, "https": 443}
CONNECT_TIMEOUT_S: Final = 10.0
KEEPALIVE_S: Final = 2.0
"""Shorter than the five seconds of the server, so that the client never reuses a connection as the server closes it."""


class Settings(Struct, frozen=True, kw_only=True):
    base_url: str
    """Without a trailing slash and without `/v1`, or `unix:` and the path of a socket."""
    api_key: Secret | None
    timeout_s: float
    """Timeout for connecting, and for each read of a response."""
    max_retries: int

    ca_file: str | None = None
    """A file (PEM or DER) of additional trusted certificate authorities."""
    proxy: Proxy | None = None
    trust: TrustFiles = SYSTEM_TRUST

    @property
    def uds(self) -> str | None:
        """Path of a unix socket, if the gateway listens on one."""
        return self.base_url.removeprefix(_UNIX) if self.base_url.startswith(_UNIX) else None

    @property
    def is_tls(self) -> bool:
        return urlsplit(self.base_url).scheme == "https"

    def headers(self) -> dict[str, str]:
        headers = {"user-agent": f"intellirouter-python/{_version()}", "accept": "application/json"}
        if self.api_key is not None:
            headers["authorization"] = f"Bearer {self.api_key.reveal()}"
        return headers


def resolve_settings(
    base_url: str | None, api_key: str | None, timeout_s: float, max_retries: int, ca_file: str | None = None
) -> Settings:
    """Read INTELLIROUTER_BASE_URL and INTELLIROUTER_API_KEY for arguments that are None.

    Without an address, it is the one at which `serve` would listen with this environment, such as that of API_PORT.
    The usual variables for proxies and for certificate authorities are read as well. White space around the key is
    removed: files with keys end in a line feed. Raises `ValueError` if the address or the proxy cannot be used, or if
    the key cannot be sent. No message contains the key or a password.
    """
    environ = os.environ  # noqa: TID251 - the client has no configuration file; it is configured by these variables
    address = (base_url or environ.get(BASE_URL_VARIABLE) or local_gateway_url(environ) or DEFAULT_BASE_URL).strip()
    if not address.startswith(f"{_UNIX}/"):
        _check_address(address)
        address = address.rstrip("/").removesuffix("/v1").rstrip("/")
    given = (api_key or "").strip()
    key = given or environ.get("INTELLIROUTER_API_KEY", "").strip()
    if not key.isascii() or not key.isprintable():
        where = "The given API key" if given else "The API key in INTELLIROUTER_API_KEY"
        raise ValueError(f"{where} contains characters that are not allowed: a key is one line of printable ASCII.")
    return Settings(
        base_url=address,
        api_key=Secret(key) if key else None,
        timeout_s=timeout_s,
        max_retries=max_retries,
        ca_file=ca_file,
        proxy=_proxy_for(address, environment_proxies(environ)),
        trust=environment_trust(environ),
    )


def _check_address(address: str) -> None:
    """Raise `ValueError` if this is not the address of a gateway."""
    shown = "" if "@" in address else f", not {address!r}"
    message = f"The gateway address must be an http or https URL like {DEFAULT_BASE_URL}{shown}."
    try:
        parts = urlsplit(address)
        host = (parts.hostname or "").encode("idna")
        is_valid = parts.scheme in _PORTS and bool(host) and parts.port != 0
    except ValueError:  # the host or the port is invalid
        raise ValueError(message) from None
    if not is_valid or re.search(r"[\s?#]", address):
        raise ValueError(message)
    if "@" in parts.netloc:
        raise ValueError("The gateway address must not contain a user name or a password. Use the API key.")


def _proxy_for(address: str, rules: ProxyRules) -> Proxy | None:
    """Return the proxy for the gateway. None for one on this machine."""
    parts = urlsplit(address)
    if not parts.hostname:
        return None
    proxy = rules.proxy_for(parts.scheme, parts.hostname, parts.port or _PORTS[parts.scheme])
    if proxy is not None and proxy.problem:
        raise ValueError(f"The proxy {proxy} cannot be used. {proxy.problem}")
    return proxy


def _version() -> str:
    try:
        return version("intellirouter")
    except PackageNotFoundError:
        return "unknown"
