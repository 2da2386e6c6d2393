"""What an organization or an application configures. Values alone: nothing here asks a server."""
