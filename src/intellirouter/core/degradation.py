"""The degradation ladder of a model: its compiled steps, and what a request has made of them. Values only."""

from collections.abc import Sequence
from typing import Literal

from msgspec import Struct, field

from intellirouter.core.decision import Attempt, Decision, failures_of, reason_of

StepOutcome = Literal["taken", "failed", "skipped"]
"""`taken`: the step has answered the client. `failed`: it was tried in vain. `skipped`: it could not help."""


class RefusalPolicy(Struct, frozen=True, kw_only=True):
    """How a request is refused."""

    message: str
    is_answer: bool = False
    """The message is an answer of the assistant, instead of an error."""
    status: int = 503
    """The HTTP status of the error."""


class DegradationStep(Struct, frozen=True, kw_only=True):
    """One step of a ladder. Either `stale_s` or `refusal` is set, or else at least one of the other two."""

    model: str | None = None
    """The model that answers instead. None: the requested one."""
    max_input_tokens: int | None = None
    """The oldest turns of a longer conversation are left out."""
    stale_s: float | None = None
    """A stored answer is used that has expired at most so long ago."""
    refusal: RefusalPolicy | None = None

    @property
    def label(self) -> str:
        """The name of the step in headers, records and metrics."""
        if self.refusal is not None:
            return "refuse"
        if self.stale_s is not None:
            return "stale"
        parts = [f"model {self.model}"] if self.model is not None else []
        return ", ".join([*parts, "shorten"] if self.max_input_tokens is not None else parts)


class StepResult(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What became of one step."""

    step: str
    """The label of the step."""
    outcome: StepOutcome
    reason: str = ""
    """Why it has failed or was skipped."""


class Degradation(Struct, kw_only=True):
    """What a request has made of the ladder of its model."""

    cause: str
    """The code of the error because of which the model could not answer."""
    step: str | None = None
    """The label of the step that is being taken, or that has answered. None: none has."""
    is_called: bool = False
    """This step calls a model."""
    passed: list[StepResult] = field(default_factory=list)
    """The steps that have failed or were skipped."""

    def begin(self, step: DegradationStep) -> None:
        self.step, self.is_called = step.label, step.stale_s is None and step.refusal is None

    def give_up(self, outcome: StepOutcome, reason: str) -> None:
        """Note that the step that has begun does not answer."""
        if self.step is not None:
            self.passed.append(StepResult(step=self.step, outcome=outcome, reason=reason))
        self.step = None

    def results(self) -> tuple[StepResult, ...]:
        """Return all steps that were considered, in order."""
        taken = () if self.step is None else (StepResult(step=self.step, outcome="taken"),)
        return (*self.passed, *taken)

    def reason(self, decision: Decision | None, attempts: Sequence[Attempt]) -> str:
        """Return why the client gets this answer: the step, and what has failed before."""
        if self.step is None:
            return "" if decision is None else reason_of(decision, attempts)
        earlier = reason_of(decision, attempts) if self.is_called and decision is not None else failures_of(attempts)
        return f"degraded to {self.step} after {self.cause}{f': {earlier}' if earlier else ''}"
