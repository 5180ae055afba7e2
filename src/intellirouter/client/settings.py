"""Where the gateway is and how patient the client is."""

import os
from importlib.metadata import PackageNotFoundError, version
from typing import Final
from urllib.parse import urlsplit

from msgspec import Struct

from intellirouter.core import Secret

DEFAULT_BASE_URL: Final = "http://127.0.0.1:8080"
CONNECT_TIMEOUT_S: Final = 10.0
KEEPALIVE_S: Final = 2.0
"""Shorter than the server's five seconds: a connection it is about to close is never picked up again."""


class Settings(Struct, frozen=True, kw_only=True):
    base_url: str
    """Without a trailing slash and without `/v1`."""
    api_key: Secret | None
    timeout_s: float
    """The longest silence: while connecting, and between two pieces of an answer."""
    max_retries: int

    @property
    def is_loopback(self) -> bool:
        """Whether the gateway runs on this machine: then the environment's proxies are not for it."""
        return urlsplit(self.base_url).hostname in {"127.0.0.1", "localhost", "::1"}

    def headers(self) -> dict[str, str]:
        found = {"user-agent": f"intellirouter-python/{_version()}", "accept": "application/json"}
        if self.api_key is not None:
            found["authorization"] = f"Bearer {self.api_key.reveal()}"
        return found


def settings_from(base_url: str | None, api_key: str | None, timeout_s: float, max_retries: int) -> Settings:
    """Fill what was not given from INTELLIROUTER_BASE_URL and INTELLIROUTER_API_KEY.

    Raises `ValueError` for an address that is no http or https URL.
    """
    environ = os.environ  # noqa: TID251 - a client library has no config file: these two variables are its configuration
    address = (base_url or environ.get("INTELLIROUTER_BASE_URL") or DEFAULT_BASE_URL).strip()
    parts = urlsplit(address)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError(f"base_url must look like {DEFAULT_BASE_URL}, not {address!r}")
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
