"""Three-way merge of JSON documents: applies one side's changes to the other side's document, and changes nothing else.

`base` and `ours` are documents of one writer, before and after a change. `theirs` is a document of another writer with
the same meaning as `base`: it may have members that `base` does not have, or a different spelling. Where `base` and
`ours` are equal, the result is the value of `theirs`. Objects are merged member by member. The elements of lists are
paired by their content; an element of `theirs` without a counterpart in `base` keeps its place. If the pairs do not
determine the place of a change, the list is taken from `ours`.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from difflib import SequenceMatcher
from typing import Any, Final

import msgspec
from msgspec import Struct, field

_ABSENT: Final = object()
_WHOLE: Final = object()
"""The value cannot be merged and must be taken from `ours`."""
_MAX_SEARCHED: Final = 300
"""How many elements, between the common beginning and the common end of two lists, are searched for common ones."""
_MAX_BLOCK: Final = 32
"""How many elements of a changed block are compared with each other."""


def _unchanged_name(name: str) -> str:
    return name


def _as_no_list(value: Any) -> list[Any] | None:  # noqa: ARG001 - the default, for writers that always write lists
    return None


class Layout(Struct, frozen=True, kw_only=True):
    """The alternative ways in which the writer of `theirs` may write what the other writer writes in one way."""

    member_name: Callable[[str], str] = _unchanged_name
    """Returns the other writer's spelling of a member's name."""
    as_list: Callable[[Any], list[Any] | None] = _as_no_list
    """Returns the list that a value stands for which is not a list, such as a string for a list with one message. None:
    the value does not stand for a list."""
    synonyms: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """By top-level member: other members of `theirs` with the same meaning, or a part of it. They are removed if the
    member is taken from `ours`."""
    containers: frozenset[str] = frozenset()
    """Top-level objects that contain settings of several kinds (`generationConfig`). If `ours` does not have the
    object, only its members in `base` are removed. The writer of `base` does not know the other settings."""


PLAIN: Final = Layout()


def merge(base: Any, ours: Any, theirs: Any, layout: Layout = PLAIN) -> Any:
    """Return `theirs` with the changes between `base` and `ours`. Does not change its arguments."""
    merged = _Merger(layout).value(base, ours, theirs, layout.synonyms)
    return ours if merged is _WHOLE else merged


class _Merger:
    def __init__(self, layout: Layout) -> None:
        self._name = layout.member_name
        self._as_list = layout.as_list
        self._containers = layout.containers

    def value(self, base: Any, ours: Any, theirs: Any, synonyms: Mapping[str, tuple[str, ...]] | None = None) -> Any:
        if base == ours:
            return theirs
        if isinstance(base, dict) and isinstance(ours, dict) and isinstance(theirs, dict):
            return self._objects(base, ours, theirs, synonyms or {})
        if isinstance(base, list) and isinstance(ours, list):
            listed = theirs if isinstance(theirs, list) else self._as_list(theirs)
            if listed is not None:
                return self._lists(base, ours, listed, has_alternatives=False)
        return _WHOLE

    def _objects(
        self,
        base: dict[str, Any],
        ours: dict[str, Any],
        theirs: dict[str, Any],
        synonyms: Mapping[str, tuple[str, ...]],
    ) -> dict[str, Any]:
        spelling = {self._name(name): name for name in theirs}
        merged = dict(theirs)
        for name in [*base, *(name for name in ours if name not in base)]:
            before, after = base.get(name, _ABSENT), ours.get(name, _ABSENT)
            if before is not _ABSENT and before == after:
                continue
            others = synonyms.get(name, ())
            key = name if name in theirs else spelling.get(name, name)
            found = theirs.get(key, _ABSENT)
            if after is _ABSENT:
                rest = self._rest_of(name, before, found)
                if rest:
                    merged[key] = rest
                else:
                    _remove(merged, (key, *others))
                continue
            changed = self._member(before, after, found, has_synonyms=bool(others))
            if changed is _WHOLE:
                _remove(merged, others)
                changed = after
            merged[key] = changed
        return merged

    def _rest_of(self, name: str, before: Any, found: Any) -> dict[str, Any]:
        """Return what remains of a member that `ours` does not have; empty: nothing."""
        if name not in self._containers or not isinstance(before, dict) or not isinstance(found, dict):
            return {}
        return self._objects(before, {}, found, {})

    def _member(self, before: Any, after: Any, found: Any, *, has_synonyms: bool) -> Any:
        if found is _ABSENT:
            return _WHOLE
        if before is _ABSENT:
            # Both sides have added the member. If both values are objects, the result has the members of both.
            are_objects = isinstance(after, dict) and isinstance(found, dict)
            return self._objects({}, after, found, {}) if are_objects else _WHOLE
        if has_synonyms and isinstance(before, list) and isinstance(after, list):
            listed = found if isinstance(found, list) else self._as_list(found)
            return _WHOLE if listed is None else self._lists(before, after, listed, has_alternatives=True)
        return self.value(before, after, found)

    def _lists(self, base: list[Any], ours: list[Any], theirs: list[Any], *, has_alternatives: bool) -> Any:
        """Return the merged list, or `_WHOLE`.

        `has_alternatives`: elements of `base` without a counterpart in `theirs` may be in another member of `theirs`.
        """
        in_theirs = dict(_counterparts(base, theirs))
        in_ours = dict(_changes(base, ours))
        by_ours = {after: before for before, after in in_ours.items()}
        paired = frozenset(in_theirs.values())
        new = [element for index, element in enumerate(ours) if index not in by_ours]
        is_complete = not has_alternatives and all(
            index in paired or element in new for index, element in enumerate(theirs)
        )
        replaced: dict[int, Any] = {}
        """By index in `theirs`: the element's new value."""
        added = _Additions(theirs, paired)
        place = -1
        for index, element in enumerate(ours):
            before = by_ours.get(index)
            if before is None:
                added.put(place, element)
                continue
            found = in_theirs.get(before)
            if found is not None:
                merged = self.value(base[before], element, theirs[found])
                replaced[found] = element if merged is _WHOLE else merged
                place = found
            elif base[before] != element:
                if not is_complete:
                    return _WHOLE
                added.put(place, element)
        removed = [before for before in range(len(base)) if before not in in_ours]
        if not is_complete and any(before not in in_theirs for before in removed):
            return _WHOLE
        return added.merged(replaced, {in_theirs[before] for before in removed if before in in_theirs})


class _Additions:
    """Elements to insert between those of `theirs`."""

    def __init__(self, theirs: list[Any], paired: frozenset[int]) -> None:
        self._theirs = theirs
        self._paired = paired
        self._last = max(self._paired, default=-1)
        self._after: dict[int, list[Any]] = {}

    def put(self, place: int, element: Any) -> None:
        """Insert an element after the one at index `place`; -1: at the beginning. After the last pair: at the end."""
        self._after.setdefault(place, []).append(element)

    def merged(self, replaced: Mapping[int, Any], removed: set[int]) -> list[Any]:
        """Return the elements of `theirs` with all additions, replacements and removals."""
        merged: list[Any] = []
        for index in range(-1, len(self._theirs)):
            if index >= 0 and index not in removed:
                merged.append(replaced.get(index, self._theirs[index]))
            is_end = index == self._last >= 0
            if index in self._after and not is_end:
                merged += self._missing(index)
        if self._last >= 0:
            merged += self._missing(self._last)
        return merged

    def _missing(self, place: int) -> list[Any]:
        """Return the elements to insert after `place`, without those that `theirs` already has there."""
        present: list[Any] = []
        for index in range(place + 1, len(self._theirs)):
            if index in self._paired:
                break
            present.append(self._theirs[index])
        return [element for element in self._after.get(place, ()) if element not in present]


def _remove(members: dict[str, Any], names: Iterable[str]) -> None:
    for name in names:
        members.pop(name, None)


def _changes(base: list[Any], ours: list[Any]) -> Iterator[tuple[int, int]]:
    """Pair the elements of two lists of one writer: equal elements, and changed elements that are similar."""
    for tag, low, high, ours_low, ours_high in _blocks([*map(_text, base)], [*map(_text, ours)]):
        if tag == "equal":
            yield from zip(range(low, high), range(ours_low, ours_high), strict=True)
        else:
            for before, after in _similar(base[low:high], ours[ours_low:ours_high]):
                yield low + before, ours_low + after


def _counterparts(base: list[Any], theirs: list[Any]) -> Iterator[tuple[int, int]]:
    """Pair the elements of two writers: those with the same text, and those between two such pairs."""
    for tag, low, high, theirs_low, theirs_high in _blocks([*map(_longest, base)], [*map(_longest, theirs)]):
        if tag == "equal":
            yield from zip(range(low, high), range(theirs_low, theirs_high), strict=True)
        else:
            for before, after in _between(base[low:high], theirs[theirs_low:theirs_high]):
                yield low + before, theirs_low + after


def _between(base: list[Any], theirs: list[Any]) -> Iterator[tuple[int, int]]:
    """Pair similar elements, and those between two such pairs if both lists have the same number of them."""
    low = theirs_low = 0
    for before, after in [*_similar(base, theirs), (len(base), len(theirs))]:
        if before - low == after - theirs_low:
            yield from zip(range(low, before), range(theirs_low, after), strict=True)
        if before < len(base) and after < len(theirs):
            yield before, after
        low, theirs_low = before + 1, after + 1


def _blocks(first: list[str], second: list[str]) -> list[tuple[str, int, int, int, int]]:
    """Return the difference of two lists as `difflib` does. The common beginning and end are not searched."""
    least = min(len(first), len(second))
    head = next((at for at in range(least) if first[at] != second[at]), least)
    tail = next((at for at in range(least - head) if first[-1 - at] != second[-1 - at]), least - head)
    end, second_end = len(first) - tail, len(second) - tail
    middle = [("replace", 0, end - head, 0, second_end - head)]
    if min(end, second_end) - head > 0 and max(end, second_end) - head <= _MAX_SEARCHED:
        middle = [*SequenceMatcher(None, first[head:end], second[head:second_end]).get_opcodes()]
    return [
        ("equal", 0, head, 0, head),
        *((tag, head + a, head + b, head + c, head + d) for tag, a, b, c, d in middle),
        ("equal", end, len(first), second_end, len(second)),
    ]


def _similar(first: list[Any], second: list[Any]) -> list[tuple[int, int]]:
    """Pair the elements of two short lists, in order, so that the pairs have as much text in common as possible."""
    if not first or not second or max(len(first), len(second)) > _MAX_BLOCK:
        return []
    texts, other_texts = [*map(_texts, first)], [*map(_texts, second)]
    best: list[list[int]] = [[0] * (len(second) + 1) for _ in range(len(first) + 1)]
    common = [[_common_chars(each, other) for other in other_texts] for each in texts]
    for row in range(len(first) - 1, -1, -1):
        for column in range(len(second) - 1, -1, -1):
            pair = common[row][column]
            best[row][column] = max(
                best[row + 1][column], best[row][column + 1], pair + best[row + 1][column + 1] if pair else 0
            )
    pairs: list[tuple[int, int]] = []
    row = column = 0
    while row < len(first) and column < len(second):
        pair = common[row][column]
        if pair and best[row][column] == pair + best[row + 1][column + 1]:
            pairs.append((row, column))
            row, column = row + 1, column + 1
        elif best[row][column] == best[row + 1][column]:
            row += 1
        else:
            column += 1
    return pairs


def _common_chars(first: frozenset[str], second: frozenset[str]) -> int:
    """Return how much text two elements have in common; 0 if it is less than half of the text of the smaller one."""
    size = _size(first & second)
    return size if 2 * size >= min(_size(first), _size(second)) else 0


def _size(texts: frozenset[str]) -> int:
    return sum(map(len, texts))


def _text(value: Any) -> str:
    return msgspec.json.encode(value, order="deterministic").decode()


def _longest(value: Any) -> str:
    """Return the longest text in an element, which identifies it in any spelling."""
    return max(_strings(value), key=len, default="") or _text(value)


def _texts(value: Any) -> frozenset[str]:
    return frozenset(_strings(value))


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for member in value.values():
            yield from _strings(member)
    elif isinstance(value, list):
        for element in value:
            yield from _strings(element)
