"""OpenAI's Agents SDK over the responses API."""

from agent_checks import speak
from agents import OpenAIResponsesModel

if __name__ == "__main__":
    speak(OpenAIResponsesModel)
