"""Applies environment variables and flags: their names become paths, their text becomes values."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from intellirouter.config.config_file import parse_scalar
from intellirouter.config.environment_warnings import PREFIX, is_ignored_link
from intellirouter.config.problems import ConfigProblem, known_names, listed, nearest, quoted
from intellirouter.config.tree import ROOT, Layers, Path, Shape, child_shape, format_path, is_text, normalize, shape_of

FIXED_VARIABLES: Final[dict[str, Path]] = {
    "LOG_LEVEL": ("logging", "level"),
    "ORCHESTRATOR_DEBUG": ("logging", "level"),
    "ORCHESTRATOR_HOST": ("server", "host"),
    "API_PORT": ("server", "port"),
    "ORCHESTRATOR_API_PORT": ("server", "port"),
    "INTELLIR_ROLE": ("server", "role"),
}
"""Variables with names of their own. A later one overrides an earlier one; `INTELLIR_<PATH>` overrides all of them."""
SECRET_KEY_VARIABLES: Final = frozenset({"INTELLIR_SECRET_KEY", "INTELLIR_SECRET_KEY_NEW"})
"""These have the prefix but are not settings: they hold the key of the stored credentials."""
FLAGS: Final = {
    "server.host": "--host",
    "server.port": "--port",
    "server.role": "--role",
    "logging.level": "--log-level",
}
_TRUE: Final = frozenset({"1", "true", "yes", "on"})
_FALSE: Final = frozenset({"0", "false", "no", "off"})


class _PathError(Exception):
    """The name of a variable or a flag does not lead to a setting."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


def apply_environment(layers: Layers, environ: Mapping[str, str]) -> list[ConfigProblem]:
    """Apply the environment on top of `layers` and return the problems.

    Empty variables and service links are ignored.
    """
    problems: list[ConfigProblem] = []
    for name, path in FIXED_VARIABLES.items():
        text = environ.get(name, "").strip()
        if not text or is_ignored_link(name, text):
            continue
        if name == "ORCHESTRATOR_DEBUG":
            if text.lower() in _FALSE:
                continue
            if text.lower() not in _TRUE:
                message = f"ORCHESTRATOR_DEBUG must be true or false, not {quoted(text)}."
                problems.append(ConfigProblem("logging.level", message, "", f"env {name}"))
                continue
            text = "debug"
        _apply(layers, [str(step) for step in path], text, f"env {name}", problems)
    others = FIXED_VARIABLES.keys() | SECRET_KEY_VARIABLES
    ours = [name for name in environ if name.upper().startswith(PREFIX) and name.upper() not in others]
    for name in sorted(ours, key=_order):
        if environ[name].strip() and not is_ignored_link(name, environ[name]):
            _apply(layers, name[len(PREFIX) :].split("__"), environ[name], f"env {name}", problems)
    return problems


def apply_overrides(layers: Layers, overrides: Mapping[str, Any]) -> list[ConfigProblem]:
    """Apply command line values (dotted path -> value) on top and return the problems. None means no flag was given."""
    problems: list[ConfigProblem] = []
    for text_path, value in overrides.items():
        if value is not None:
            steps = [quoted or plain for quoted, plain in re.findall(r'"([^"]*)"|([^."\[\]]+)', text_path)]
            _apply(layers, steps, value, f"flag {FLAGS.get(text_path, f'--set {text_path}')}", problems)
    return problems


def _order(name: str) -> tuple[int, list[str]]:
    # Whole sections before their parts, and list items by number.
    steps = name.split("__")
    return len(steps), [step.zfill(8) if step.isdigit() else step for step in steps]


def _apply(layers: Layers, steps: Sequence[str], value: Any, origin: str, problems: list[ConfigProblem]) -> None:
    try:
        path, shape = _resolve(layers, steps, origin)
        if isinstance(value, str):
            value = _parse(value, shape)
    except _PathError as error:
        problems.append(ConfigProblem(".".join(steps).lower(), error.message, error.hint, origin))
    except ValueError as error:
        problems.append(ConfigProblem(".".join(steps).lower(), str(error), "", origin))
    else:
        layers.put(path, normalize(value, shape), origin)


def _resolve(layers: Layers, steps: Sequence[str], origin: str) -> tuple[Path, Shape]:
    path: Path = ()
    shape: Shape | None = ROOT
    for index, step in enumerate(steps):
        if shape is None or (shape.section is None and shape.values is None and shape.items is None):
            raise _PathError(f"`{format_path(path)}` is a single value and contains no other settings.")
        if shape.section is not None:
            path = (*path, _setting_name(shape, steps, index, origin))
        elif shape.values is not None:
            path = (*path, _entry_name(layers.names_at(path), step, path))
        else:
            path = (*path, _index(layers.value_at(path), step, path, shape))
        shape = child_shape(shape, path[-1])
    if shape is None or not path:
        raise _PathError("The name of a setting is missing.")
    return path, shape


def _setting_name(shape: Shape, steps: Sequence[str], index: int, origin: str) -> str:
    before, step, after = steps[:index], steps[index], steps[index + 1 :]
    known = list(shape.section.model_fields) if shape.section is not None else []
    if step.lower() in known:
        return step.lower()
    near = nearest(step, known)
    if near is None:
        hint = known_names(known, "settings")
    elif origin.startswith("env "):
        hint = f"Did you mean `{PREFIX}{'__'.join([*before, near, *after]).upper()}`?"
    else:
        hint = f"Did you mean `{near}`?"
    raise _PathError(f"Unknown setting {quoted(step.lower())}.", hint)


def _entry_name(known: Sequence[str], step: str, path: Path) -> str:
    if not step:
        raise _PathError(f"A name is missing after `{format_path(path)}`.")
    if step in known:
        return step
    # The name of a variable cannot contain every character: GPT_4_1 stands for gpt-4.1.
    for fold in (str.lower, _with_underscores):
        found = [name for name in known if fold(name) == fold(step)]
        if len(found) == 1:
            return found[0]
        if found:
            message = f"{quoted(step)} matches more than one name: {listed(found)}."
            raise _PathError(message, "Set it in the configuration file instead.")
    return step.lower()


def _with_underscores(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "_", name.lower())


def _index(items: Any, step: str, path: Path, shape: Shape) -> int:
    if shape_of(shape.items).section is None:
        raise _PathError(f"`{format_path(path)}` can only be set as a whole.", "Write the list as `a, b, c`.")
    length = len(items) if isinstance(items, list) else 0
    if not re.fullmatch(r"[0-9]{1,6}", step) or int(step) > length:
        hint = (
            f"Use a number from 0 to {length}; {length} adds an entry." if length else "Use 0 to add the first entry."
        )
        raise _PathError(f"{quoted(step)} is not a valid index of `{format_path(path)}`.", hint)
    return int(step)


def _parse(text: str, shape: Shape) -> Any:
    if is_text(shape) and not (shape.allows_none and text.strip().lower() in {"null", "~"}):
        return text.strip()
    value = parse_scalar(text)
    if bool in shape.leaf and value in (0, 1):
        return bool(value)
    if shape.items is not None and shape_of(shape.items).section is None and isinstance(value, str):
        return [item.strip() for item in value.split(",") if item.strip()]
    return value
