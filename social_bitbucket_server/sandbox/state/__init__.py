"""What one sandbox knows: people, links, tokens, and what goes wrong."""
