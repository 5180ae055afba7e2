"""Images in the answers of a history, for upstreams that accept them only from the user."""

import base64
import json

import pytest

from intellirouter.core import LossReport
from intellirouter.dialects.adapt.answer_media import with_answer_media_of_user
from intellirouter.dialects.ir import Conversation, Media, Message, Source, Text, ToolCall, ToolResult
from tests.support.dialects.pairs import BY_UPSTREAM, call_of, send

PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(30)).decode()
IMAGE = Media(kind="image", source=Source(data=PNG, media_type="image/png"))
LABEL = Text(text="The answer of the assistant contained this image:")
HI = Text(text="hi")


def _moved(*messages: Message) -> list[Message]:
    conversation = Conversation(dialect="gemini", model="m", messages=list(messages))
    return with_answer_media_of_user(conversation, LossReport()).messages


def test_the_next_message_of_the_user_contains_them() -> None:
    answer = Message(role="assistant", parts=[HI, IMAGE])
    assert _moved(answer, Message(role="user", parts=[HI])) == [
        Message(role="assistant", parts=[HI]),
        Message(role="user", parts=[LABEL, IMAGE, HI]),
    ]


def test_tool_results_stay_right_after_their_calls() -> None:
    call, result = ToolCall(id="a", name="f"), ToolResult(call_id="a")
    messages = _moved(Message(role="assistant", parts=[IMAGE, call]), Message(role="tool", parts=[result]))
    assert [message.role for message in messages] == ["assistant", "tool", "user"]
    assert messages[0].parts == [call]
    assert messages[2].parts == [LABEL, IMAGE]


def test_the_images_of_two_answers_stay_apart() -> None:
    answer = Message(role="assistant", parts=[IMAGE, HI])
    assert [message.role for message in _moved(answer, answer)] == ["assistant", "user", "assistant", "user"]


@pytest.mark.parametrize(
    "message",
    [
        Message(role="user", parts=[IMAGE]),
        Message(role="assistant", parts=[HI]),
        Message(role="assistant", parts=[Media(kind="audio", source=Source(file_id="a"))]),
    ],
)
def test_other_conversations_are_the_same_object(message: Message) -> None:
    losses = LossReport()
    conversation = Conversation(dialect="gemini", model="m", messages=[message])
    assert with_answer_media_of_user(conversation, losses) is conversation
    assert not losses.taken()


@pytest.mark.parametrize("upstream", ["openai_chat", "openai_responses", "anthropic_messages", "bedrock"])
def test_upstreams_get_the_image_from_the_user(upstream: str) -> None:
    image = {"inlineData": {"mimeType": "image/png", "data": PNG}}
    contents = [
        {"role": "user", "parts": [{"text": "draw"}]},
        {"role": "model", "parts": [{"text": "here"}, image]},
        {"role": "user", "parts": [{"text": "larger"}]},
    ]
    case = {"path": {"model": "m", "is_stream": False, "query": ""}, "body": {"contents": contents}}
    sent = send(call_of("gemini", case), "gemini", BY_UPSTREAM[upstream])
    assert sent.request is not None
    body = json.loads(sent.request.body)
    messages = body.get("messages") or body["input"]
    assert PNG in json.dumps(messages[2])
    assert PNG not in json.dumps(messages[:2])
