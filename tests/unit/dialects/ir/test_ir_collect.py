"""The events of a response collect to the response."""

from hypothesis import given
from hypothesis import strategies as st

from intellirouter.core import Usage
from intellirouter.dialects.ir import (
    ArgumentsDelta,
    Choice,
    ChoiceFinished,
    Citation,
    Foreign,
    Media,
    Opaque,
    Reasoning,
    ReasoningDelta,
    Refusal,
    Response,
    Source,
    Stop,
    StreamStarted,
    Text,
    TextDelta,
    ToolCall,
    ToolCallStarted,
    collect,
    events_of,
)

texts = st.text(max_size=20)
tokens = st.one_of(st.none(), st.builds(Opaque, value=texts, origin=texts, dialect=st.just("gemini")))
parts = st.one_of(
    st.builds(Text, text=texts, token=tokens, citations=st.lists(st.builds(Citation, url=texts), max_size=2)),
    st.builds(Refusal, text=texts),
    st.builds(Reasoning, text=texts, summary=st.lists(texts, max_size=3)),
    st.builds(Reasoning, text=texts, token=tokens.filter(bool), is_redacted=st.booleans(), id=texts),
    st.builds(
        ToolCall,
        id=texts,
        name=texts,
        arguments=texts.filter(bool),
        item_id=texts,
        token=tokens,
        kind=st.just("function"),
    ),
    st.builds(Media, kind=st.just("image"), source=st.builds(Source, data=texts)),
    st.builds(Foreign, dialect=texts, kind=texts, raw=st.integers()),
)
choices = st.builds(Choice, parts=st.lists(parts, max_size=4), stop=st.just(Stop(reason="stop")))
responses = st.builds(
    Response,
    id=texts,
    model=texts,
    created_s=st.integers(0, 2**40),
    choices=st.lists(choices, max_size=3),
    usage=st.one_of(st.none(), st.builds(Usage, input_tokens=st.integers(0, 9))),
    service_tier=texts,
)


@given(responses)
def test_the_events_of_a_response_collect_to_it(response: Response) -> None:
    assert collect(events_of(response)) == response


def test_interleaved_calls_are_collected_separately() -> None:
    response = collect(
        [
            StreamStarted(id="r"),
            ToolCallStarted(id="a", name="f", part=0),
            ToolCallStarted(id="b", name="g", part=1),
            ArgumentsDelta(text='{"x"', part=0),
            ArgumentsDelta(text='{"y"', part=1),
            ArgumentsDelta(text=":1}", part=0),
            ArgumentsDelta(text=":2}", part=1),
            ChoiceFinished(stop=Stop(reason="tool_calls")),
        ]
    )
    assert [part.arguments for part in response.choices[0].parts if isinstance(part, ToolCall)] == [
        '{"x":1}',
        '{"y":2}',
    ]


def test_a_call_without_arguments_gets_an_empty_object() -> None:
    response = collect([ToolCallStarted(id="a", name="f"), ToolCallStarted(id="b", name="g", part=1, kind="custom")])
    assert [part.arguments for part in response.choices[0].parts if isinstance(part, ToolCall)] == ["{}", ""]


def test_an_incomplete_stream_has_no_stop_reason() -> None:
    response = collect([TextDelta(text="he"), ReasoningDelta(text="hm", part=1), TextDelta(text="llo")])
    assert response.choices == [Choice(parts=[Text(text="hello"), Reasoning(text="hm")])]
