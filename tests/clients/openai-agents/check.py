"""OpenAI's Agents SDK over chat completions."""

from agent_checks import speak
from agents import OpenAIChatCompletionsModel

if __name__ == "__main__":
    speak(OpenAIChatCompletionsModel)
