"""Modules that are loaded when they are first used: a command pays for what it runs, and help pays for nothing."""

from importlib import import_module
from typing import Any


class LazyModule:
    """Stands for a module. Pair it with an import under TYPE_CHECKING, so that types and layers are still checked."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, attribute: str) -> Any:
        return getattr(import_module(self._name), attribute)
