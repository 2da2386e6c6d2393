"""The state of one sandbox: people, links, tokens, and faults."""
