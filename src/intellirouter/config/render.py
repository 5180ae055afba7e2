"""A discovery as a commented configuration file, which loads back to the very same configuration."""

import json
import re
from collections.abc import Mapping
from typing import Any, Final

import yaml

from intellirouter.config.discovery import Discovery

_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9._/@+-]*\Z")
_HEAD: Final = """\
# IntelliRouter configuration. Every setting has a default: what is not here need not be.
#
#   intellirouter config check FILE            is it right?
#   intellirouter config show --origin FILE    what is in force, and why
#   intellirouter serve --config FILE
#
# Each value can be overridden from the environment: INTELLIR_SERVER__PORT=9000.
# Secrets are references, env:NAME, file:PATH or store:NAME, never values.

# server: {host: 127.0.0.1, port: 8080}
# store: sqlite:///intellirouter.db
# defaults: {retries: 2, timeouts: {connect_s: 5, first_token_s: 60, idle_s: 60, total_s: 600}}
# logging: {level: info, format: text, bodies: "off"}      # bodies: full keeps prompts and answers
"""
_PROVIDERS: Final = (
    '\n# Where models come from. models: "*" makes every model of a provider callable as provider/model.\n'
)
_NO_PROVIDERS: Final = """\
# Nothing was found on this machine. For example:
# providers:
#   openai: {vendor: openai, credential: "env:OPENAI_API_KEY", models: "*"}
"""
_DEPLOYMENTS: Final = "\n# Concrete choices, callable by name and as provider/model.\n"
_MODELS: Final = """
# What clients ask for. Strategies: priority, round_robin, weighted, least_busy, latency, cost.
"""
_TAIL: Final = """
# Who may call. Without keys, only programs on this machine may.
# auth: {required: true}
# keys:
#   - {key: "env:MY_KEY", name: me}
"""


def render_config(discovery: Discovery) -> str:
    """Return the YAML that `intellirouter init` writes."""
    config = discovery.config
    parts = [_HEAD, _PROVIDERS]
    if config.get("providers"):
        parts.append("providers:\n")
        for name, entry in config["providers"].items():
            remark = discovery.remarks.get(name)
            parts.append(f"  # {_one_line(remark)}\n" if remark else "")
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
    """Write text plainly where YAML reads it back as the same text, quoted otherwise."""
    return text if _PLAIN.match(text) and yaml.safe_load(text) == text else _quoted(text)


def _quoted(text: str) -> str:
    # YAML's own escapes: JSON's surrogate pairs would not read back.
    return str(yaml.safe_dump(text, default_style='"', width=1_000_000)).strip()


def _one_line(text: str) -> str:
    return " ".join("".join(char if char.isprintable() else " " for char in text).split())
