"""Three-way merge of JSON documents: what one side changed goes into another side's document, and nothing else.

`base` and `ours` are two documents of the same writer, before and after a change. `theirs` is a document of another
writer that means the same as `base`: with members that `base` lacks, or spelled differently. Where `base` and `ours`
agree, the result is what `theirs` says. Objects are merged member by member. The elements of lists are paired by what
they hold; an element of `theirs` without a counterpart in `base` stays where it is. Where the pairs do not tell where a
change belongs, the list is taken from `ours`.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from difflib import SequenceMatcher
from typing import Any, Final

import msgspec
from msgspec import Struct, field

_ABSENT: Final = object()
_WHOLE: Final = object()
"""The value must be taken from `ours`: it cannot be merged."""
_MAX_SEARCHED: Final = 300
"""Elements, between those that two lists begin and end with, among which common ones are searched for."""
_MAX_BLOCK: Final = 32
"""Elements of a changed block that are compared with each other."""


def _same_name(name: str) -> str:
    return name


def _no_list(value: Any) -> list[Any] | None:  # noqa: ARG001 - for writers that always write lists
    return None


class Layout(Struct, frozen=True, kw_only=True):
    """How the writer of `theirs` may write what the other writer writes in one way only."""

    member_name: Callable[[str], str] = _same_name
    """Returns the other writer's spelling of a member's name."""
    as_list: Callable[[Any], list[Any] | None] = _no_list
    """Returns the list that a value without one stands for: a text for a list with one message. None: it is none."""
    synonyms: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """By top-level member: members of `theirs` that say the same, or a part of it. They are removed when the member is
    taken from `ours`."""
    containers: frozenset[str] = frozenset()
    """Top-level objects that hold settings of several kinds (`generationConfig`). Where `ours` has none, only what
    `base` has in it is removed: the rest is settings that neither document says."""


PLAIN: Final = Layout()


def merge(base: Any, ours: Any, theirs: Any, layout: Layout = PLAIN) -> Any:
    """Return `theirs` with the changes that lead from `base` to `ours`. Changes none of its arguments."""
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
                return self._lists(base, ours, listed, may_stand_elsewhere=False)
        return _WHOLE

    def _objects(
        self,
        base: dict[str, Any],
        ours: dict[str, Any],
        theirs: dict[str, Any],
        synonyms: Mapping[str, tuple[str, ...]],
    ) -> dict[str, Any]:
        spelled = {self._name(name): name for name in theirs}
        merged = dict(theirs)
        for name in [*base, *(name for name in ours if name not in base)]:
            before, after = base.get(name, _ABSENT), ours.get(name, _ABSENT)
            if before is not _ABSENT and before == after:
                continue
            others = synonyms.get(name, ())
            place = name if name in theirs else spelled.get(name, name)
            found = theirs.get(place, _ABSENT)
            if after is _ABSENT:
                rest = self._rest_of(name, before, found)
                if rest:
                    merged[place] = rest
                else:
                    _remove(merged, (place, *others))
                continue
            changed = self._member(before, after, found, has_synonyms=bool(others))
            if changed is _WHOLE:
                _remove(merged, others)
                changed = after
            merged[place] = changed
        return merged

    def _rest_of(self, name: str, before: Any, found: Any) -> dict[str, Any]:
        """Return what stays of a member that `ours` does not have; empty: nothing does."""
        if name not in self._containers or not isinstance(before, dict) or not isinstance(found, dict):
            return {}
        return self._objects(before, {}, found, {})

    def _member(self, before: Any, after: Any, found: Any, *, has_synonyms: bool) -> Any:
        if found is _ABSENT:
            return _WHOLE
        if before is _ABSENT:
            # Both sides have added the member: of two objects, everything is kept.
            are_objects = isinstance(after, dict) and isinstance(found, dict)
            return self._objects({}, after, found, {}) if are_objects else _WHOLE
        if has_synonyms and isinstance(before, list) and isinstance(after, list):
            listed = found if isinstance(found, list) else self._as_list(found)
            return _WHOLE if listed is None else self._lists(before, after, listed, may_stand_elsewhere=True)
        return self.value(before, after, found)

    def _lists(self, base: list[Any], ours: list[Any], theirs: list[Any], *, may_stand_elsewhere: bool) -> Any:
        """Return the merged list, or `_WHOLE`.

        `may_stand_elsewhere`: elements of `base` that have no counterpart in `theirs` may be told by another member.
        """
        in_theirs = dict(_counterparts(base, theirs))
        in_ours = dict(_changes(base, ours))
        by_ours = {after: before for before, after in in_ours.items()}
        paired = frozenset(in_theirs.values())
        new = [element for index, element in enumerate(ours) if index not in by_ours]
        is_complete = not may_stand_elsewhere and all(
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
        gone = {in_theirs[before] for before in removed if before in in_theirs}
        return added.joined(replaced, gone)


class _Additions:
    """Elements that are put between those of `theirs`."""

    def __init__(self, theirs: list[Any], paired: frozenset[int]) -> None:
        self._theirs = theirs
        self._paired = paired
        self._last = max(self._paired, default=-1)
        self._after: dict[int, list[Any]] = {}

    def put(self, place: int, element: Any) -> None:
        """Add an element after the one at `place`; -1 for the beginning. At the end, it comes after everything."""
        self._after.setdefault(place, []).append(element)

    def joined(self, replaced: Mapping[int, Any], gone: set[int]) -> list[Any]:
        merged: list[Any] = []
        for index in range(-1, len(self._theirs)):
            if index >= 0 and index not in gone:
                merged.append(replaced.get(index, self._theirs[index]))
            is_end = index == self._last >= 0
            if index in self._after and not is_end:
                merged += self._missing(index)
        if self._last >= 0:
            merged += self._missing(self._last)
        return merged

    def _missing(self, place: int) -> list[Any]:
        """Return what was added after `place`, without what `theirs` has there already."""
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
    """Pair the elements of two lists of one writer: equal ones, and changed ones that are alike."""
    for tag, low, high, ours_low, ours_high in _blocks([*map(_text, base)], [*map(_text, ours)]):
        if tag == "equal":
            yield from zip(range(low, high), range(ours_low, ours_high), strict=True)
        else:
            for before, after in _alike(base[low:high], ours[ours_low:ours_high]):
                yield low + before, ours_low + after


def _counterparts(base: list[Any], theirs: list[Any]) -> Iterator[tuple[int, int]]:
    """Pair the elements of two writers: those with the same text, and what stands between two such pairs."""
    for tag, low, high, theirs_low, theirs_high in _blocks([*map(_longest, base)], [*map(_longest, theirs)]):
        if tag == "equal":
            yield from zip(range(low, high), range(theirs_low, theirs_high), strict=True)
        else:
            for before, after in _between(base[low:high], theirs[theirs_low:theirs_high]):
                yield low + before, theirs_low + after


def _between(base: list[Any], theirs: list[Any]) -> Iterator[tuple[int, int]]:
    """Pair elements that are alike, and those between them where there are as many in both lists."""
    low = theirs_low = 0
    for before, after in [*_alike(base, theirs), (len(base), len(theirs))]:
        if before - low == after - theirs_low:
            yield from zip(range(low, before), range(theirs_low, after), strict=True)
        if before < len(base) and after < len(theirs):
            yield before, after
        low, theirs_low = before + 1, after + 1


def _blocks(first: list[str], second: list[str]) -> list[tuple[str, int, int, int, int]]:
    """Return the difference of two lists as `difflib` does. What both begin and end with costs no search."""
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


def _alike(first: list[Any], second: list[Any]) -> list[tuple[int, int]]:
    """Pair the elements of two short lists, in order, so that as much text as possible is common to the pairs."""
    if not first or not second or max(len(first), len(second)) > _MAX_BLOCK:
        return []
    texts, other_texts = [*map(_texts, first)], [*map(_texts, second)]
    best: list[list[int]] = [[0] * (len(second) + 1) for _ in range(len(first) + 1)]
    common = [[_common(each, other) for other in other_texts] for each in texts]
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


def _common(first: frozenset[str], second: frozenset[str]) -> int:
    """Return how much text two elements have in common; 0 if it is less than half of what the smaller one holds."""
    size = _size(first & second)
    return size if 2 * size >= min(_size(first), _size(second)) else 0


def _size(texts: frozenset[str]) -> int:
    return sum(map(len, texts))


def _text(value: Any) -> str:
    return msgspec.json.encode(value, order="deterministic").decode()


def _longest(value: Any) -> str:
    """Return what tells an element from others, however it is written: the longest text in it."""
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
