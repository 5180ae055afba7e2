"""The error for the client after all attempts have failed, and the messages of failed attempts."""

from collections.abc import Sequence
from typing import Final

from intellirouter.core import Attempt, errors
from intellirouter.resilience import Spent, cost_note

_UPSTREAM: Final = "The upstream"
"""The subject of messages whose author does not know the deployment."""


def combined_error(error: errors.GatewayError, attempts: Sequence[Attempt]) -> errors.GatewayError:
    """Return the error for the client: the last one, or `AllAttemptsFailed` if the attempts' reasons differ."""
    if len(attempts) == 1 or isinstance(error, errors.UpstreamRejected):
        return error
    if len({attempt.outcome for attempt in attempts}) == 1:
        return error
    # A feature that the last deployment lacks is not why the request failed, so the client is not at fault.
    status = 502 if isinstance(error, errors.UnsupportedFeature) else error.status
    # A deployment that was retried has often failed for the same reason each time.
    reasons = " ".join(list(dict.fromkeys(map(failure_sentence, attempts)))[-4:])
    which = "Both" if len(attempts) == 2 else f"All {len(attempts)}"
    return errors.AllAttemptsFailed(
        f"{which} attempts failed. {reasons}", status=status, retry_after_s=error.retry_after_s
    )


def with_cost_note(error: errors.GatewayError, budget: Spent) -> errors.GatewayError:
    """Return the error. If the attempts have cost too much for another one, its message says so from now on."""
    if not budget.has_cost_left:
        error.message = f"{errors.as_sentence(error.message)} {cost_note(budget)}"
    return error


def failure_sentence(attempt: Attempt) -> str:
    """Return the message of a failed attempt. It begins with the name of the deployment."""
    message, name = errors.as_sentence(attempt.message or ""), attempt.deployment
    return message if message.startswith((f"{name} ", f"{name}: ", f"{name}'s ")) else f"{name}: {message}"


def name_deployment(error: errors.GatewayError, deployment: str) -> None:
    """Name the deployment in a message about "the upstream", whose author does not know it."""
    if error.message.startswith(_UPSTREAM) and not isinstance(error, errors.UpstreamRejected):
        error.message = deployment + error.message.removeprefix(_UPSTREAM)


def is_stale(error: errors.GatewayError) -> bool:
    """Return whether a pooled connection had been closed, which is not a failure of the deployment."""
    return isinstance(error, errors.UpstreamDisconnected) and error.is_stale_connection
