"""What a client may see of a fault, and what the gateway records of it."""

from typing import Any, Literal

from msgspec import Struct, field

from tests.support.matrix.operations import OPERATIONS

LEAD_EVENTS = {"chat": 1, "completions": 1, "responses": 4, "anthropic": 3, "gemini": 0, "ollama": 0, "bedrock": 1}
"""How many events precede the first content in a stream of each wire format."""


_SAME_FORMAT = {("messages", "anthropic"), ("gemini_array", "gemini"), ("generate", "ollama")}


class Outcome(Struct, frozen=True):
    """The outcome of one cell of the matrix.

    - `answered`: the faulty deployment answers, completely and correctly.
    - `replaced`: its failure is not visible, because another deployment answers.
    - `refused`: the client gets the error of the vendor, and nobody else is asked.
    - `broken`: the client has got a part of the content, and then one error event.
    - `late`: `broken`, or `replaced` if nothing had been sent yet. What arrives in one packet decides which.
    """

    kind: Literal["answered", "replaced", "refused", "broken", "late"]
    code: str = "ok"
    """The outcome of the attempt on the faulty deployment."""
    counts: bool = False
    """The failure counts against the health of the deployment."""
    status: int = 200
    """What the client gets."""
    failures: int = 1
    """How many attempts have failed with `code`. The pool has two deployments, both of which are faulty."""
    has_usual_content: bool = True
    """The content is what the model usually answers. If not, the fault has changed it to something that is valid."""


ANSWERED = Outcome("answered")
ANSWERED_DIFFERENTLY = Outcome("answered", has_usual_content=False)


def replaced(code: str, *, counts: bool = True, failures: int = 2) -> Outcome:
    return Outcome("replaced", code, counts, failures=failures)


def broken(code: str, *, counts: bool = True) -> Outcome:
    return Outcome("broken", code, counts)


def late(code: str, *, counts: bool = True) -> Outcome:
    return Outcome("late", code, counts, failures=2)


def refused(code: str, status: int) -> Outcome:
    return Outcome("refused", code, status=status)


class Cell(Struct, frozen=True):
    """One combination of the matrix."""

    fault: str
    client: str
    upstream: str
    strategy: str
    is_stream: bool

    @property
    def wire(self) -> str:
        """The wire format in which the upstream answers: that of the operation, or `chat`, `responses` and so on."""
        if self.upstream == "media":
            return self.client
        if self.upstream in {"openai", "azure"}:
            return self.client if self.client in {"responses", "completions"} else "chat"
        return self.upstream

    @property
    def is_passthrough(self) -> bool:
        """Whether a stream of the upstream is relayed without being translated."""
        return self.wire == self.client or (self.client, self.wire) in _SAME_FORMAT

    def __str__(self) -> str:
        mode = "stream" if self.is_stream else "complete"
        return f"{self.fault} × {self.strategy} × {mode} × {self.client} client, {self.upstream} upstream"


class Row(Struct, frozen=True, kw_only=True):
    """A fault and its declared outcomes."""

    fault: dict[str, Any]
    """Kind and parameters, as for `MockVendor.fault`."""
    complete: Outcome
    stream: Outcome | None = None
    """None: the same as `complete`."""
    sent_events: int | None = None
    """So many events of a stream arrive before the fault. If none of them has content, `stream` is not visible: another
    deployment answers."""
    exceptions: dict[str, Outcome] = field(default_factory=dict)
    """Other outcomes, by `CLIENT of UPSTREAM`, `client NAME`, `upstream NAME` or `wire NAME`, with or without `stream`
    or `complete` at the end."""
    is_about_text: bool = False
    """It changes what a model writes, so operations without text are not affected."""
    prompt: Literal["text", "tools", "schema"] = "text"
    tail: str = ""
    """What the fault adds to the text."""
    is_relayed_as_it_is: bool = False
    """Passthrough relays the unusual parts of a stream, which clients accept, unchanged."""
    may_lack_finish: bool = False
    """Passthrough of Gemini and Ollama relays an answer without a finish reason, which their clients accept."""
    is_silent: bool = False
    """The deployment is silent until a timeout, so its timeouts are short."""

    def outcome(self, cell: Cell) -> Outcome:
        """Return the declared outcome of a cell."""
        if self.is_about_text and cell.client in OPERATIONS:
            return ANSWERED
        mode = "stream" if cell.is_stream else "complete"
        client, upstream = cell.client, cell.upstream
        for part in (f"{client} of {upstream}", f"client {client}", f"upstream {upstream}", f"wire {cell.wire}"):
            for name in (f"{part} {mode}", part):
                if name in self.exceptions:
                    return self.exceptions[name]
        if not cell.is_stream or self.stream is None:
            return self.complete
        if self.sent_events is not None and self.sent_events <= LEAD_EVENTS[cell.wire]:
            return replaced(self.stream.code, counts=self.stream.counts)
        return self.stream
