"""The parts that all dialects of OpenAI share: the error envelope and the usage object."""
