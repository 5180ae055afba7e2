"""The ports of model servers on this machine that `RESOURCE_PORTS_*` sets."""

import re
from collections.abc import Iterator, Mapping
from typing import Final
from urllib.parse import urlsplit, urlunsplit

from intellirouter.config.environment_warnings import OLLAMA_PORT
from intellirouter.config.problems import ConfigError, ConfigProblem
from intellirouter.config.runtime import ProviderSpec
from intellirouter.core import VendorRow, is_service_link

_VARIABLES: Final = {"ollama": OLLAMA_PORT}
"""By vendor."""


def resource_port(vendor: str, environ: Mapping[str, str]) -> int | None:
    """Return the port that the environment sets for a vendor's server on this machine, or None.

    Raises `ConfigError` if it is not a port number. A service link counts as not set.
    """
    name = _VARIABLES.get(vendor)
    text = environ.get(name, "").strip() if name is not None else ""
    if not text or is_service_link(text):
        return None
    if not re.fullmatch(r"[0-9]{1,5}", text) or not 0 < int(text) < 65536:
        message = f"{name} must be a port number from 1 to 65535."
        raise ConfigError([ConfigProblem("", message, "", f"env {name}")])
    return int(text)


def local_base_url(row: VendorRow, environ: Mapping[str, str]) -> str | None:
    """Return the vendor's own URL, with the port that the environment sets. Raises `ConfigError`."""
    port = None if row.base_url is None else resource_port(row.name, environ)
    if port is None:
        return row.base_url
    parts = urlsplit(row.base_url or "")
    return urlunsplit(parts._replace(netloc=f"{parts.hostname}:{port}"))


def unused_ports(providers: Mapping[str, ProviderSpec], environ: Mapping[str, str]) -> Iterator[str]:
    """Yield a warning for each port that the environment sets and no provider uses."""
    for vendor, name in _VARIABLES.items():
        port = resource_port(vendor, environ)
        urls = [each.base_url for each in providers.values() if each.vendor == vendor]
        if port is not None and port not in [urlsplit(url).port for url in urls if url is not None]:
            yield f"{name}: No provider of the vendor `{vendor}` uses the port {port}, so this variable has no effect."
