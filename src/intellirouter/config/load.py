"""Loads the configuration in layers: discovered < file < environment < command line.

This is the only place that reads the environment of the process.
"""

import os
from collections.abc import Mapping
from pathlib import Path as FilePath
from typing import Any

from msgspec import Struct

from intellirouter.config.config_file import read_config_file
from intellirouter.config.default_file import similar_file_warnings
from intellirouter.config.environment import FIXED_VARIABLES, apply_environment, apply_overrides
from intellirouter.config.environment_warnings import environment_warnings
from intellirouter.config.problems import ConfigError, ConfigProblem
from intellirouter.config.schema import Config
from intellirouter.config.tree import ROOT, Layers, format_path, leaves, normalize
from intellirouter.config.validate import validate


class LoadedConfig(Struct, frozen=True):
    """A valid configuration, with the origin of each of its settings."""

    config: Config
    origins: dict[str, str]
    """Setting -> `default`, `discovered`, `file NAME:LINE`, `env NAME` or `flag --NAME`."""
    path: FilePath | None
    """The file it was read from, if any."""
    warnings: tuple[str, ...] = ()
    """Variables that look like settings and have no effect, and files that are not read."""


class InvalidConfig(ConfigError):
    """Problems in the form of a configuration. `valid_part` is the rest of it, to be checked for further problems.

    In `valid_part`, invalid settings are replaced. None if that was not possible.
    """

    def __init__(self, problems: list[ConfigProblem], valid_part: LoadedConfig | None) -> None:
        super().__init__(problems)
        self.valid_part = valid_part


def process_environment() -> Mapping[str, str]:
    """Return the environment of this process, for callers that pass it on."""
    return os.environ  # noqa: TID251 - the one place


def load_config(
    path: FilePath | str | None = None,
    *,
    environ: Mapping[str, str] | None = None,
    overrides: Mapping[str, Any] | None = None,
    discovered: Mapping[str, Any] | None = None,
) -> LoadedConfig:
    """Read and validate the configuration.

    `environ` defaults to the environment of the process. `overrides` maps dotted paths (`server.port`) to values from
    the command line; None values are ignored. `discovered` is the lowest layer (`Discovery.config`). Secrets are not
    resolved and names are not cross-checked here; `compile_config` does that. Raises `InvalidConfig` with all problems.
    """
    layers = Layers()
    problems: list[ConfigProblem] = []
    file = FilePath(path) if path is not None else None
    if discovered:
        layers.merge(normalize(discovered, ROOT), lambda _: "discovered")
    if file is not None:
        content = read_config_file(file)
        problems += content.problems
        layers.merge(normalize(content.values, ROOT), content.origin)
    variables = process_environment() if environ is None else environ
    problems += apply_environment(layers, variables)
    problems += apply_overrides(layers, overrides or {})
    config, found = validate(layers)
    problems += found
    if config is None:
        raise InvalidConfig(problems, None)
    origins = {format_path(here): layers.marks.get(here, "default") for here, _ in leaves(config)}
    warnings = (*similar_file_warnings(file), *environment_warnings(variables, FIXED_VARIABLES))
    loaded = LoadedConfig(config, origins, file, warnings)
    if problems:
        raise InvalidConfig(problems, loaded)
    return loaded
