"""The standard tests over `ChatAnthropic`: messages."""

import os
from typing import Any

from gateway_model import place
from langchain_anthropic import ChatAnthropic
from langchain_core.language_models import BaseChatModel
from langchain_tests.integration_tests import ChatModelIntegrationTests


class TestChatAnthropic(ChatModelIntegrationTests):
    @property
    def chat_model_class(self) -> type[BaseChatModel]:
        return ChatAnthropic

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {**place(), "base_url": os.environ["GATEWAY_URL"], "max_tokens": 2000}

    @property
    def supports_image_inputs(self) -> bool:
        return True

    @property
    def supports_image_tool_message(self) -> bool:
        return True

    @property
    def supports_anthropic_inputs(self) -> bool:
        # The test sends a thinking block that this vendor has not signed; it says so, as the real one would.
        return os.environ["UPSTREAM"] != "via-anthropic"
