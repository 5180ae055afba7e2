"""How a request gets from a client dialect to an upstream dialect: passthrough or translation."""
