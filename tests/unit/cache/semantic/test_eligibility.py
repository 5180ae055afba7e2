"""When the semantic cache may be used."""

from typing import Any

import pytest

from intellirouter.cache.semantic.eligibility import Limits, ineligible_reason
from intellirouter.dialects import last_turn_of
from intellirouter.dialects.ir import Conversation, FunctionTool, Media, Message, OutputFormat, Sampling, Source, Text


def conversation(*turns: tuple[str, str], **members: Any) -> Conversation:
    messages = [Message(role=role, parts=[Text(text=text)]) for role, text in turns]  # type: ignore[arg-type]
    return Conversation(dialect="openai_chat", model="m", messages=messages, **members)


def reason(request: Conversation, limits: Limits | None = None) -> str:
    return ineligible_reason(last_turn_of(request), limits or Limits()) or ""


QUESTION = ("user", "What is the capital of Chile?")


@pytest.mark.parametrize(
    "request_",
    [
        conversation(QUESTION),
        conversation(
            ("system", "You are a helpful guide."), QUESTION, ("assistant", "Santiago."), ("user", "How old is it?")
        ),
        conversation(("system", "Answer correctly and never repeat yourself."), QUESTION),
        conversation(QUESTION, sampling=Sampling(temperature=0.0, max_output_tokens=50)),
        conversation(QUESTION, output=OutputFormat(kind="json_object")),
        conversation(("user", "日本の首都はどこですか")),
    ],
)
def test_plain_questions_are_eligible(request_: Conversation) -> None:
    assert reason(request_) == ""


@pytest.mark.parametrize(
    ("request_", "part"),
    [
        (conversation(QUESTION, sampling=Sampling(temperature=0.9)), "temperature"),
        (conversation(QUESTION, sampling=Sampling(n=2)), "several answers"),
        (conversation(QUESTION, sampling=Sampling(seed=1)), "seed"),
        (conversation(QUESTION, sampling=Sampling(logprobs=True)), "log probabilities"),
        (conversation(QUESTION, tools=[FunctionTool(name="f")]), "tools"),
        (conversation(QUESTION, modalities=["text", "audio"]), "media"),
        (conversation(QUESTION, extras={"web_search_options": {}}), "more than the conversation"),
        (conversation(QUESTION, ("assistant", "It is")), "not the user's"),
        (conversation(), "not the user's"),
        (conversation(("user", "yes please")), "fewer than 3 words"),
        (conversation(("user", "word " * 300)), "more than 1000 characters"),
        (conversation(("system", "rule " * 5_000), QUESTION), "context"),
        (conversation(("user", "What is the weather in Rome?")), "time"),
        (conversation(("user", "Was ist heute in Rom los?")), "time"),
        (conversation(("user", "今日は何曜日ですか")), "time"),
        (conversation(("user", "Who is the latest winner?")), "time"),
        (conversation(("user", "Give me another joke.")), "new answer"),
        (conversation(("user", "Name a random city in Peru.")), "new answer"),
        (conversation(("system", "Translate what the user writes."), QUESTION), "text that is to be processed"),
        (conversation(("user", "Correct all that follows."), ("assistant", "OK."), QUESTION), "to be processed"),
    ],
)
def test_other_requests_are_not(request_: Conversation, part: str) -> None:
    assert part in reason(request_)
    assert reason(request_).endswith(".")


def test_media_anywhere_make_a_request_ineligible() -> None:
    image = Media(kind="image", source=Source(url="https://example.com/a.png"))
    request = conversation(QUESTION)
    request.messages[0].parts.append(image)
    assert "media" in reason(request)


def test_limits_can_be_set() -> None:
    request = conversation(QUESTION, sampling=Sampling(temperature=0.9))
    assert reason(request, Limits(max_temperature=1.0)) == ""
    assert reason(conversation(QUESTION), Limits(max_characters=5))


def test_the_models_own_turns_do_not_count_as_instructions() -> None:
    assert reason(conversation(QUESTION, ("assistant", "I can translate it."), ("user", "How old is it?"))) == ""
