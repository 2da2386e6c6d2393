"""A Django project that has our backend in its settings, but not our application, and groups of its own.

``python -m tests.frameworks.django.bare`` logs Jane in, and prints where she is sent and her groups.
"""
