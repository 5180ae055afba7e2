"""Instructor over the `openai` package: every way it has of getting an object."""

from collections.abc import Iterable
from typing import Any

import instructor
from instructor.core.exceptions import InstructorRetryException
from openai import OpenAI
from pydantic import BaseModel, Field, field_validator

from tests.support.clients.checks import PARIS_AND_OSLO, Case, check, raises, run


class Address(BaseModel):
    street: str
    number: int | None = None


class Person(BaseModel):
    """A nested schema: `$defs` and `$ref`, and members that are not required."""

    name: str
    age: int = Field(ge=0)
    address: Address
    nicknames: list[str] = []


class weather(BaseModel):  # noqa: N801 - it is the tool's name
    city: str


class Impossible(BaseModel):
    name: str

    @field_validator("name")
    @classmethod
    def refuse(cls, _value: str) -> str:
        raise ValueError("never good enough")


def client(case: Case, mode: instructor.Mode) -> instructor.Instructor:
    return instructor.from_openai(
        OpenAI(base_url=case.base_url, api_key=case.key, max_retries=0, timeout=10), mode=mode
    )


def said(text: str) -> Any:
    return [{"role": "user", "content": text}]


def person_of(case: Case, mode: instructor.Mode) -> Person:
    return client(case, mode).chat.completions.create(
        model=case.model, messages=said("a person"), response_model=Person, max_retries=0
    )


@check(without=["via-ollama"])
def forced_tool(case: Case) -> None:
    assert isinstance(person_of(case, instructor.Mode.TOOLS), Person)


@check(without=["via-ollama"])
def strict_tool(case: Case) -> None:
    assert isinstance(person_of(case, instructor.Mode.TOOLS_STRICT), Person)


@check
def json_schema(case: Case) -> None:
    assert isinstance(person_of(case, instructor.Mode.JSON_SCHEMA), Person)


@check
def parallel_tools(case: Case) -> None:
    found = client(case, instructor.Mode.PARALLEL_TOOLS).chat.completions.create(
        model=case.model, messages=said(PARIS_AND_OSLO), response_model=Iterable[weather], max_retries=0
    )
    assert [call.city for call in found] == ["Paris", "Oslo"]


@check(without=["via-ollama"])
def partial_objects_stream(case: Case) -> None:
    stream = client(case, instructor.Mode.TOOLS).chat.completions.create_partial(
        model=case.model, messages=said("a person"), response_model=Person, max_retries=0
    )
    states = list(stream)
    assert len(states) > 1
    Person.model_validate(states[-1].model_dump())


@check(without=["via-ollama"])
def usage_comes_along(case: Case) -> None:
    _, answer = client(case, instructor.Mode.TOOLS).chat.completions.create_with_completion(
        model=case.model, messages=said("a person"), response_model=Person, max_retries=0
    )
    assert answer.usage.prompt_tokens > 0
    assert answer.usage.completion_tokens > 0


@check(without=["via-ollama"])
def what_does_not_validate_is_asked_again(case: Case) -> None:
    """The second request holds the first call and what was wrong with it, as a tool's answer."""
    before = len(case.requests("mock-large"))
    with raises(InstructorRetryException):
        client(case, instructor.Mode.TOOLS).chat.completions.create(
            model=case.model, messages=said("a name"), response_model=Impossible, max_retries=2
        )
    sent = case.requests("mock-large")[before:]
    assert len(sent) >= 2
    assert "never good enough" in sent[-1]["body"]


if __name__ == "__main__":
    run()
