"""Conversations without their oldest turns: what is kept, and what is never separated."""

from hypothesis import given
from hypothesis import strategies as st

from intellirouter.dialects import shortened
from intellirouter.dialects.ir import Conversation, Foreign, Message, Text, ToolCall, ToolResult
from intellirouter.dialects.wire.token_estimate import estimate_message


def conversation(*messages: Message) -> Conversation:
    return Conversation(dialect="openai_chat", model="m", messages=list(messages))


def say(role: str, text: str) -> Message:
    return Message(role=role, parts=[Text(text=text)])  # type: ignore[arg-type]


def call(call_id: str, *ids: str) -> Message:
    return Message(role="assistant", parts=[ToolCall(id=each, name="f") for each in (call_id, *ids)])


def result(call_id: str) -> Message:
    return Message(role="tool", parts=[ToolResult(call_id=call_id, parts=[Text(text="42")])])


def texts(found: Conversation) -> list[str]:
    names = []
    for message in found.messages:
        (part, *_) = message.parts
        names.append(part.text if isinstance(part, Text) else getattr(part, "id", "") or f"={part.call_id}")  # type: ignore[union-attr]
    return names


def shortest(*messages: Message) -> list[str]:
    """Return what is left if as much as possible is left out."""
    whole = conversation(*messages)
    excesses = range(1, sum(map(estimate_message, messages)) + 1)
    found = [each.conversation for excess in excesses if (each := shortened(whole, excess)) is not None]
    return texts([whole, *found][-1])


def test_oldest_rounds_are_left_out_first() -> None:
    whole = conversation(
        say("system", "s"),
        say("user", "u1"),
        say("assistant", "a1"),
        say("user", "u2"),
        say("assistant", "a2"),
        say("user", "u3"),
    )
    found = shortened(whole, 1)
    assert found is not None
    assert (texts(found.conversation), found.removed) == (["s", "u2", "a2", "u3"], 2)
    found = shortened(whole, 11)
    assert found is not None
    assert (texts(found.conversation), found.removed) == (["s", "u3"], 4)
    assert len(whole.messages) == 6


def test_system_and_developer_messages_stay_in_their_places() -> None:
    found = shortest(
        say("user", "u1"), say("developer", "d"), say("assistant", "a1"), say("system", "s"), say("user", "u2")
    )
    assert found == ["d", "s", "u2"]


def test_nothing_is_left_out_of_a_single_question() -> None:
    assert shortened(conversation(say("system", "s"), say("user", "u")), 1) is None
    assert shortened(conversation(), 1) is None


def test_steps_of_the_last_round_are_left_out_after_all_others() -> None:
    found = shortest(
        say("user", "u1"), say("assistant", "a1"), say("user", "u2"), call("c1"), result("c1"), call("c2"), result("c2")
    )
    assert found == ["u2", "c2", "=c2"]


def test_answer_that_the_client_has_begun_is_kept() -> None:
    assert shortest(say("user", "u1"), say("assistant", "a1"), say("user", "u2"), say("assistant", "begun")) == [
        "u2",
        "begun",
    ]


def test_results_that_arrive_in_a_later_round_keep_their_calls() -> None:
    messages = (
        say("user", "u1"),
        call("c1"),
        say("user", "u2"),
        result("c1"),
        say("assistant", "a"),
        say("user", "u3"),
    )
    found = shortened(conversation(*messages), 1)
    assert found is not None
    assert texts(found.conversation) == ["u3"], "both rounds are left out together"


def test_result_in_the_last_round_keeps_the_round_of_its_call() -> None:
    messages = (say("user", "u1"), call("c1"), say("user", "u2"), result("c1"))
    assert shortened(conversation(*messages), 1) is None


def test_ids_that_are_used_again_belong_to_the_latest_call() -> None:
    found = shortest(say("user", "u1"), call("c0"), result("c0"), say("user", "u2"), call("c0"), result("c0"))
    assert found == ["u2", "c0", "=c0"]


def test_items_that_only_one_dialect_knows_stay_together() -> None:
    used = Message(role="assistant", parts=[Foreign(dialect="d", kind="computer_call", raw={"call_id": "x"})])
    output = Message(role="tool", parts=[Foreign(dialect="d", kind="computer_call_output", raw={"call_id": "x"})])
    assert shortened(conversation(say("user", "u1"), used, say("user", "u2"), output), 1) is None


roles = st.sampled_from(["system", "user", "assistant", "call", "result"])


@given(st.lists(st.tuples(roles, st.integers(0, 3)), max_size=20), st.integers(1, 60))
def test_what_is_left_is_a_whole_conversation(turns: list[tuple[str, int]], excess: int) -> None:
    build = {"call": lambda number: call(f"c{number}"), "result": lambda number: result(f"c{number}")}
    messages = [build[role](number) if role in build else say(role, f"t{number}") for role, number in turns]
    found = shortened(conversation(*messages), excess)
    if found is None:
        return
    kept = found.conversation.messages
    removed = [each for each in messages if not any(each is other for other in kept)]
    assert len(removed) == found.removed
    assert sum(map(estimate_message, removed)) >= excess
    assert [each for each in messages if any(each is other for other in kept)] == kept, "the order stays"
    assert not any(each.role in {"system", "developer"} for each in removed)
    spoken = [each for each in kept if each.role not in {"system", "developer"}]
    if any(each.role == "user" for each in messages):
        assert spoken[0].role == "user"
    latest: dict[str, bool] = {}
    for each in messages:
        is_kept = any(each is other for other in kept)
        for part in each.parts:
            if isinstance(part, ToolCall):
                latest[part.id] = is_kept
            elif isinstance(part, ToolResult):
                assert latest.get(part.call_id, is_kept) == is_kept
