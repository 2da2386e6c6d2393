"""OAuth 1.0a, as Bitbucket answers it."""
