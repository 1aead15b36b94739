"""The log: the protocol, and its implementations."""
