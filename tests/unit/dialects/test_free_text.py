"""Tools of free text as functions of one text."""

import pytest

from intellirouter.dialects.adapt.custom_tools import INPUT, schema_of
from intellirouter.dialects.ir import CustomTool


@pytest.mark.parametrize(
    "form",
    [
        {"type": "grammar", "syntax": "lark", "definition": "start: X"},
        {"type": "grammar", "grammar": {"syntax": "lark", "definition": "start: X"}},
    ],
)
def test_a_grammar_becomes_words(form):
    schema = schema_of(CustomTool(name="a", format=form))
    assert schema["required"] == [INPUT]
    assert schema["properties"][INPUT]["description"].endswith("grammar:\nstart: X")


@pytest.mark.parametrize("form", [None, "text", {"type": "text"}, {"grammar": {"definition": 3}}])
def test_without_a_grammar_it_is_any_text(form):
    assert "grammar" not in schema_of(CustomTool(name="a", format=form))["properties"][INPUT]["description"]
