"""Forgetting, in the middle of a test, all that a process knows of servers."""

from social_bitbucket_server.transport import Transport, default_transport, use_transport


def forget_servers() -> None:
    """Go on with a transport that has learnt nothing, and looks names up as the one before did."""
    use_transport(Transport(resolver=default_transport().resolver))
