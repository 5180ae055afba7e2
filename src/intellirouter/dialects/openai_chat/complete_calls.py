"""Puts members into the tool calls of a relayed stream that clients require, but some compatible servers leave out."""

from typing import Any

from intellirouter.core import new_id


class CallCompletion:
    """Completes the tool calls of one choice: `index` in all pieces; `id`, `type` and `arguments` in the first one."""

    __slots__ = ("_index_by_id", "_latest", "_started")

    def __init__(self) -> None:
        self._index_by_id: dict[str, int] = {}
        self._started: set[int] = set()
        self._latest = -1

    def complete(self, calls: Any) -> bool:
        """Complete the decoded `tool_calls` of one event in place. Returns whether anything was missing."""
        if not isinstance(calls, list):
            return False
        changed = [self._complete(call) for call in calls if isinstance(call, dict)]
        return any(changed)

    def _complete(self, call: dict[str, Any]) -> bool:
        before = len(call)
        function = call.get("function")
        index, is_changed = call.get("index"), False
        if not isinstance(index, int):
            call["index"] = index = self._index_of(call, function)
            is_changed = True
        if index not in self._started:
            self._started.add(index)
            if not call.get("id"):
                call["id"] = new_id("call_")
                is_changed = True
            call.setdefault("type", "function")
            if isinstance(function, dict) and function.get("arguments") is None:
                function["arguments"] = ""
                is_changed = True
        if isinstance(call_id := call.get("id"), str) and call_id:
            self._index_by_id.setdefault(call_id, index)
        self._latest = index
        return is_changed or len(call) != before

    def _index_of(self, call: dict[str, Any], function: Any) -> int:
        """Return the index of a piece without one. A new id or a name begins a call; all else belongs to the last."""
        call_id = call.get("id")
        if isinstance(call_id, str) and call_id in self._index_by_id:
            return self._index_by_id[call_id]
        has_name = isinstance(function, dict) and bool(function.get("name"))
        if self._started and not call_id and not has_name:
            return self._latest
        return max(self._started, default=-1) + 1
