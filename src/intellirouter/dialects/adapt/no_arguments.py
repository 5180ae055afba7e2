"""Streamed tool calls without arguments whose model writes `null` or the like: clients receive `{}`.

Clients parse the arguments as an object and pass it to their tool, and Anthropic's and Google's require one.
"""

from collections.abc import Iterable

from intellirouter.dialects.ir import ArgumentsDelta, ChoiceFinished, Event, PartEnded, are_no_arguments
from intellirouter.dialects.ir.arguments import may_be_no_arguments

Key = tuple[int, int]
"""Choice and part."""


class NoArguments:
    """Holds back the arguments of the calls in `unusual` until it is clear whether they mean none."""

    def __init__(self) -> None:
        self._held: dict[Key, str] = {}
        self._decided: set[Key] = set()

    def adapt(self, events: Iterable[Event], unusual: set[Key]) -> list[Event]:
        """Return the events to write. `unusual` has the calls whose arguments do not begin with a brace."""
        adapted: list[Event] = []
        for event in events:
            match event:
                case ArgumentsDelta():
                    key = (event.choice, event.part)
                    if key in unusual and key not in self._decided:
                        self._hold(event, key, adapted)
                        continue
                case PartEnded():
                    self._release((event.choice, event.part), adapted)
                case ChoiceFinished():
                    for key in [key for key in self._held if key[0] == event.choice]:
                        self._release(key, adapted)
                case _:
                    pass
            adapted.append(event)
        return adapted

    def _hold(self, event: ArgumentsDelta, key: Key, adapted: list[Event]) -> None:
        text = self._held.get(key, "") + event.text
        if may_be_no_arguments(text):
            self._held[key] = text.lstrip() if text.strip() else text[:1]
            return
        self._held[key] = text
        self._release(key, adapted)

    def _release(self, key: Key, adapted: list[Event]) -> None:
        self._decided.add(key)
        if (text := self._held.pop(key, None)) is not None:
            text = "{}" if are_no_arguments(text) else text
            adapted.append(ArgumentsDelta(text=text, choice=key[0], part=key[1]))
