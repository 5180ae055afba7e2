"""`intellirouter chat`: send a prompt to a model, or hold a conversation with it."""

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from intellirouter.cli.attempt_options import limiting_attempts
from intellirouter.cli.conversation import Conversation
from intellirouter.cli.errors import CommandError, ExitStatus
from intellirouter.cli.gateway_command import (
    DEFAULT_MODEL,
    GatewayOptions,
    ModelOption,
    gateway_command,
    noting_default_model,
)
from intellirouter.cli.output import is_terminal, print_data, printable
from intellirouter.cli.standard_streams import read_input

if TYPE_CHECKING:
    from intellirouter import client


@gateway_command
@limiting_attempts
def chat(
    options: GatewayOptions,
    prompt: Annotated[
        str | None,
        typer.Argument(metavar="PROMPT", help="Prompt to send. Without it, or with -, reads standard input."),
    ] = None,
    model: ModelOption = None,
    stream: Annotated[
        bool | None,
        typer.Option("--stream/--no-stream", help="Print the answer as it is generated. Default: on a terminal only."),
    ] = None,
    system: Annotated[
        str | None, typer.Option("--system", "-s", metavar="TEXT", help="System prompt of the conversation.")
    ] = None,
    limits: Any = None,
) -> None:
    """Send a prompt to a model and print the answer.

    Without a prompt on a terminal, starts a conversation; type /help to list its commands.
    """
    with options.connect(timeout_s=600) as gateway:
        conversation = Conversation(
            gateway,
            model or DEFAULT_MODEL,
            system,
            is_streaming=is_terminal() if stream is None else stream,
            describe=options.describe,
            limits=limits,
        )
        if prompt is None and sys.stdin.isatty():
            if options.output != "table":
                message = "A conversation cannot be printed as JSON or YAML."
                raise CommandError(message, "Pass a prompt.", status=ExitStatus.USAGE)
            conversation.run()
            return
        text = _read_prompt(prompt)
        with noting_default_model(model):
            _ask_once(options, conversation, text)


def _read_prompt(prompt: str | None) -> str:
    text = read_input() if prompt in {None, "-"} else prompt
    if not text or not text.strip():
        hint = "Pass a prompt as an argument or on standard input."
        raise CommandError("The prompt is empty.", hint, status=ExitStatus.USAGE)
    return text


def _ask_once(options: GatewayOptions, conversation: Conversation, prompt: str) -> None:
    if options.output == "table":
        conversation.ask(prompt)
        return
    reply = conversation.request_reply(prompt)
    print_data(_data(reply), options.output, lambda: [printable(reply.text or reply.refusal or "")])


def _data(reply: "client.ChatReply") -> dict[str, Any]:
    return {
        "text": reply.text,
        "refusal": reply.refusal,
        "tool_calls": reply.tool_calls,
        "finish_reason": reply.finish_reason,
        "model": reply.raw.get("model"),
        "deployment": reply.deployment,
        "degraded": reply.degraded,
        "request_id": reply.request_id,
        "usage": reply.usage,
        "cost_usd": reply.cost_usd,
    }
