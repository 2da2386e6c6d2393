"""OAuth 2, as Bitbucket answers it."""
