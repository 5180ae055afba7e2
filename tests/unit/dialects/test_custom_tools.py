"""Custom tools, whose input is free text, as functions with one argument."""

import pytest

from intellirouter.dialects.adapt.custom_tools import INPUT_ARGUMENT, custom_tool_schema
from intellirouter.dialects.ir import CustomTool


@pytest.mark.parametrize(
    "tool_format",
    [
        {"type": "grammar", "syntax": "lark", "definition": "start: X"},
        {"type": "grammar", "grammar": {"syntax": "lark", "definition": "start: X"}},
    ],
)
def test_a_grammar_becomes_part_of_the_description(tool_format):
    schema = custom_tool_schema(CustomTool(name="a", format=tool_format))
    assert schema["required"] == [INPUT_ARGUMENT]
    assert schema["properties"][INPUT_ARGUMENT]["description"].endswith("grammar:\nstart: X")


@pytest.mark.parametrize("tool_format", [None, "text", {"type": "text"}, {"grammar": {"definition": 3}}])
def test_a_format_without_a_grammar_adds_nothing_to_the_description(tool_format):
    assert (
        "grammar"
        not in custom_tool_schema(CustomTool(name="a", format=tool_format))["properties"][INPUT_ARGUMENT]["description"]
    )
