"""The effective configuration for people: every setting, its value and where it came from."""

import re
from typing import Any, NamedTuple

from intellirouter.config.load import Loaded
from intellirouter.config.tree import format_path, leaves

_PASSWORD = re.compile(r"(://[^/?#@:]*):[^/?#@]*@")


class Setting(NamedTuple):
    """One line of `config show`."""

    path: str
    value: Any
    """Secrets as the references they are; passwords inside URLs as `***`."""
    origin: str
    """`default`, `discovered`, `file NAME:LINE`, `env NAME`, `flag --NAME`; empty when not asked for."""


def show(loaded: Loaded, with_origin: bool = True) -> list[Setting]:  # noqa: FBT001, FBT002 - one switch, named in calls
    """Return every setting in the schema's order, defaults included."""
    settings = []
    for path, value in leaves(loaded.config):
        text = format_path(path)
        origin = loaded.origins.get(text, "default") if with_origin else ""
        settings.append(Setting(text, _presentable(value), origin))
    return settings


def _presentable(value: Any) -> Any:
    if isinstance(value, str):
        return _PASSWORD.sub(r"\1:***@", value)
    if isinstance(value, list):
        return [_presentable(item) for item in value]
    return value
