"""The degradation ladder: what is tried when a model cannot answer. See DESIGN.md.

A step runs like the request itself: it is decided and attempted again, from the client's request, within what is left
of the attempts, the time and the cost of the request. Nothing else of the pipeline is repeated. The ladder ends when a
step answers, or when the client has been sent content.
"""

import logging
from collections.abc import Callable, Sequence
from functools import partial

from msgspec import Struct, field, structs

from intellirouter.catalog import LadderStep
from intellirouter.core import (
    Call,
    Clock,
    Degradation,
    DegradationStep,
    Loss,
    OffLoop,
    RefusalPolicy,
    Usage,
    errors,
)
from intellirouter.dialects import Choice, Conversation, Endpoint, Response, Shortened, Stop, Text, shortened
from intellirouter.pipeline.costs import spent
from intellirouter.pipeline.delivery import Delivery
from intellirouter.pipeline.exchange import Decided, Decoded, Exchange
from intellirouter.pipeline.execute import Executor
from intellirouter.pipeline.recall import deliver, rescue
from intellirouter.pipeline.recoveries import Recoveries
from intellirouter.pipeline.stages import AnswerRescue, StageAnswer
from intellirouter.resilience import is_too_long, may_call_again, may_step_down, model_obstacle

logger = logging.getLogger(__name__)


class _Skipped(Exception):
    """The step cannot help. The message is a sentence that says why."""


class _Failure(Struct):
    """The request that is stepped down."""

    exchange: Exchange
    request: Decoded
    delivery: Delivery
    rescues: Sequence[AnswerRescue]
    first: errors.GatewayError
    """The error of the model itself."""
    last: errors.GatewayError
    """The error for the client, if no further step helps."""


class Ladder(Struct, frozen=True, kw_only=True):
    """Takes the steps. One per spine."""

    executor: Executor
    decide: Callable[[Exchange, Decoded], Decided]
    clock: Clock
    off_loop: OffLoop
    degradations: Recoveries = field(default_factory=Recoveries)
    """Selects which of them are logged."""

    async def recover(
        self, request: Decoded, delivery: Delivery, rescues: Sequence[AnswerRescue], error: errors.GatewayError
    ) -> None:
        """Answer a request that has failed with `error`, or raise the error for the client.

        The client must not have been sent any content. An expired answer is used first, unless the ladder has a place
        for it.
        """
        exchange, steps = delivery.exchange, request.resolved.degradation
        if not any(each.step.stale_s is not None for each in steps):
            stale = await rescue(rescues, exchange, request, error, None)
            if stale is not None:
                await deliver(stale, request.call, delivery)
                return
        if not steps or not may_step_down(error):
            raise error
        exchange.degradation = Degradation(cause=error.code)
        exchange.place = None  # A step does not continue the session, which returns to the model.
        await self._descend(_Failure(exchange, request, delivery, rescues, error, error), exchange.degradation)

    async def _descend(self, failure: _Failure, state: Degradation) -> None:
        exchange, ignored = failure.exchange, failure.exchange.ignored
        for each in failure.request.resolved.degradation:
            state.begin(each.step)
            if (refusal := each.step.refusal) is not None:
                self._log(failure, each.step.label)
                await self._refuse(failure, refusal)
                return
            try:
                await self._take(failure, each)
            except _Skipped as skipped:
                state.give_up("skipped", str(skipped))
                exchange.ignored = ignored
            except errors.GatewayError as error:
                if failure.delivery.reply.has_content:
                    raise
                state.give_up("failed", error.message)
                exchange.ignored = ignored
                failure.last = error
                if not may_step_down(error):
                    break
            else:
                return
        raise failure.last

    async def _take(self, failure: _Failure, rung: LadderStep) -> None:
        """Answer by one step. Raises `_Skipped`, or the error of its attempts."""
        exchange, request, step = failure.exchange, failure.request, rung.step
        if step.stale_s is not None:
            stale = await rescue(failure.rescues, exchange, request, failure.last, step.stale_s)
            if stale is None:
                raise _Skipped("There is no stored answer that can be used.")
            self._log(failure, step.label)
            await deliver(stale, request.call, failure.delivery)
            return
        if (resolved := rung.resolved) is None:
            raise errors.InternalError("A step that calls a model has none.")
        self._check_may_call(failure, rung)
        call = request.call
        if step.max_input_tokens is not None:
            call = await self._shortened(failure, step, step.max_input_tokens)
        try:
            decided = self.decide(exchange, Decoded(call, resolved))
        except errors.NoEligibleDeployment as error:
            raise _Skipped(error.message) from None
        self._log(failure, step.label)
        await self.executor.run(structs.replace(decided, kind="degraded"), failure.delivery)

    def _check_may_call(self, failure: _Failure, rung: LadderStep) -> None:
        """Raise `_Skipped` if no further attempt may be made, or if it could not help."""
        request, step = failure.request, rung.step
        if not may_call_again(failure.last):
            raise _Skipped("The answer of a provider that could not be used must be paid for.")
        if (obstacle := spent(failure.exchange, request.resolved, self.clock.monotonic_s()).obstacle) is not None:
            raise _Skipped(obstacle)
        if step.model is None:
            if not is_too_long(failure.first):
                raise _Skipped("The request was not too long.")
        elif (obstacle := model_obstacle(request.call.operation)) is not None:
            raise _Skipped(obstacle)

    async def _shortened(self, failure: _Failure, step: DegradationStep, max_tokens: int) -> Call:
        """Return the call with a shorter conversation, and note what was left out. Raises `_Skipped`.

        If a step names a model, the conversation of a request that is short enough does not change.
        """
        exchange, call = failure.exchange, failure.request.call
        excess = call.estimated_input_tokens() - max_tokens
        if excess <= 0 and step.model is not None:
            return call
        shorten = partial(_shorten, exchange.endpoint, call, max(1, excess))
        found = await self.off_loop.run(len(call.body), shorten) if call.is_large else shorten()
        if isinstance(found, str):
            raise _Skipped(found)
        edited, loss = found
        exchange.ignored = (*exchange.ignored, loss)
        return edited

    async def _refuse(self, failure: _Failure, refusal: RefusalPolicy) -> None:
        """Send the configured message, as an answer if the client can be answered in words. Raises `Refused`."""
        exchange, call = failure.exchange, failure.request.call
        if refusal.is_answer and failure.delivery.reply.takes_refusals and await self._accepts_words(exchange, call):
            exchange.deployment = None
            choice = Choice(parts=[Text(text=refusal.message)], stop=Stop(reason="stop"))
            answer = StageAnswer(source="refusal", response=Response(choices=[choice], usage=Usage()))
            await deliver(answer, call, failure.delivery)
            return
        raise errors.Refused(refusal.message, status=refusal.status, retry_after_s=failure.last.retry_after_s)

    async def _accepts_words(self, exchange: Exchange, call: Call) -> bool:
        """Return whether any text is an answer: the client expects neither JSON nor a tool call."""
        if exchange.endpoint.chat is None:
            return False
        read = partial(exchange.endpoint.conversation, call)
        conversation = await self.off_loop.run(len(call.body), read) if call.is_large else read()
        if conversation is None:
            return False
        output, choice = conversation.output, conversation.tool_choice
        expects_call = choice is not None and choice.mode in {"required", "named"}
        return (output is None or output.kind == "text") and not expects_call

    def _log(self, failure: _Failure, step: str) -> None:
        """Log why a request was degraded. During an outage, one entry for each step and interval is enough."""
        model = failure.request.resolved.model
        unlogged = self.degradations.unlogged(f"{model} {step}", self.clock.monotonic_s())
        if unlogged is None:
            return
        more = f" {unlogged} earlier ones were not logged." if unlogged else ""
        reason = errors.as_sentence(failure.last.message)
        logger.warning("%s: %s was degraded to %s. %s%s", failure.exchange.request_id, model, step, reason, more)


def _shorten(endpoint: Endpoint, call: Call, excess_tokens: int) -> tuple[Call, Loss] | str:
    """Return the shortened call and what it lacks, or a sentence that says why there is none."""
    conversation: Conversation | None = endpoint.conversation(call)
    if conversation is None or endpoint.conversations is None:
        return "The request is not a conversation."
    found: Shortened | None = shortened(conversation, excess_tokens)
    if found is None:
        return "The conversation cannot be shortened so much: the rest of it is too long."
    field = endpoint.conversations.field_names.get("messages", "messages")
    removed = f"{found.removed} oldest of {len(conversation.messages)}"
    return endpoint.edited(call, found.conversation), Loss(field, "dropped", removed)
