"""Bitbucket's REST, as far as applications use it: users, projects, and application links."""
