"""Keys and secrets: how they are read, kept and shown. Knows no server."""
