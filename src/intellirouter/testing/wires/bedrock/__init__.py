"""Amazon Bedrock's converse API, with signatures checked.

Door: `BedrockApi`, and the one account that may sign: `ACCESS_KEY`, `SECRET_KEY`.
"""

from intellirouter.testing.wires.bedrock.api import BedrockApi
from intellirouter.testing.wires.bedrock.signature import ACCESS_KEY, SECRET_KEY

__all__ = ["ACCESS_KEY", "SECRET_KEY", "BedrockApi"]
