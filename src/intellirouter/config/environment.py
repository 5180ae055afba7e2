"""Settings from environment variables and flags: names become paths, text becomes values."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from intellirouter.config.problems import Problem, did_you_mean
from intellirouter.config.source import parse_scalar
from intellirouter.config.tree import ROOT, Layers, Path, Shape, child_shape, format_path, is_text, normalise, shape_of

PREFIX: Final = "INTELLIR_"
SEED_NAMES: Final[dict[str, Path]] = {
    "LOG_LEVEL": ("logging", "level"),
    "ORCHESTRATOR_DEBUG": ("logging", "level"),
    "ORCHESTRATOR_HOST": ("server", "host"),
    "API_PORT": ("server", "port"),
    "ORCHESTRATOR_API_PORT": ("server", "port"),
    "INTELLIR_ROLE": ("server", "role"),
}
"""Names with a history; a later one wins over an earlier one, and `INTELLIR_<PATH>` over all of them."""
NOT_SETTINGS: Final = frozenset({"INTELLIR_SECRET_KEY", "INTELLIR_SECRET_KEY_NEW"})
"""Names that look like settings but are secrets of their own: the key of stored credentials."""
FLAGS: Final = {
    "server.host": "--host",
    "server.port": "--port",
    "server.role": "--role",
    "logging.level": "--log-level",
}
_TRUE: Final = frozenset({"1", "true", "yes", "on"})


class _NoSuchSettingError(Exception):
    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


def apply_environment(layers: Layers, environ: Mapping[str, str]) -> list[Problem]:
    """Lay the environment on top of `layers`; return what could not be applied. Empty variables count as unset."""
    problems: list[Problem] = []
    for name, path in SEED_NAMES.items():
        text = environ.get(name, "").strip()
        if not text:
            continue
        if name == "ORCHESTRATOR_DEBUG":
            if text.lower() not in _TRUE:
                continue
            text = "debug"
        _apply(layers, [str(step) for step in path], text, f"env {name}", problems)
    others = SEED_NAMES.keys() | NOT_SETTINGS
    ours = [name for name in environ if name.upper().startswith(PREFIX) and name.upper() not in others]
    for name in sorted(ours, key=_order):
        if environ[name].strip():
            _apply(layers, name[len(PREFIX) :].split("__"), environ[name], f"env {name}", problems)
    return problems


def apply_overrides(layers: Layers, overrides: Mapping[str, Any]) -> list[Problem]:
    """Lay command line values (dotted path to value) on top. None means that the flag was not given."""
    problems: list[Problem] = []
    for text_path, value in overrides.items():
        if value is not None:
            steps = [quoted or plain for quoted, plain in re.findall(r'"([^"]*)"|([^."\[\]]+)', text_path)]
            _apply(layers, steps, value, f"flag {FLAGS.get(text_path, f'--set {text_path}')}", problems)
    return problems


def _order(name: str) -> tuple[int, list[str]]:
    # Whole sections before their parts, and list items by number.
    steps = name.split("__")
    return len(steps), [step.zfill(8) if step.isdigit() else step for step in steps]


def _apply(layers: Layers, steps: Sequence[str], value: Any, origin: str, problems: list[Problem]) -> None:
    try:
        path, shape = _resolve(layers, steps, origin)
        if isinstance(value, str):
            value = _parse(value, shape)
    except _NoSuchSettingError as error:
        problems.append(Problem(".".join(steps).lower(), error.message, error.hint, origin))
    except ValueError as error:
        problems.append(Problem(".".join(steps).lower(), str(error), "", origin))
    else:
        layers.put(path, normalise(value, shape), origin)


def _resolve(layers: Layers, steps: Sequence[str], origin: str) -> tuple[Path, Shape]:
    path: Path = ()
    shape: Shape | None = ROOT
    for index, step in enumerate(steps):
        if shape is None or (shape.section is None and shape.values is None and shape.items is None):
            raise _NoSuchSettingError(f"{format_path(path)} is a single value and has no parts")
        if shape.section is not None:
            path = (*path, _field(shape, steps, index, origin))
        elif shape.values is not None:
            path = (*path, _entry(layers.names_at(path), step, path))
        else:
            path = (*path, _index(layers.value_at(path), step, path, shape))
        shape = child_shape(shape, path[-1])
    if shape is None or not path:
        raise _NoSuchSettingError("is not a setting")
    return path, shape


def _field(shape: Shape, steps: Sequence[str], index: int, origin: str) -> str:
    before, step, after = steps[:index], steps[index], steps[index + 1 :]
    known = list(shape.section.model_fields) if shape.section is not None else []
    if step.lower() in known:
        return step.lower()
    hint = did_you_mean(step, known)
    if hint and origin.startswith("env "):
        name = "__".join([*before, hint.removeprefix("did you mean ").removesuffix("?"), *after]).upper()
        hint = f"did you mean {PREFIX}{name}?"
    elif not hint:
        hint = f"known here: {', '.join(known)}"
    where = "__".join(before).lower().replace("__", ".")
    raise _NoSuchSettingError(f"there is no setting {step.lower()!r}{f' in {where}' if where else ''}", hint)


def _entry(known: Sequence[str], step: str, path: Path) -> str:
    if not step:
        raise _NoSuchSettingError(f"a name is missing after {format_path(path)}")
    if step in known:
        return step
    # Variables cannot hold every character of a name: GPT_4_1 stands for gpt-4.1.
    for fold in (str.lower, _squash):
        found = [name for name in known if fold(name) == fold(step)]
        if len(found) == 1:
            return found[0]
        if found:
            raise _NoSuchSettingError(f"{step!r} may mean {' or '.join(found)}", "set it in the configuration file")
    return step.lower()


def _squash(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "_", name.lower())


def _index(items: Any, step: str, path: Path, shape: Shape) -> int:
    if shape_of(shape.items).section is None:
        raise _NoSuchSettingError(f"{format_path(path)} is set as a whole: a, b, c")
    length = len(items) if isinstance(items, list) else 0
    if not re.fullmatch(r"[0-9]{1,6}", step) or int(step) > length:
        raise _NoSuchSettingError(
            f"{step!r} is not an index of {format_path(path)}", f"0 to {length}; {length} adds an entry"
        )
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
