"""Log in with Bitbucket Server / Data Center, for python-social-auth.

docs/api.md lists the public names, and promises what of them stays.
"""
