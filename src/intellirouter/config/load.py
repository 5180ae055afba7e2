"""Layers: discovered < file < environment < command line. The only place that reads the process environment."""

import os
from collections.abc import Mapping
from pathlib import Path as FilePath
from typing import Any

from msgspec import Struct

from intellirouter.config.environment import apply_environment, apply_overrides
from intellirouter.config.problems import ConfigError, Problem
from intellirouter.config.schema import Config
from intellirouter.config.source import read_source
from intellirouter.config.tree import ROOT, Layers, format_path, leaves, normalise
from intellirouter.config.validate import validate


class Loaded(Struct, frozen=True):
    """A valid configuration and where each of its settings came from."""

    config: Config
    origins: dict[str, str]
    """Setting to `default`, `discovered`, `file NAME:LINE`, `env NAME` or `flag --NAME`."""
    path: FilePath | None
    """The file it was read from; None without one."""


def process_environment() -> Mapping[str, str]:
    """Return the environment of this process, for callers that hand it on."""
    return os.environ  # noqa: TID251 - the one place


def load_config(
    path: FilePath | str | None = None,
    *,
    environ: Mapping[str, str] | None = None,
    overrides: Mapping[str, Any] | None = None,
    discovered: Mapping[str, Any] | None = None,
) -> Loaded:
    """Read and check the configuration.

    `environ` defaults to the process environment. `overrides` maps dotted paths (`server.port`) to values from the
    command line; None values are ignored. `discovered` is the lowest layer (`Discovery.config`). Secrets are not
    resolved and names not cross-checked yet: that is `compile_config`. Raises `ConfigError` with every problem found.
    """
    layers = Layers()
    problems: list[Problem] = []
    file = FilePath(path) if path is not None else None
    if discovered:
        layers.merge(normalise(discovered, ROOT), lambda _: "discovered")
    if file is not None:
        source = read_source(file)
        problems += source.problems
        layers.merge(normalise(source.values, ROOT), source.origin)
    problems += apply_environment(layers, process_environment() if environ is None else environ)
    problems += apply_overrides(layers, overrides or {})
    config, found = validate(layers)
    problems += found
    if config is None or problems:
        raise ConfigError(problems)
    origins = {format_path(here): layers.marks.get(here, "default") for here, _ in leaves(config)}
    return Loaded(config, origins, file)
