"""The address of the gateway, the key, the timeout and the number of retries."""

import os
from importlib.metadata import PackageNotFoundError, version
from typing import Final
from urllib.parse import urlsplit

from msgspec import Struct

from intellirouter.core import Secret

BASE_URL_VARIABLE: Final = "INTELLIROUTER_BASE_URL"
DEFAULT_BASE_URL: Final = "http://127.0.0.1:8080"
CONNECT_TIMEOUT_S: Final = 10.0
KEEPALIVE_S: Final = 2.0
"""Shorter than the five seconds of the server, so that the client never reuses a connection as the server closes it."""


class Settings(Struct, frozen=True, kw_only=True):
    base_url: str
    """Without a trailing slash and without `/v1`."""
    api_key: Secret | None
    timeout_s: float
    """Timeout for connecting, and for each read of a response."""
    max_retries: int

    @property
    def is_loopback(self) -> bool:
        """Whether the gateway runs on this machine. The proxies in the environment are then not used."""
        return urlsplit(self.base_url).hostname in {"127.0.0.1", "localhost", "::1"}

    def headers(self) -> dict[str, str]:
        headers = {"user-agent": f"intellirouter-python/{_version()}", "accept": "application/json"}
        if self.api_key is not None:
            headers["authorization"] = f"Bearer {self.api_key.reveal()}"
        return headers


def resolve_settings(base_url: str | None, api_key: str | None, timeout_s: float, max_retries: int) -> Settings:
    """Read INTELLIROUTER_BASE_URL and INTELLIROUTER_API_KEY for arguments that are None.

    Raises `ValueError` if the address is not an http or https URL.
    """
    environ = os.environ  # noqa: TID251 - the client has no configuration file; it is configured by these two variables
    address = (base_url or environ.get(BASE_URL_VARIABLE) or DEFAULT_BASE_URL).strip()
    parts = urlsplit(address)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError(f"The gateway address must be an http or https URL like {DEFAULT_BASE_URL}, not {address!r}.")
    key = api_key or environ.get("INTELLIROUTER_API_KEY")
    return Settings(
        base_url=address.rstrip("/").removesuffix("/v1").rstrip("/"),
        api_key=Secret(key) if key else None,
        timeout_s=timeout_s,
        max_retries=max_retries,
    )


def _version() -> str:
    try:
        return version("intellirouter")
    except PackageNotFoundError:
        return "unknown"
