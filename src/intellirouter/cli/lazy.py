"""Modules that are imported on first use, so that a command loads only what it runs and `--help` loads nothing."""

from importlib import import_module
from typing import Any


class LazyModule:
    """A stand-in for a module. Pair it with an import under TYPE_CHECKING, so that types and layers stay checked."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, attribute: str) -> Any:
        return getattr(import_module(self._name), attribute)
