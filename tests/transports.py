"""Transports that have learnt nothing, for the middle of a test."""

from social_bitbucket_server.transport import Transport, default_transport, use_transport


def forget_servers() -> None:
    """Replace the transport by one that has learnt nothing. It keeps the resolver and the limits."""
    known = default_transport()
    use_transport(Transport(resolver=known.resolver, limits=known.limits))
