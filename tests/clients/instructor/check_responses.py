"""Instructor over the responses API."""

import instructor
from openai import OpenAI
from pydantic import BaseModel

from tests.support.clients.checks import Case, check, run


class Person(BaseModel):
    name: str
    age: int


# This mode asks for a tool and for a JSON answer at once, which Gemini's older models refuse.
@check(only=["via-openai", "via-responses", "via-anthropic"])
def tools(case: Case) -> None:
    base = OpenAI(base_url=case.base_url, api_key=case.key, max_retries=0, timeout=10)
    client = instructor.from_openai(base, mode=instructor.Mode.RESPONSES_TOOLS)
    person = client.responses.create(model=case.model, input="a person", response_model=Person, max_retries=0)
    assert isinstance(person, Person)


if __name__ == "__main__":
    run()
