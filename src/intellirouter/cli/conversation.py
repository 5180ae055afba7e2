"""A conversation on a terminal: turns are remembered, an answer can be interrupted, a failure does not end it."""

import sys
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

import typer

from intellirouter.cli.exits import ExitStatus
from intellirouter.cli.lazy import LazyModule
from intellirouter.cli.output import is_terminal, printable, say, say_error
from intellirouter.cli.session import failure_of

if TYPE_CHECKING:
    import readline

    from intellirouter import client, core
else:
    client = LazyModule("intellirouter.client")
    core = LazyModule("intellirouter.core")
    readline = LazyModule("readline")

_HELP: Final = """\
/model NAME   ask another model from now on
/reset        forget the conversation
/exit         leave (so does Ctrl-D)
Ctrl-C stops an answer."""


class Conversation:
    """Messages so far, and the model that is asked next."""

    def __init__(self, gateway: "client.Client", model: str, system: str | None, *, is_streaming: bool) -> None:
        self._gateway = gateway
        self._model = model
        self._opening = [{"role": "system", "content": system}] if system else []
        self._messages: list[dict[str, Any]] = [*self._opening]
        self._is_streaming = is_streaming

    def reply_to(self, question: str) -> "client.ChatReply":
        """Ask without printing. Raises `IntelliRouterError`; then the question is forgotten."""
        reply = self._gateway.chat([*self._messages, _said("user", question)], model=self._model)
        self._remember(question, reply.text)
        return reply

    def ask(self, question: str) -> None:
        """Ask and print the answer; on a terminal followed by who gave it, at what cost. Raises as `reply_to`."""
        started_s = time.monotonic()
        if self._is_streaming:
            reply = self._streamed(question)
        else:
            reply = self.reply_to(question)
            typer.echo(printable(reply.text))
        for call in reply.tool_calls:
            typer.echo(printable(f"[tool call] {call.name}({call.arguments})"))
        if is_terminal():
            say(self._account(reply, time.monotonic() - started_s))

    def hold(self) -> None:
        """Talk until the end of input."""
        with suppress(ImportError):  # line editing is a comfort that some platforms lack
            readline.set_history_length(1000)
        say(f"talking to {self._model} at {self._gateway.base_url}; /help lists commands, Ctrl-D leaves")
        while (typed := _read_line()) is not None:
            text = typed.strip()
            if text.startswith("/"):
                if not self._command(text):
                    return
            elif text:
                self._turn(text)

    def _turn(self, question: str) -> None:
        try:
            self.ask(question)
        except client.IntelliRouterError as error:
            failure = failure_of(error)
            say_error(failure.message, *failure.notes)
            if failure.status == ExitStatus.UNREACHABLE:
                say("your question was not answered; ask again once the gateway is back")
        except KeyboardInterrupt:
            typer.echo()
            say("stopped; this turn is forgotten")

    def _command(self, text: str) -> bool:
        """Do what a line with a slash says; False ends the conversation."""
        name, _, argument = text.partition(" ")
        if name in {"/exit", "/quit"}:
            return False
        if name == "/reset":
            self._messages = [*self._opening]
            say("forgotten")
        elif name == "/model" and argument.strip():
            self._model = argument.strip()
            say(f"now asking {self._model}")
        else:
            say(_HELP)
        return True

    def _streamed(self, question: str) -> "client.ChatReply":
        with self._gateway.stream([*self._messages, _said("user", question)], model=self._model) as pieces:
            try:
                for piece in pieces:
                    sys.stdout.write(printable(piece.text))
                    sys.stdout.flush()
            finally:
                typer.echo()
            reply = pieces.reply()
        self._remember(question, reply.text)
        return reply

    def _remember(self, question: str, answer: str) -> None:
        self._messages += [_said("user", question), _said("assistant", answer)]

    def _account(self, reply: "client.ChatReply", duration_s: float) -> str:
        parts = [reply.deployment or self._model]
        if reply.usage is not None:
            parts.append(f"{reply.usage.prompt_tokens} + {reply.usage.completion_tokens} tokens")
        cost_usd = self._cost_usd(reply)
        parts.append("cost unknown" if cost_usd is None else f"${cost_usd}")
        parts.append(f"{duration_s:.1f} s")
        return " · ".join(parts)

    def _cost_usd(self, reply: "client.ChatReply") -> str | None:
        """A stream's headers are sent before its cost is known; then the record has it, if this key may read it."""
        if reply.cost_usd is not None:
            return str(reply.cost_usd)
        if not self._is_streaming or reply.request_id is None:
            return None
        try:
            record = self._gateway.request(reply.request_id)
        except client.IntelliRouterError:
            return None  # the answer stands; its price is a courtesy
        return None if record.cost_microusd is None else core.format_usd(record.cost_microusd)


def _said(role: str, text: str) -> dict[str, Any]:
    return {"role": role, "content": text}


def _read_line() -> str | None:
    """Return a line that was typed, None at the end of input. Ctrl-C drops the line."""
    while True:
        try:
            return input("> ")
        except EOFError:
            typer.echo()
            return None
        except KeyboardInterrupt:
            typer.echo()
