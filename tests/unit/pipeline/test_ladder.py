"""The degradation ladder of a model: which steps are taken after which failures, and what the client is told."""

import json
from typing import Any

import pytest
from msgspec import structs

from intellirouter.core import DEFAULT_AFFINITY, Price, RequestContext, errors
from intellirouter.gateway.decision_headers import decision_headers
from intellirouter.pipeline import Exchange
from tests.support.ladders import refuse, shorten, stale, to_model, with_ladder
from tests.support.pipeline import ANSWER, BODY, EVENTS, STREAM_BODY, Answer, Reply, Response, Source, World, resolved

TOO_LONG = b'{"error":{"message":"too long","code":"context_length_exceeded","type":"invalid_request_error"}}'
REFUSED_CONTENT = b'{"error":{"message":"no","code":"content_policy_violation","type":"invalid_request_error"}}'
PRICE = Price(input=1_000_000, output=1_000_000, version="test")


def down(name: str = "a") -> errors.GatewayError:
    return errors.UpstreamUnavailable(f"{name} is down.")


def rejected(body: bytes = TOO_LONG) -> Response:
    return Response(body, status=400)


def headers_of(exchange: Exchange) -> dict[str, str]:
    return {name.decode(): value.decode() for name, value in decision_headers(exchange)}


def answer_of(is_stream: bool) -> Response:
    return Response(*EVENTS) if is_stream else Response(ANSWER)


@pytest.mark.parametrize("body", [BODY, STREAM_BODY])
async def test_smaller_model_answers_when_all_attempts_have_failed(body: bytes) -> None:
    model = with_ladder(resolved("a b"), to_model(resolved("s")), refuse())
    world = World(model, a=[down()], b=[down("b")], s=[answer_of(body is STREAM_BODY)])
    exchange = await world.serve(body)
    assert world.reply.error is None
    assert world.upstream.order == "a b s"
    record = world.record
    assert [each.kind for each in record.attempts] == ["first", "next", "degraded"]
    assert (record.model, record.deployment, record.degraded, record.status) == ("m", "s", "model small", 200)
    assert [(each.step, each.outcome) for each in record.degradation] == [("model small", "taken")]
    headers = headers_of(exchange)
    assert headers["x-intellirouter-degraded"] == "model small"
    assert headers["x-intellirouter-reason"] == (
        "degraded to model small after upstream_unavailable: "
        "s after a failed (upstream_unavailable); b failed (upstream_unavailable)"
    )
    assert record.decision is not None
    assert record.decision.reason == headers["x-intellirouter-reason"]


async def test_model_that_answers_is_not_degraded() -> None:
    world = World(with_ladder(resolved("a"), to_model(resolved("s"))), a=[Response(ANSWER)])
    exchange = await world.serve()
    assert (world.record.degraded, world.record.degradation) == (None, ())
    assert "x-intellirouter-degraded" not in headers_of(exchange)


async def test_failures_within_a_step_are_retried_and_fall_back_as_usual() -> None:
    small = resolved("s t", "f", retries=1)
    model = with_ladder(resolved("a"), to_model(small))
    world = World(model, a=[down()], s=[down("s"), down("s")], t=[down("t"), down("t")], f=[Response(ANSWER)])
    await world.serve()
    assert [each.kind for each in world.record.attempts] == ["first", "degraded", "next", "retry", "retry", "fallback"]
    assert world.record.degraded == "model small"


@pytest.mark.parametrize(
    "answer",
    [
        Response(b'{"error":{"message":"wrong"}}', status=400),
        Response(REFUSED_CONTENT, status=400),
        errors.UnsupportedFeature("a does not support this."),
    ],
)
async def test_errors_of_the_client_do_not_step_down(answer: Answer) -> None:
    world = World(with_ladder(resolved("a"), to_model(resolved("s")), refuse()), a=[answer])
    await world.serve()
    assert world.upstream.order == "a"
    assert world.reply.error is not None
    assert (world.reply.error.blame, world.record.degradation) == ("client", ())


@pytest.mark.parametrize("body", [BODY, STREAM_BODY])
async def test_request_that_is_too_long_goes_to_a_model_with_a_larger_context(body: bytes) -> None:
    world = World(
        with_ladder(resolved("a"), to_model(resolved("s"))), a=[rejected()], s=[answer_of(body is STREAM_BODY)]
    )
    await world.serve(body)
    assert (world.reply.error, world.record.degraded) == (None, "model small")


async def test_request_that_no_deployment_can_serve_because_it_is_too_long_steps_down() -> None:
    long = json.dumps({"model": "m", "messages": [{"role": "user", "content": "word " * 900}]}).encode()
    world = World(with_ladder(resolved("a", context_tokens=100), to_model(resolved("s"))), s=[Response(ANSWER)])
    exchange = await world.serve(long)
    assert world.upstream.order == "s"
    assert headers_of(exchange)["x-intellirouter-reason"].startswith(
        "degraded to model small after context_length_exceeded: priority"
    )
    assert [each.kind for each in world.record.attempts] == ["degraded"]


async def test_request_that_no_deployment_can_serve_for_another_reason_does_not() -> None:
    world = World(
        with_ladder(resolved("a", capabilities=frozenset({"embeddings"})), to_model(resolved("s"))),
        s=[Response(ANSWER)],
    )
    await world.serve()
    assert isinstance(world.reply.error, errors.NoEligibleDeployment)


def conversation(turns: int, **members: Any) -> bytes:
    messages = [{"role": "system", "content": "Be brief."}]
    for number in range(turns):
        messages += [
            {"role": "user", "content": f"question {number} " + "word " * 100},
            {"role": "assistant", "content": f"answer {number} " + "word " * 100},
        ]
    messages.append({"role": "user", "content": "the last question"})
    return json.dumps({"model": "m", "messages": messages, **members}).encode()


@pytest.mark.parametrize("is_stream", [False, True])
async def test_conversation_that_is_too_long_is_shortened_and_reported(is_stream: bool) -> None:
    world = World(with_ladder(resolved("a"), shorten(700)), a=[rejected(), answer_of(is_stream)])
    exchange = await world.serve(conversation(6, stream=is_stream))
    assert world.reply.error is None
    sent = json.loads(world.upstream.sent[-1][1])["messages"]
    assert [each["role"] for each in sent] == ["system", "user", "assistant", "user", "assistant", "user"]
    assert (sent[0]["content"], sent[-1]["content"]) == ("Be brief.", "the last question")
    assert sent[1]["content"].startswith("question 4 ")
    assert world.record.dropped == ('messages;how=dropped;as="8 oldest of 14"',)
    assert headers_of(exchange)["x-intellirouter-dropped"] == 'messages;how=dropped;as="8 oldest of 14"'
    assert headers_of(exchange)["x-intellirouter-degraded"] == "shorten"
    assert [each.kind for each in world.record.attempts] == ["first", "degraded"]


async def test_shortening_does_not_help_against_an_outage() -> None:
    world = World(with_ladder(resolved("a"), shorten(700), refuse()), a=[down()])
    await world.serve(conversation(6))
    assert world.upstream.order == "a"
    (skipped, taken) = world.record.degradation
    assert (skipped.step, skipped.outcome, skipped.reason) == ("shorten", "skipped", "The request was not too long.")
    assert (taken.step, taken.outcome) == ("refuse", "taken")


async def test_each_step_starts_with_the_original_request() -> None:
    model = with_ladder(resolved("a"), shorten(700), to_model(resolved("s")))
    world = World(model, a=[rejected(), rejected()], s=[Response(ANSWER)])
    await world.serve(conversation(6))
    sent = [len(json.loads(body)["messages"]) for _, body in world.upstream.sent]
    assert sent == [14, 6, 14]
    assert (world.record.degraded, world.record.dropped) == ("model small", ())


@pytest.mark.parametrize(("turns", "sent"), [(6, 6), (1, 4)])
async def test_model_of_a_step_gets_a_shortened_conversation_if_it_is_long(turns: int, sent: int) -> None:
    world = World(with_ladder(resolved("a"), to_model(resolved("s"), 700)), a=[down()], s=[Response(ANSWER)])
    await world.serve(conversation(turns))
    assert len(json.loads(world.upstream.sent[-1][1])["messages"]) == sent
    assert world.record.degraded == "model small, shorten"


async def test_what_a_step_left_out_is_not_reported_if_it_is_skipped() -> None:
    model = with_ladder(resolved("a"), to_model(resolved("s", context_tokens=10), 700), to_model(resolved("t")))
    world = World(model, a=[down()], t=[Response(ANSWER)])
    await world.serve(conversation(6))
    assert [each.outcome for each in world.record.degradation] == ["skipped", "taken"]
    assert world.record.dropped == ()


async def test_conversation_of_one_long_message_cannot_be_shortened() -> None:
    world = World(with_ladder(resolved("a"), shorten(10)), a=[rejected()])
    await world.serve(json.dumps({"model": "m", "messages": [{"role": "user", "content": "word " * 99}]}).encode())
    assert isinstance(world.reply.error, errors.UpstreamRejected)
    (skipped,) = world.record.degradation
    assert "cannot be shortened" in skipped.reason
    assert world.record.degraded is None


DIALECTS = [
    ("openai_chat", {"messages": [{"role": "user", "content": "hi"}]}),
    ("openai_completions", {"prompt": "hi"}),
    ("openai_responses", {"input": "hi", "store": False}),
    ("anthropic_messages", {"max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]}),
    ("ollama_chat", {"messages": [{"role": "user", "content": "hi"}]}),
    ("ollama_generate", {"prompt": "hi"}),
]


@pytest.mark.parametrize("is_stream", [False, True])
@pytest.mark.parametrize(("endpoint", "members"), DIALECTS)
async def test_refusal_is_an_answer_in_the_dialect_of_the_client(
    endpoint: str, members: dict[str, Any], is_stream: bool
) -> None:
    world = World(with_ladder(resolved("a"), refuse("Please come back later.", is_answer=True)), a=[down()])
    exchange = await world.serve(json.dumps({"model": "m", "stream": is_stream, **members}).encode(), endpoint=endpoint)
    assert world.reply.error is None
    assert b"Please come back later." in world.reply.body
    record = world.record
    assert (record.status, record.error_code, record.finish_reason, record.degraded) == (200, None, "stop", "refuse")
    assert (record.deployment, record.usage, record.cost_microusd) == (None, None, None)
    headers = headers_of(exchange)
    assert headers["x-intellirouter-reason"] == (
        "degraded to refuse after upstream_unavailable: a failed (upstream_unavailable)"
    )
    assert world.events[-1] == ("end" if is_stream else "complete:200")


@pytest.mark.parametrize("is_stream", [False, True])
async def test_refusal_is_an_error_with_the_configured_status(is_stream: bool) -> None:
    world = World(with_ladder(resolved("a"), refuse(status=529)), a=[down()])
    exchange = await world.serve(STREAM_BODY if is_stream else BODY)
    error = world.reply.error
    assert isinstance(error, errors.Refused)
    assert (error.status, error.code, error.message) == (529, "model_unavailable", "Not now.")
    assert (world.record.status, world.record.error_code, world.record.degraded) == (529, "model_unavailable", "refuse")
    assert headers_of(exchange)["x-intellirouter-degraded"] == "refuse"


@pytest.mark.parametrize(
    ("endpoint", "members"),
    [
        ("openai_chat", {"messages": [{"role": "user", "content": "x"}], "response_format": {"type": "json_object"}}),
        (
            "openai_chat",
            {
                "messages": [{"role": "user", "content": "x"}],
                "tools": [{"type": "function", "function": {"name": "f"}}],
                "tool_choice": "required",
            },
        ),
        ("openai_embeddings", {"input": "x"}),
    ],
)
async def test_client_that_does_not_expect_words_gets_the_error(endpoint: str, members: dict[str, Any]) -> None:
    world = World(with_ladder(resolved("a"), refuse(is_answer=True)), a=[down()])
    await world.serve(json.dumps({"model": "m", **members}).encode(), endpoint=endpoint)
    assert isinstance(world.reply.error, errors.Refused)
    assert world.record.status == 503


async def test_work_that_can_be_repeated_later_gets_the_error() -> None:
    world = World(with_ladder(resolved("a"), refuse(is_answer=True)), a=[down()])
    reply = Reply(takes_refusals=False)
    await world.entry.serve(Source(), reply)
    assert isinstance(reply.error, errors.Refused)


async def test_outage_is_not_logged_for_each_request(caplog: pytest.LogCaptureFixture) -> None:
    world = World(
        with_ladder(resolved("a"), to_model(resolved("s"))),
        a=[down() for _ in range(9)],
        s=[Response(ANSWER) for _ in range(9)],
    )
    for after_s in (0.0, 0.0, 0.0, 0.0, 11.0):
        world.clock.advance(after_s)
        await world.entry.serve(Source(), Reply())
    entries = [each.getMessage().partition(": ")[2] for each in caplog.records if "degraded" in each.getMessage()]
    assert entries == [
        "m was degraded to model small. a is down.",
        "m was degraded to model small. a is down. 3 earlier ones were not logged.",
    ]


async def test_embeddings_of_another_model_are_no_substitute() -> None:
    world = World(with_ladder(resolved("a"), to_model(resolved("s"))), a=[down()])
    await world.serve(b'{"model":"m","input":"x"}', endpoint="openai_embeddings")
    assert isinstance(world.reply.error, errors.UpstreamUnavailable)
    assert (
        world.record.degradation[0].reason == "Embeddings of another model cannot be compared with those of this one."
    )


async def test_attempts_of_all_steps_count_for_one_limit() -> None:
    model = structs.replace(resolved("a b"), max_attempts=3)
    model = with_ladder(model, to_model(resolved("s t")), to_model(resolved("u")))
    world = World(model, a=[down()], b=[down("b")], s=[down("s")], u=[Response(ANSWER)])
    await world.serve()
    assert world.upstream.order == "a b s"
    assert world.record.degradation[-1].reason == "The limit of 3 attempts (max_attempts) has been reached."


async def test_no_step_calls_a_model_after_the_time_of_the_request() -> None:
    class Slow(Response):
        async def next_chunk(self) -> bytes:
            world.clock.advance(20.0)
            raise down()

    world = World(with_ladder(resolved("a", timeout_s=10.0), to_model(resolved("s")), refuse()), a=[Slow()])
    await world.serve()
    assert world.upstream.order == "a"
    assert world.record.degradation[0].reason == "The time of the request (request_timeout_s) is over."


async def test_stream_that_breaks_after_its_first_content_is_not_degraded() -> None:
    broken = Response(*EVENTS[:2], error=errors.UpstreamDisconnected("The connection broke."))
    world = World(with_ladder(resolved("a"), to_model(resolved("s")), refuse()), a=[broken])
    await world.serve(STREAM_BODY)
    assert isinstance(world.reply.error, errors.UpstreamDisconnected)
    assert (world.upstream.order, world.record.degradation) == ("a", ())


async def test_step_whose_stream_breaks_after_its_first_content_is_the_last_one() -> None:
    broken = Response(*EVENTS[:2], error=errors.UpstreamDisconnected("The connection broke."))
    world = World(with_ladder(resolved("a"), to_model(resolved("s")), refuse()), a=[down()], s=[broken])
    await world.serve(STREAM_BODY)
    assert isinstance(world.reply.error, errors.UpstreamDisconnected)
    assert (world.record.degraded, world.record.error_code) == ("model small", "upstream_disconnected")


async def test_pings_do_not_end_the_ladder() -> None:
    world = World(with_ladder(resolved("a"), to_model(resolved("s"))), a=[down()], s=[Response(*EVENTS)])
    world.reply.ping()
    await world.serve(STREAM_BODY)
    assert (world.reply.error, world.record.degraded) == (None, "model small")


async def test_error_of_the_last_model_is_that_of_the_client_if_no_step_helps() -> None:
    world = World(
        with_ladder(resolved("a"), to_model(resolved("s"))), a=[down()], s=[errors.UpstreamTimeout("s is slow.")]
    )
    await world.serve()
    assert isinstance(world.reply.error, errors.AllAttemptsFailed)
    assert "a is down. s is slow." in world.reply.error.message
    assert [(each.step, each.outcome) for each in world.record.degradation] == [("model small", "failed")]
    assert world.record.degraded is None


async def test_request_that_the_model_of_a_step_rejects_ends_the_ladder() -> None:
    wrong = Response(b'{"error":{"message":"wrong"}}', status=400)
    world = World(with_ladder(resolved("a"), to_model(resolved("s")), refuse()), a=[down()], s=[wrong])
    await world.serve()
    assert isinstance(world.reply.error, errors.UpstreamRejected)


async def test_answer_that_was_paid_for_in_vain_is_not_bought_again() -> None:
    unusable = errors.UpstreamAnswerUnusable("The upstream returned HTTP 204.")
    world = World(with_ladder(resolved("a"), to_model(resolved("s")), refuse()), a=[unusable])
    await world.serve()
    assert world.upstream.order == "a"
    assert isinstance(world.reply.error, errors.Refused)


async def test_stale_step_without_a_cache_is_skipped() -> None:
    world = World(with_ladder(resolved("a"), stale(60.0)), a=[down()])
    await world.serve()
    assert isinstance(world.reply.error, errors.UpstreamUnavailable)
    assert world.record.degradation[0].reason == "There is no stored answer that can be used."


async def test_bug_in_the_gateway_is_not_hidden() -> None:
    world = World(with_ladder(resolved("a"), refuse(is_answer=True)), a=[ZeroDivisionError()])
    await world.serve()
    assert isinstance(world.reply.error, errors.InternalError)


async def test_requests_one_after_the_other_are_independent() -> None:
    world = World(
        with_ladder(resolved("a"), to_model(resolved("s"))), a=[down(), Response(ANSWER)], s=[Response(ANSWER)]
    )
    await world.serve()
    await world.entry.serve(Source(), Reply())
    assert [each.degraded for each in world.journal.records] == ["model small", None]


async def test_step_does_not_continue_the_session_and_the_session_returns_to_the_model() -> None:
    model = with_ladder(resolved("a"), to_model(resolved("s")))
    model = structs.replace(model, affinity=DEFAULT_AFFINITY)
    world = World(model, a=[Response(ANSWER), down(), Response(ANSWER)], s=[Response(ANSWER)])
    context = RequestContext(session="s-1")
    uses = [(await world.entry.serve(Source(context=context), Reply())).affinity for _ in range(3)]
    assert world.upstream.order == "a a s a"
    assert [use and use.outcome for use in uses] == ["new", None, "hit"]
