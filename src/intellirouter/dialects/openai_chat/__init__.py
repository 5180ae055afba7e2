"""OpenAI chat completions: the fast lane between equals, and both sides of a translation."""

from intellirouter.dialects.openai_chat.checked_lane import CheckedChatLane
from intellirouter.dialects.openai_chat.codec import ChatClient, ChatUpstream
from intellirouter.dialects.openai_chat.fast_lane import OpenAIChatLane

CLIENT = ChatClient()
UPSTREAM = ChatUpstream()

__all__ = ["CLIENT", "UPSTREAM", "ChatClient", "ChatUpstream", "CheckedChatLane", "OpenAIChatLane"]
