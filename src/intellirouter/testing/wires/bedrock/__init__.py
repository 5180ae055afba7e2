"""Amazon Bedrock's Converse API, with validation of signatures.

Door: `BedrockApi`, and the credentials that it accepts: `ACCESS_KEY`, `SECRET_KEY`.
"""

from intellirouter.testing.wires.bedrock.api import BedrockApi
from intellirouter.testing.wires.bedrock.signature import ACCESS_KEY, SECRET_KEY

__all__ = ["ACCESS_KEY", "SECRET_KEY", "BedrockApi"]
