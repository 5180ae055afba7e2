"""Builds a configuration from what a machine offers: credentials, local model servers, bundled weights.

It does no I/O: the caller probes the ports that `probe_targets` returns.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import urlsplit

from msgspec import Struct, field

from intellirouter.config.load import process_environment
from intellirouter.config.resource_ports import resource_port
from intellirouter.config.secret_references import usual_variable
from intellirouter.config.value_types import PUBLIC_NAME_PATTERN, artifact_model
from intellirouter.core import VendorRow

MAX_MODELS: Final = 200
"""Per local server."""
MAX_NAME_CHARS: Final = 200
_NOT_CHAT_MODEL: Final = re.compile(r"embed|rerank|minilm|bge-|whisper|tts", re.IGNORECASE)
AUTO: Final = "auto"
"""The model that a discovered configuration offers in addition to the deployments."""


class ProbeTarget(Struct, frozen=True):
    """An address at which a local model server may listen."""

    vendor: str
    base_url: str


class ProbeResult(Struct, frozen=True):
    """A local model server that responded, and the models it lists."""

    vendor: str
    base_url: str
    models: tuple[str, ...]


class Discovery(Struct, frozen=True):
    """What was found on this machine."""

    config: dict[str, Any]
    """The lowest layer for `load_config`."""
    findings: tuple[str, ...]
    """One line per finding, for display."""
    comments: dict[str, str] = field(default_factory=dict)
    """Provider name -> where it was found. `render_config` writes it as a comment."""


def probe_targets(
    vendors: Mapping[str, VendorRow], *, own_port: int, environ: Mapping[str, str] | None = None
) -> tuple[ProbeTarget, ...]:
    """Return the addresses at which local model servers may listen, except our own port.

    `RESOURCE_PORTS_OLLAMA` sets the port of Ollama. Raises `ConfigError` if it is not a port number.
    """
    variables = process_environment() if environ is None else environ
    targets = []
    for row in vendors.values():
        if row.local_port is None:
            continue
        port = resource_port(row.name, variables) or row.local_port
        if port != own_port:
            path = urlsplit(row.base_url).path if row.base_url else "/v1"
            targets.append(ProbeTarget(row.name, f"http://127.0.0.1:{port}{path}"))
    return tuple(targets)


def discover(
    environ: Mapping[str, str] | None,
    probes: Sequence[ProbeResult],
    vendors: Mapping[str, VendorRow],
    *,
    local_artifact: tuple[str, str] | None = None,
) -> Discovery:
    """Build a configuration from what was found. `local_artifact` is an artifact with its description, for display.

    `environ` defaults to the environment of the process. The model `auto` consists of all chat models: those of cloud
    vendors first, then those of local servers, and the artifact last. Credentials are referenced by the names of their
    variables.
    """
    variables = process_environment() if environ is None else environ
    found = _Findings(vendors)
    for row in vendors.values():
        variable = usual_variable(row, variables)
        # A credential is not enough for a vendor whose URL has to be configured.
        if variable is not None and row.base_url is not None and "{" not in row.base_url:
            found.add_cloud(row, variable)
    for probe in probes:
        found.add_probe(probe)
    if local_artifact is not None:
        found.add_artifact(*local_artifact)
    pool = [name for name in found.deployments if not _NOT_CHAT_MODEL.search(name)]
    config: dict[str, Any] = {"providers": found.providers, "deployments": found.deployments}
    if pool:
        config["models"] = {AUTO: {"deployments": pool, "strategy": "priority"}}
    return Discovery(config, tuple(found.lines), found.comments)


def _usable(models: Sequence[str]) -> list[str]:
    """Limit what a server can add to the configuration: the number of models, and the length of a name."""
    return [model for model in models if 0 < len(model) <= MAX_NAME_CHARS and model.isprintable()][:MAX_MODELS]


class _Findings:
    def __init__(self, vendors: Mapping[str, VendorRow]) -> None:
        self._vendors = vendors
        self.providers: dict[str, dict[str, Any]] = {}
        self.deployments: dict[str, dict[str, Any]] = {}
        self.lines: list[str] = []
        self.comments: dict[str, str] = {}

    def add_artifact(self, artifact: str, title: str) -> None:
        provider = self._provider("local", {"vendor": "host"}, title)
        model = artifact_model(artifact)
        name = self._free_name(f"{provider}/{model}", f"{provider}/{model}")
        self.deployments[name] = {"provider": provider, "artifact": artifact}
        self.lines.append(f"{title}: model {name}")

    def add_probe(self, probe: ProbeResult) -> None:
        row = self._vendors.get(probe.vendor)
        title = row.title if row is not None else probe.vendor
        entry: dict[str, Any] = {"vendor": probe.vendor, "models": "*"}
        base_url = probe.base_url.rstrip("/")
        if row is None or base_url != row.base_url:
            entry["base_url"] = base_url
        place = f"{title} at {base_url}"
        provider = self._provider(probe.vendor, entry, place)
        names = [self._deployment(provider, model) for model in _usable(probe.models)]
        self._add_line(place, provider, names)

    def add_cloud(self, row: VendorRow, variable: str) -> None:
        entry = {"vendor": row.name, "credential": f"env:{variable}", "models": "*"}
        provider = self._provider(row.name, entry, f"{row.title} credential in {variable}")
        names = [self._deployment(provider, model) for model in row.default_models]
        self._add_line(f"{row.title} credential in {variable}", provider, names)

    def _add_line(self, place: str, provider: str, names: Sequence[str]) -> None:
        shown = list(names[:6]) + ([f"{len(names) - 6} more"] if len(names) > 6 else [])
        self.lines.append(f"{place}: models {', '.join([*shown, f'{provider}/*'])}")

    def _provider(self, name: str, entry: dict[str, Any], comment: str) -> str:
        free, number = name, 2
        while free in self.providers:
            free, number = f"{name}-{number}", number + 1
        self.providers[free] = entry
        self.comments[free] = comment
        return free

    def _deployment(self, provider: str, model: str) -> str:
        name = self._free_name(model, f"{provider}/{model}")
        self.deployments[name] = {"provider": provider, "model": model}
        return name

    def _free_name(self, plain: str, qualified: str) -> str:
        """Prefer the name of the model. If it is taken or not valid, add the provider, and then a number."""
        for name in (plain, qualified):
            if name not in self.deployments and name != AUTO and re.match(PUBLIC_NAME_PATTERN, name):
                return name
        base = re.sub(r"[^A-Za-z0-9._:/@+-]+", "-", qualified)
        base = re.sub(r"/{2,}", "/", base)[:190].rstrip("/-")
        name, number = base, 2
        while name in self.deployments:
            name, number = f"{base}-{number}", number + 1
        return name
