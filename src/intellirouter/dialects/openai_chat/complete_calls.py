"""Corrects the tool calls of a relayed stream where compatible servers deviate from what clients require.

Clients join the pieces of a call by its index. Some servers leave out members, repeat the name in each piece, which
clients would join to `getget`, or give several calls the same index, which clients would join to one call.
"""

from typing import Any

import msgspec

from intellirouter.core import new_id


class CallCompletion:
    """Corrects the tool calls of one choice.

    All pieces have an index, which is unique. The first piece has `id`, `type` and `arguments`, and later ones do not
    repeat the name.
    """

    __slots__ = ("_first", "_index_by_id", "_latest", "_renumbered")

    def __init__(self) -> None:
        self._index_by_id: dict[str, int] = {}
        self._first: dict[int, tuple[str, str]] = {}
        """The id and the name in the first piece of each call, as the upstream has sent them."""
        self._renumbered: dict[int, int] = {}
        """The index of the latest call, by the upstream's index, if it is another one."""
        self._latest = -1

    @property
    def is_renumbering(self) -> bool:
        """Whether all further pieces have to be read, because the upstream's indexes are not those of the client."""
        return bool(self._renumbered)

    def complete(self, calls: Any) -> bool:
        """Correct the decoded `tool_calls` of one event in place. Returns whether anything has changed."""
        if not isinstance(calls, list):
            return False
        changed = [self._complete(call) for call in calls if isinstance(call, dict)]
        return any(changed)

    def _complete(self, call: dict[str, Any]) -> bool:
        before = len(call)
        function = call.get("function")
        call_id, name = _text(call.get("id")), _text(function.get("name")) if isinstance(function, dict) else ""
        index = self._index_of(call.get("index"), call_id, name)
        is_changed = call.get("index") != index
        call["index"] = index
        if index not in self._first:
            self._first[index] = (call_id, name)
            if not call_id:
                call["id"] = new_id("call_")
                is_changed = True
            call.setdefault("type", "function")
            if isinstance(function, dict) and function.get("arguments") is None:
                function["arguments"] = ""
                is_changed = True
        elif isinstance(function, dict) and name and name == self._first[index][1]:
            call["function"] = {member: value for member, value in function.items() if member != "name"}
            call.pop("id", None)
            is_changed = True
        function = call.get("function")
        if isinstance(function, dict) and isinstance(arguments := function.get("arguments"), dict | list):
            function["arguments"] = msgspec.json.encode(arguments).decode()
            is_changed = True
        if call_id:
            self._index_by_id.setdefault(call_id, index)
        self._latest = index
        return is_changed or len(call) != before

    def _index_of(self, index: Any, call_id: str, name: str) -> int:
        """Return the index of the call that a piece belongs to.

        Without an index, a new id or a name begins a call, and all else belongs to the last one. With the index of
        another call, a new id with a name begins one.
        """
        if isinstance(index, int) and not isinstance(index, bool):
            return self._index_in_use(index, call_id, name)
        if call_id in self._index_by_id:
            return self._index_by_id[call_id]
        return self._latest if self._first and not call_id and not name else self._next_index()

    def _index_in_use(self, index: int, call_id: str, name: str) -> int:
        own = self._renumbered.get(index, index)
        first_id, _ = self._first.get(own, ("", ""))
        if not (call_id and first_id and name) or call_id == first_id:
            return own
        own = self._index_by_id[call_id] if call_id in self._index_by_id else self._next_index()
        self._renumbered[index] = own
        return own

    def _next_index(self) -> int:
        return max(self._first, default=-1) + 1


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
