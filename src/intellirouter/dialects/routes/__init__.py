"""The routes from a client dialect to an upstream dialect: passthrough and translation."""
