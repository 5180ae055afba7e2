"""Reads a configuration file, YAML without duplicate names or TOML, with the line of every setting."""

import re
import shlex
import tomllib
from collections.abc import Mapping
from pathlib import Path as FilePath
from typing import Any, Final

import yaml
from msgspec import Struct, structs

from intellirouter.config.default_file import DEFAULT_FILE
from intellirouter.config.file_format import format_hint, is_toml_name
from intellirouter.config.problems import ConfigError, ConfigProblem
from intellirouter.config.toml_lines import toml_lines
from intellirouter.config.tree import Path, format_path
from intellirouter.config.yaml_problems import describe_yaml_error
from intellirouter.core import read_bounded

MAX_FILE_BYTES: Final = 4 * 1024 * 1024
MAX_NODES: Final = 200_000
"""Aliases can repeat nodes, so this limits the size to which a small file can expand."""
MAX_DEPTH: Final = 64
_PLAIN_TAGS: Final = frozenset({"tag:yaml.org,2002:map", "tag:yaml.org,2002:seq"})


class ConfigFile(Struct):
    """The content of a file: its values, the line of every path in it, and problems other than broken syntax."""

    name: str
    values: dict[str, Any]
    lines: dict[Path, int]
    problems: list[ConfigProblem]

    def origin(self, path: Path) -> str:
        """Return `file NAME:LINE` for `path` or the nearest path above it that has a line, or else `file NAME`."""
        for length in range(len(path), 0, -1):
            if (line := self.lines.get(path[:length])) is not None:
                return f"file {self.name}:{line}"
        return f"file {self.name}"


def read_config_file(path: FilePath) -> ConfigFile:
    """Read `path` as TOML if its name ends in `.toml`, as YAML otherwise.

    Raises `ConfigError` when the file cannot be read or its syntax is broken.
    """
    try:
        raw = read_bounded(path, MAX_FILE_BYTES)
    except FileNotFoundError:
        raise _failure(path, "The file does not exist.", _missing_file_hint(path)) from None
    except OSError as error:
        raise _failure(path, f"The file cannot be read: {error.strerror or error}.") from error
    if len(raw) > MAX_FILE_BYTES:
        raise _failure(path, f"The file is larger than {MAX_FILE_BYTES // 1024**2} MiB.")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _failure(path, f"The file is not valid UTF-8 at byte {error.start}.", "Save it as UTF-8.") from None
    try:
        return _read_toml(path, text) if is_toml_name(path) else _read_yaml(path, text)
    except ConfigError as error:
        raise ConfigError([
            structs.replace(each, hint=format_hint(path, text, each.hint)) for each in error.problems
        ]) from None  # fmt: skip


def _missing_file_hint(path: FilePath) -> str:
    if path.is_symlink():
        return "It is a symbolic link to a file that does not exist."
    if not path.parent.is_dir():
        return f"The directory {path.parent} does not exist either. Check the path."
    if is_toml_name(path):
        return "Check the path. `intellirouter init` writes YAML files only."
    option = "" if path == DEFAULT_FILE else f" -o {shlex.quote(str(path))}"
    return f"Check the path, or run `intellirouter init{option}` to create the file from what this machine offers."


def parse_scalar(text: str) -> Any:
    """Read one value as YAML does: `9000`, `true`, `[a, b]`, `{"usd": 5}`. Raises `ValueError`."""
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError:
        raise ValueError("The value is not valid YAML.") from None
    except RecursionError:
        raise ValueError("The value is nested too deeply.") from None


def _failure(path: FilePath, message: str, hint: str = "", line: int | None = None) -> ConfigError:
    origin = f"file {path}" if line is None else f"file {path}:{line}"
    return ConfigError([ConfigProblem("", message, hint, origin)])


def _read_toml(path: FilePath, text: str) -> ConfigFile:
    try:
        values = tomllib.loads(text)
        lines = toml_lines(text)
    except tomllib.TOMLDecodeError as error:
        reason, line = _toml_reason(str(error))
        raise _failure(path, f"The file is not valid TOML: {reason}.", line=line) from None
    except RecursionError:
        raise _failure(path, "The file is nested too deeply.") from None
    return ConfigFile(str(path), values, lines, [])


def _toml_reason(text: str) -> tuple[str, int | None]:
    """Split `Invalid value (at line 3, column 9)`, as the parser reports it, into the reason and the line."""
    reason, _, place = text.partition(" (at ")
    found = re.match(r"line (\d+)", place)
    reason = reason[:1].lower() + reason[1:]
    return (reason, int(found[1])) if found else (f"{reason} at the end of the file", None)


def _read_yaml(path: FilePath, text: str) -> ConfigFile:
    try:
        loader = yaml.SafeLoader(text)
        try:
            reader = _YamlReader(str(path), loader)
            root = loader.get_single_node()
            values = {} if root is None else reader.build(root, ())
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark is not None else None
        raise _failure(path, *describe_yaml_error(error), line=line) from None
    except yaml.YAMLError:
        message = "The file is not valid YAML: it contains a character that YAML does not allow."
        raise _failure(path, message) from None
    except (RecursionError, _TooLargeError):
        raise _failure(path, "The file is nested too deeply, or its aliases expand to too much.") from None
    except ValueError as error:
        raise _failure(path, f"The file contains a date or a number that does not exist: {error}.") from None
    if values is None:
        values = {}
    if not isinstance(values, dict):
        hint = "Start it with a section, for example `providers:`."
        raise _failure(path, "The file must be a mapping of settings at its top level.", hint)
    return ConfigFile(str(path), values, reader.lines, reader.problems)


class _TooLargeError(Exception):
    pass


class _YamlReader:
    """Builds plain values from YAML nodes, and collects lines and duplicate names."""

    def __init__(self, name: str, loader: yaml.SafeLoader) -> None:
        self.name = name
        self.lines: dict[Path, int] = {}
        self.problems: list[ConfigProblem] = []
        self._loader = loader
        self._nodes = 0

    def build(self, node: yaml.Node, path: Path) -> Any:
        self._nodes += 1
        if self._nodes > MAX_NODES or len(path) > MAX_DEPTH:
            raise _TooLargeError
        self.lines.setdefault(path, node.start_mark.line + 1)
        if isinstance(node, yaml.CollectionNode) and node.tag not in _PLAIN_TAGS:
            raise yaml.MarkedYAMLError(problem="tags are not allowed", problem_mark=node.start_mark)
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path)
        if isinstance(node, yaml.SequenceNode):
            return [self.build(item, (*path, index)) for index, item in enumerate(node.value)]
        return self._loader.construct_object(node)

    def _mapping(self, node: yaml.MappingNode, path: Path) -> dict[str, Any]:
        own: dict[str, Any] = {}
        inherited: dict[str, Any] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            if not isinstance(key_node, yaml.ScalarNode):
                self._report(path, "A name must be a string.", "", line)
                continue
            if key_node.tag == "tag:yaml.org,2002:merge":
                for name, value in self._merged(value_node, path):
                    inherited.setdefault(name, value)
                continue
            # The text as written, because a model may be called `off`, `1.5` or `2024`.
            name = str(key_node.value)
            here = (*path, name)
            if name in own:
                hint = f"The first one is on line {self.lines[here]}. Keep one of them."
                self._report(here, "This name is set more than once.", hint, line)
            self.lines[here] = line
            own[name] = self.build(value_node, here)
        return {**inherited, **own}

    def _merged(self, node: yaml.Node, path: Path) -> list[tuple[str, Any]]:
        parts = node.value if isinstance(node, yaml.SequenceNode) else [node]
        pairs: list[tuple[str, Any]] = []
        for part in parts:
            value = self.build(part, path)
            if isinstance(value, Mapping):
                pairs += value.items()
            else:
                self._report(path, "`<<` requires a mapping.", "", part.start_mark.line + 1)
        return pairs

    def _report(self, path: Path, message: str, hint: str, line: int) -> None:
        self.problems.append(ConfigProblem(format_path(path), message, hint, f"file {self.name}:{line}"))
