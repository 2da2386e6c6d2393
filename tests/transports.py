"""Forgetting, in the middle of a test, all that a process knows of servers."""

from social_bitbucket_server.transport import Transport, default_transport, use_transport


def forget_servers() -> None:
    """Go on with a transport that has learnt nothing. It looks names up as the one before did, and is as patient."""
    known = default_transport()
    use_transport(Transport(resolver=known.resolver, limits=known.limits))
