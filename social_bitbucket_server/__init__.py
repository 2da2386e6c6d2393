"""Log in with Bitbucket Server / Data Center, for python-social-auth."""
