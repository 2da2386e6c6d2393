"""The sandbox, asked over HTTP by a client that shares no code with it."""
