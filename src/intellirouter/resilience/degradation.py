"""Which failures the degradation ladder of a model is for, and what stops its steps from calling models. Pure."""

from typing import Final

from msgspec import Struct

from intellirouter.core import Operation, errors, format_usd
from intellirouter.resilience.causes import is_too_long

_OWN_SPACE: Final[dict[Operation, str]] = {
    "embeddings": "Embeddings of another model cannot be compared with those of this one.",
    "count_tokens": "Another model counts tokens differently.",
}
"""Operations whose results are of use only together with the model that made them, and why."""


def may_step_down(error: errors.GatewayError) -> bool:
    """Return whether the steps of a ladder are tried after `error`.

    A request that is at fault itself gets its error, unless it is only too long for the model.
    """
    if is_too_long(error):
        return True
    return error.blame != "client" and not isinstance(error, errors.NoEligibleDeployment | errors.InternalError)


def may_call_again(error: errors.GatewayError) -> bool:
    """Return whether another model may be called after `error`.

    Not if a vendor has worked and been paid, and only its answer could not be used: that would happen again.
    """
    return error.fallback or is_too_long(error) or isinstance(error, errors.Overloaded)


class Spent(Struct, frozen=True, kw_only=True):
    """What a request has used of its budget of attempts, time and money, and the limits."""

    attempts: int
    max_attempts: int
    left_s: float
    cost_microusd: int = 0
    """What the attempts have cost whose answers were not used."""
    max_cost_microusd: int | None = None

    @property
    def has_cost_left(self) -> bool:
        """Whether the cost allows another attempt. It does as long as nothing has been paid."""
        limit, cost = self.max_cost_microusd, self.cost_microusd
        return limit is None or not cost or cost < limit

    @property
    def obstacle(self) -> str | None:
        """Why no further attempt may be made; None if one may be."""
        if self.attempts >= self.max_attempts:
            return f"The limit of {self.max_attempts} attempts (max_attempts) has been reached."
        if self.left_s <= 0:
            return "The time of the request (request_timeout_s) is over."
        return None if self.has_cost_left else cost_note(self)


def cost_note(budget: Spent) -> str:
    """Return the sentence that says that the attempts have cost too much."""
    return (
        f"No further attempt was made, because the attempts have cost {format_usd(budget.cost_microusd)} USD, and the "
        f"limit is {format_usd(budget.max_cost_microusd or 0)} USD (max_cost_usd)."
    )


def model_obstacle(operation: Operation) -> str | None:
    """Return why another model cannot do this instead; None if it can."""
    return _OWN_SPACE.get(operation)
