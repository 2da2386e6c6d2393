"""The state of one sandbox: people, links, tokens, faults, and the requests that came in."""
