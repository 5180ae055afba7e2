"""The address at which `serve` would listen, for commands that look for its gateway. Everything else may be invalid."""

from collections.abc import Mapping
from pathlib import Path as FilePath
from typing import Final

from msgspec import Struct
from pydantic import ValidationError

from intellirouter.config.config_file import read_config_file
from intellirouter.config.environment import apply_environment
from intellirouter.config.load import process_environment
from intellirouter.config.problems import ConfigError
from intellirouter.config.server_section import Server
from intellirouter.config.tree import ROOT, Layers, normalize

_SETTINGS: Final = ("host", "port", "unix_socket", "tls_cert_file")


class ListenAddress(Struct, frozen=True, kw_only=True):
    host: str
    port: int
    unix_socket: str | None
    is_tls: bool
    is_from_file: bool
    """Whether the file sets any part of it, which no environment variable overrides."""


def listen_address(path: FilePath, environ: Mapping[str, str] | None = None) -> ListenAddress | None:
    """Return the address that a configuration file and the environment set; None if they are not valid."""
    layers = Layers()
    try:
        content = read_config_file(path)
    except ConfigError:
        return None
    layers.merge(normalize(content.values, ROOT), content.origin)
    apply_environment(layers, process_environment() if environ is None else environ)
    section = layers.values.get("server", {})
    if not isinstance(section, Mapping):
        return None
    try:
        server = Server.model_validate({name: section[name] for name in _SETTINGS if name in section})
    except ValidationError:
        return None
    return ListenAddress(
        host=server.host,
        port=server.port,
        unix_socket=server.unix_socket,
        is_tls=server.tls_cert_file is not None,
        is_from_file=any(layers.marks.get(("server", name), "").startswith("file ") for name in _SETTINGS),
    )
