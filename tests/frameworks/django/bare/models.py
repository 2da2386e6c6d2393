"""Users whose groups are not Django's."""

from django.contrib.auth.models import AbstractUser
from django.db import models


class Group(models.Model):
    name = models.CharField(max_length=150, unique=True)


class User(AbstractUser):
    groups = models.ManyToManyField(Group)
