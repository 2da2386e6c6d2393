"""The transport on real sockets, against servers that do everything wrong."""
