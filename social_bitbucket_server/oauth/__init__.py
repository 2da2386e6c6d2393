"""The conversation with one server, by OAuth 1.0a and by OAuth 2."""
