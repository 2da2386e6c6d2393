"""Bitbucket's REST, as far as programs of applications use it."""
