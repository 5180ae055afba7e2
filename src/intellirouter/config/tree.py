"""Paths through the tree of settings, what the schema expects at each path, and merged values with their origins."""

import re
import types
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin

from msgspec import Struct

from intellirouter.config.breaker_section import Breaker, DefaultBreaker, expand_switch
from intellirouter.config.concurrency_section import Concurrency, DefaultConcurrency
from intellirouter.config.schema import Config
from intellirouter.config.section import Section
from intellirouter.config.store_section import Store

Path = tuple[str | int, ...]
"""Steps from the root: names of settings and entries, and indices of lists."""

_SWITCHED: Final = frozenset({Breaker, DefaultBreaker, Concurrency, DefaultConcurrency})
_PLAIN = re.compile(r"[^\s.\[\]\"]+\Z")


class Shape(Struct, frozen=True):
    """What the schema expects at one path. At most one of `section`, `values` and `items` is set; none for a leaf."""

    section: type[Section] | None = None
    values: Any = None
    """For a mapping with free names: the annotation of its values."""
    items: Any = None
    """For a list: the annotation of its items."""
    leaf: tuple[Any, ...] = ()
    allows_none: bool = False


def shape_of(annotation: Any) -> Shape:
    """Return what `annotation` accepts. It belongs to a field, to the values of a mapping or to the items of a list."""
    while get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    if get_origin(annotation) in {Union, types.UnionType}:
        options = [option for option in get_args(annotation) if option is not type(None)]
        allows_none = len(options) < len(get_args(annotation))
        inner = shape_of(options[0])
        return Shape(inner.section, inner.values, inner.items, inner.leaf, allows_none)
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return Shape(section=annotation)
    if get_origin(annotation) is dict:
        return Shape(values=get_args(annotation)[1])
    if get_origin(annotation) is list:
        return Shape(items=get_args(annotation)[0])
    if get_origin(annotation) is Literal:
        return Shape(leaf=tuple({type(option) for option in get_args(annotation)}))
    return Shape(leaf=(annotation,))


ROOT: Final = Shape(section=Config)


def is_text(shape: Shape) -> bool:
    """Return whether text for this leaf is used unchanged: `123` stays a string, a price keeps its exact decimals."""
    return bool(shape.leaf) and all(kind in {str, Decimal, datetime} for kind in shape.leaf)


def child_shape(shape: Shape, step: str | int) -> Shape | None:
    """Return the shape one step down, or None if the schema has no such path."""
    if shape.section is not None:
        field = shape.section.model_fields.get(str(step))
        return shape_of(field.annotation) if field is not None else None
    if shape.values is not None and isinstance(step, str):
        return shape_of(shape.values)
    if shape.items is not None and isinstance(step, int):
        return shape_of(shape.items)
    return None


def shape_at(path: Path) -> Shape | None:
    """Return the shape at `path`, or None."""
    shape: Shape | None = ROOT
    for step in path:
        if shape is None:
            return None
        shape = child_shape(shape, step)
    return shape


def format_path(path: Path) -> str:
    """Return a path in readable form: `keys[0].name`, `deployments."gpt-4.1".model`."""
    text = ""
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]"
        else:
            name = step if _PLAIN.match(step) else f'"{step}"'
            text += f".{name}" if text else name
    return text


def normalize(value: Any, shape: Shape) -> Any:
    """Return one layer in canonical form, so that layers can be merged setting by setting.

    A plain store URL, `breaker: off` and `concurrency: off` become mappings. A setting with an empty value (`port:`)
    is omitted.
    """
    if shape.section is Store and isinstance(value, str):
        return {"url": value}
    if shape.section in _SWITCHED:
        value = expand_switch(value)
    if isinstance(value, Mapping):
        result = {}
        for name, item in value.items():
            inner = child_shape(shape, name) or Shape()
            if item is None and not inner.allows_none and inner != Shape():
                if shape.values is None:
                    continue
                item = {}  # noqa: PLW2901 - an entry without settings is still an entry
            result[name] = normalize(item, inner)
        return result
    if isinstance(value, list) and shape.items is not None:
        return [normalize(item, shape_of(shape.items)) for item in value]
    return value


class Layers:
    """The values of all layers merged so far, with the origin of each value."""

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}
        self.marks: dict[Path, str] = {}

    def merge(self, layer: Mapping[str, Any], origin: Callable[[Path], str]) -> None:
        """Merge `layer` on top: mappings are merged, other values replaced. `origin` returns the source of a path."""
        self._merge_into(self.values, layer, (), origin)

    def put(self, path: Path, value: Any, origin: str) -> None:
        """Set one value. An index that equals the length of its list appends to the list."""
        node: Any = self.values
        for depth, step in enumerate(path[:-1]):
            node = self._descend(node, step, empty=[] if isinstance(path[depth + 1], int) else {})
        last = path[-1]
        if isinstance(node, dict):
            self._merge_into(node, {last: value}, path[:-1], lambda _: origin)
        else:
            item = self._descend(node, last, empty={})
            if isinstance(value, Mapping):
                self._merge_into(item, value, path, lambda _: origin)
            else:
                node[last] = value
                self._mark(path, value, lambda _: origin)

    @staticmethod
    def _descend(node: Any, step: Any, *, empty: Any) -> Any:
        if isinstance(node, list):
            if step == len(node):
                node.append(empty)
            elif not isinstance(node[step], type(empty)):
                node[step] = empty
        elif not isinstance(node.get(step), type(empty)):
            node[step] = empty
        return node[step]

    def _merge_into(
        self, node: dict[Any, Any], layer: Mapping[Any, Any], path: Path, origin: Callable[[Path], str]
    ) -> None:
        for name, value in layer.items():
            here = (*path, name)
            if isinstance(value, Mapping):
                if not isinstance(node.get(name), dict):
                    if name in node:
                        self._forget(here)
                    node[name] = {}
                self.marks.setdefault(here, origin(here))
                self._merge_into(node[name], value, here, origin)
            else:
                if name in node:
                    self._forget(here)
                node[name] = _copy(value)
                self._mark(here, value, origin)

    def _forget(self, path: Path) -> None:
        """Remove the origins of a value that is about to be replaced. Slow, so do not call it for new values."""
        for known in [known for known in self.marks if known[: len(path)] == path]:
            del self.marks[known]

    def _mark(self, path: Path, value: Any, origin: Callable[[Path], str]) -> None:
        self.marks[path] = origin(path)
        if isinstance(value, list):
            for index, item in enumerate(value):
                self._mark((*path, index), item, origin)
        elif isinstance(value, Mapping):
            for name, item in value.items():
                self._mark((*path, name), item, origin)

    def origin_near(self, path: Path) -> str:
        """Return the origin of the value at `path`, or of the nearest path above it that has one."""
        for length in range(len(path), 0, -1):
            if (found := self.marks.get(path[:length])) is not None:
                return found
        return ""

    def names_at(self, path: Path) -> list[str]:
        """Return the names of the entries that the mapping at `path` has so far."""
        node = self.value_at(path)
        return [str(name) for name in node] if isinstance(node, dict) else []

    def value_at(self, path: Path) -> Any:
        """Return the value at `path`, or None."""
        return value_at(self.values, path)


def value_at(values: Any, path: Path) -> Any:
    """Return the value at `path` of nested mappings and lists, or None."""
    node = values
    for step in path:
        if isinstance(node, dict):
            node = node.get(step)
        elif isinstance(node, list) and isinstance(step, int) and step < len(node):
            node = node[step]
        else:
            return None
    return node


def _copy(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _copy(item) for name, item in value.items()}
    return [_copy(item) for item in value] if isinstance(value, list) else value


def leaves(config: Config) -> Iterator[tuple[Path, Any]]:
    """Yield path and value of every setting, defaults included. A list of plain values is one setting."""
    yield from _leaves(config, ())


def _leaves(value: Any, path: Path) -> Iterator[tuple[Path, Any]]:
    if isinstance(value, Section):
        for name in type(value).model_fields:
            yield from _leaves(getattr(value, name), (*path, name))
    elif isinstance(value, dict):
        for name, item in value.items():
            yield from _leaves(item, (*path, name))
    elif isinstance(value, list) and any(isinstance(item, Section) for item in value):
        for index, item in enumerate(value):
            yield from _leaves(item, (*path, index))
    elif not (isinstance(value, list) and path == ("keys",)):
        yield path, value
