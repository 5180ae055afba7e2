"""Tools of free text as functions of one text."""

import pytest

from intellirouter.dialects.adapt.custom_tools import INPUT_ARGUMENT, custom_tool_schema
from intellirouter.dialects.ir import CustomTool


@pytest.mark.parametrize(
    "form",
    [
        {"type": "grammar", "syntax": "lark", "definition": "start: X"},
        {"type": "grammar", "grammar": {"syntax": "lark", "definition": "start: X"}},
    ],
)
def test_a_grammar_becomes_words(form):
    schema = custom_tool_schema(CustomTool(name="a", format=form))
    assert schema["required"] == [INPUT_ARGUMENT]
    assert schema["properties"][INPUT_ARGUMENT]["description"].endswith("grammar:\nstart: X")


@pytest.mark.parametrize("form", [None, "text", {"type": "text"}, {"grammar": {"definition": 3}}])
def test_without_a_grammar_it_is_any_text(form):
    assert (
        "grammar"
        not in custom_tool_schema(CustomTool(name="a", format=form))["properties"][INPUT_ARGUMENT]["description"]
    )
