"""The last turn of a conversation, and the rest."""

from intellirouter.dialects.ir import Conversation, Media, Message, Reasoning, Source, Text, ToolCall
from intellirouter.dialects.ir.last_turn import last_turn_of


def turn(role: str, *texts: str) -> Message:
    return Message(role=role, parts=[Text(text=text) for text in texts])  # type: ignore[arg-type]


def conversation(*messages: Message) -> Conversation:
    return Conversation(dialect="openai_chat", model="m", messages=list(messages))


def test_the_last_turn_is_split_off_and_the_conversation_is_not_changed() -> None:
    original = conversation(
        turn("system", "Be brief."), turn("user", "Hi"), turn("assistant", "Hello"), turn("user", "a", "b")
    )
    split = last_turn_of(original)
    assert split is not None
    assert (split.text, split.instructions, split.answers) == ("a\nb", "Be brief.\nHi", "Hello")
    assert split.rest.messages[:3] == original.messages[:3]
    assert split.rest.messages[3] == turn("user", "", "")
    assert original.messages[3] == turn("user", "a", "b")


def test_requests_that_differ_only_in_the_last_text_have_the_same_rest() -> None:
    one, other, third = (
        last_turn_of(conversation(turn("user", first), turn("assistant", "OK"), turn("user", last)))
        for first, last in (("x", "a"), ("x", "b"), ("y", "a"))
    )
    assert one is not None
    assert other is not None
    assert third is not None
    assert one.rest == other.rest
    assert one.rest != third.rest


def test_the_name_of_the_last_turn_stays_in_the_rest() -> None:
    named = turn("user", "a")
    named.name = "ann"
    one, other = last_turn_of(conversation(named)), last_turn_of(conversation(turn("user", "a")))
    assert one is not None
    assert other is not None
    assert one.rest != other.rest


def test_the_reasoning_of_the_model_is_text() -> None:
    answer = Message(role="assistant", parts=[Reasoning(text="So."), Reasoning(summary=["Thus."]), Text(text="Yes")])
    split = last_turn_of(conversation(turn("user", "a"), answer, turn("user", "b")))
    assert split is not None
    assert split.answers == "So.\nThus.\nYes"


def test_other_conversations_have_no_last_turn() -> None:
    image = Message(role="user", parts=[Media(kind="image", source=Source(url="https://example.com/a.png"))])
    call = Message(role="assistant", parts=[ToolCall(id="1", name="f")])
    assert last_turn_of(conversation()) is None
    assert last_turn_of(conversation(turn("user", "a"), turn("assistant", "b"))) is None
    assert last_turn_of(conversation(image)) is None
    assert last_turn_of(conversation(image, turn("assistant", "b"), turn("user", "c"))) is None
    assert last_turn_of(conversation(turn("user", "a"), call, turn("user", "c"))) is None
