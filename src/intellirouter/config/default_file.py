"""The configuration file in the working directory, and files there whose names are only similar."""

import os
from collections.abc import Iterator
from pathlib import Path as FilePath
from typing import Final

from intellirouter.config.problems import ConfigError, ConfigProblem

DEFAULT_FILE: Final = FilePath("intellirouter.yaml")
"""Used if no file is given and the working directory contains it."""
_SIMILAR_ENDINGS: Final = frozenset({".yaml", ".yml", ".json", ".toml"})


def file_or_default(path: FilePath | None) -> FilePath | None:
    """Return the given file, or else the one in the working directory; None if there is neither.

    Raises ConfigError if the working directory has one whose name is only similar. Without it, a gateway that should
    require keys would be open. For the same reason, a link to a file that does not exist is not ignored.
    """
    if path is not None:
        return path
    if os.path.lexists(DEFAULT_FILE):
        return DEFAULT_FILE
    if (similar := next(_similar_files(), None)) is not None:
        raise ConfigError([
            ConfigProblem(
                "",
                f"The working directory has no {DEFAULT_FILE}, but {similar}, which is not read by itself.",
                f"Rename it to {DEFAULT_FILE}, or use --config {similar}.",
            )
        ])  # fmt: skip
    return None


def similar_file_warnings(path: FilePath | None) -> tuple[str, ...]:
    """Return a warning for each file that could be meant by the default one, if `path` is that one."""
    if path != DEFAULT_FILE:
        return ()
    names = [each for each in _similar_files() if not _is_same(each, DEFAULT_FILE)]
    return tuple(
        f"{name}: This file is not read, because {DEFAULT_FILE} exists. Rename it or remove it." for name in names
    )


def _similar_files() -> Iterator[str]:
    try:
        paths = sorted(FilePath().iterdir())
    except OSError:
        return
    for path in paths:
        is_similar = path.stem.lower() == DEFAULT_FILE.stem and path.suffix.lower() in _SIMILAR_ENDINGS
        if is_similar and path != DEFAULT_FILE and not path.is_dir():
            yield path.name


def _is_same(name: str, path: FilePath) -> bool:
    """Return whether both are the same file: a link, or a file system that ignores case."""
    try:
        return FilePath(name).samefile(path)
    except OSError:
        return False
