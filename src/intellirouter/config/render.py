"""Renders a discovered configuration as a commented file. The file loads back to the same configuration."""

import json
import re
from collections.abc import Mapping
from typing import Any, Final

import yaml

from intellirouter.config.discovery import Discovery

_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9._/@+-]*\Z")
_HEAD: Final = """\
# IntelliRouter configuration. Settings that are left out keep their defaults.
#
#   intellirouter config check FILE            check this file
#   intellirouter config show --origin FILE    show all settings in effect and where they come from
#   intellirouter serve --config FILE          start the gateway
#
# Environment variables override this file: INTELLIR_SERVER__PORT=9000.
# Secrets are references (env:NAME, file:PATH or store:NAME), never plain values.

# server: {host: 127.0.0.1, port: 8080}
# store: sqlite:///intellirouter.db
# defaults: {retries: 2, timeouts: {connect_s: 5, first_token_s: 60, idle_s: 60, total_s: 600}}
# logging: {level: info, format: text, bodies: "off"}      # full also records prompts and responses
"""
_PROVIDERS: Final = (
    '\n# Upstream services. With models: "*", clients can call every model of a provider as provider/model.\n'
)
_NO_PROVIDERS: Final = """\
# No provider was found on this machine. Example:
# providers:
#   openai: {vendor: openai, credential: "env:OPENAI_API_KEY", models: "*"}
"""
_DEPLOYMENTS: Final = "\n# Models of providers. Clients can call them by name and as provider/model.\n"
_MODELS: Final = """
# Names that clients can call, backed by one or more deployments.
# Strategies: priority, round_robin, weighted, least_busy, power_of_two, latency, cost.
"""
_TAIL: Final = """
# Client authentication. By default it is off while the gateway listens on this machine only.
# auth: {required: true}
# keys:
#   - {key: "env:MY_KEY", name: me}
"""


def render_config(discovery: Discovery) -> str:
    """Return the YAML text that `intellirouter init` writes."""
    config = discovery.config
    parts = [_HEAD, _PROVIDERS]
    if config.get("providers"):
        parts.append("providers:\n")
        for name, entry in config["providers"].items():
            comment = discovery.comments.get(name)
            parts.append(f"  # {_one_line(comment)}\n" if comment else "")
            parts.append(f"  {_scalar(name)}: {_flow(entry)}\n")
    else:
        parts.append(_NO_PROVIDERS)
    for section, comment in (("deployments", _DEPLOYMENTS), ("models", _MODELS)):
        if config.get(section):
            parts.append(f"{comment}{section}:\n")
            parts += [f"  {_scalar(name)}: {_flow(entry)}\n" for name, entry in config[section].items()]
    parts.append(_TAIL)
    return "".join(parts)


def _flow(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_scalar(name)}: {_flow(item)}" for name, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(_flow(item) for item in value) + "]"
    return _scalar(value) if isinstance(value, str) else json.dumps(value)


def _scalar(text: str) -> str:
    """Return text without quotes if YAML reads it back unchanged, quoted otherwise."""
    return text if _PLAIN.match(text) and yaml.safe_load(text) == text else _quoted(text)


def _quoted(text: str) -> str:
    # YAML's own escapes, because YAML does not read the surrogate pairs of JSON.
    return str(yaml.safe_dump(text, default_style='"', width=1_000_000)).strip()


def _one_line(text: str) -> str:
    return " ".join("".join(char if char.isprintable() else " " for char in text).split())
