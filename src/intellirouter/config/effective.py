"""The configuration in effect: every setting, its value and where the value came from."""

import re
from typing import Any, NamedTuple

from intellirouter.config.load import LoadedConfig
from intellirouter.config.tree import format_path, leaves
from intellirouter.config.value_types import is_reference

_PASSWORD = re.compile(r"(://[^/?#@:]*):[^/?#]*@")
_PROXY_LOGIN = re.compile(r"\A((?:[A-Za-z]+://)?).*@")


class EffectiveSetting(NamedTuple):
    """One line of `config show`."""

    path: str
    value: Any
    """Secrets are shown as references, passwords in URLs as `***`."""
    origin: str
    """`default`, `discovered`, `file NAME:LINE`, `env NAME` or `flag --NAME`; empty when not requested."""


def effective_settings(loaded: LoadedConfig, *, with_origin: bool = True) -> list[EffectiveSetting]:
    """Return every setting in the order of the schema, defaults included."""
    settings = []
    for path, value in leaves(loaded.config):
        text = format_path(path)
        origin = loaded.origins.get(text, "default") if with_origin else ""
        if path[-1] == "proxy" and isinstance(value, str) and not is_reference(value):
            value = _PROXY_LOGIN.sub(r"\1***@", value)  # noqa: PLW2901 - the user name may be a token
        settings.append(EffectiveSetting(text, _without_passwords(value), origin))
    return settings


def _without_passwords(value: Any) -> Any:
    if isinstance(value, str):
        return _PASSWORD.sub(r"\1:***@", value)
    if isinstance(value, list):
        return [_without_passwords(item) for item in value]
    return value
