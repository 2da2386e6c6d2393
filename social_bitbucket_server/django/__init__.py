"""Log in with Bitbucket Server in Django: integrations in the database with their administration, views, and checks.

One server by settings needs none of it: social-auth-app-django's own views serve.
"""
