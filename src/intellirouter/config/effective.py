"""The configuration in effect: every setting, its value and where the value came from."""

import re
from collections.abc import Iterable
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
    note: str = ""
    """Why the setting is not in force, if it is not."""


def effective_settings(
    loaded: LoadedConfig, *, with_origin: bool = True, warnings: Iterable[str] = ()
) -> list[EffectiveSetting]:
    """Return every setting in the order of the schema, defaults included.

    `warnings` (of `Runtime`) begin with the path of a setting or a section. They become notes of the settings there.
    """
    notes = dict(warning.partition(": ")[::2] for warning in warnings)
    settings = []
    for path, value in leaves(loaded.config):
        text = format_path(path)
        origin = loaded.origins.get(text, "default") if with_origin else ""
        if path[-1] == "proxy" and isinstance(value, str) and not is_reference(value):
            value = _PROXY_LOGIN.sub(r"\1***@", value)  # noqa: PLW2901 - the user name may be a token
        note = "" if value is None else _note(notes, text)
        settings.append(EffectiveSetting(text, _without_passwords(value), origin, note))
    return settings


def _note(notes: dict[str, str], path: str) -> str:
    if not notes:
        return ""
    found = (note for about, note in notes.items() if path == about or path.startswith((f"{about}.", f"{about}[")))
    return next(found, "")


def _without_passwords(value: Any) -> Any:
    if isinstance(value, str):
        return _PASSWORD.sub(r"\1:***@", value)
    if isinstance(value, list):
        return [_without_passwords(item) for item in value]
    return value
