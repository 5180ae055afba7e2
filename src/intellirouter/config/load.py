"""Loads the configuration in layers: discovered < file < environment < command line.

This is the only place that reads the environment of the process.
"""

import os
from collections.abc import Mapping
from pathlib import Path as FilePath
from typing import Any, Final

from msgspec import Struct

from intellirouter.config.config_file import read_config_file
from intellirouter.config.environment import FIXED_VARIABLES, apply_environment, apply_overrides
from intellirouter.config.environment_warnings import environment_warnings
from intellirouter.config.problems import ConfigError, ConfigProblem
from intellirouter.config.schema import Config
from intellirouter.config.tree import ROOT, Layers, format_path, leaves, normalize
from intellirouter.config.validate import validate

DEFAULT_FILE: Final = FilePath("intellirouter.yaml")
"""Used if no file is given and the working directory contains it."""
_SIMILAR_ENDINGS: Final = frozenset({".yaml", ".yml", ".json", ".toml"})


def file_or_default(path: FilePath | None) -> FilePath | None:
    """Return the given file, or else the one in the working directory; None if there is neither.

    Raises ConfigError if the working directory has one whose name is only similar. Without it, a gateway that should
    require keys would be open.
    """
    if path is not None:
        return path
    if DEFAULT_FILE.exists():
        return DEFAULT_FILE
    if (similar := _similar_file()) is not None:
        raise ConfigError([
            ConfigProblem(
                "",
                f"The working directory has no {DEFAULT_FILE}, but {similar}, which is not read by itself.",
                f"Rename it to {DEFAULT_FILE}, or use --config {similar}.",
            )
        ])  # fmt: skip
    return None


def _similar_file() -> str | None:
    try:
        paths = sorted(FilePath().iterdir())
    except OSError:
        return None
    stem = DEFAULT_FILE.stem
    similar = (each for each in paths if each.stem.lower() == stem and each.suffix.lower() in _SIMILAR_ENDINGS)
    return next((each.name for each in similar if each.is_file()), None)


class LoadedConfig(Struct, frozen=True):
    """A valid configuration, with the origin of each of its settings."""

    config: Config
    origins: dict[str, str]
    """Setting -> `default`, `discovered`, `file NAME:LINE`, `env NAME` or `flag --NAME`."""
    path: FilePath | None
    """The file it was read from, if any."""
    warnings: tuple[str, ...] = ()
    """Variables that look like settings and have no effect."""


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
    loaded = LoadedConfig(config, origins, file, environment_warnings(variables, FIXED_VARIABLES))
    if problems:
        raise InvalidConfig(problems, loaded)
    return loaded
