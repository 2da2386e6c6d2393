"""Tests of what databases and classes of users say about a new account."""

from types import SimpleNamespace

import pytest

from social_bitbucket_server.account import is_named_by_email
from social_bitbucket_server.account.new_accounts import fitting, needs_email, refused_column


def error(text="", *, orig=None, cause=None, column=None):
    made = ValueError(text)
    made.__cause__ = cause
    if orig is not None:
        made.orig = orig
    if column is not None:
        made.diag = SimpleNamespace(column_name=column)
    return made


@pytest.mark.parametrize(
    ("refusal", "column"),
    [
        (error(cause=error("NOT NULL constraint failed: auth_user.company")), "company"),
        (error(orig=error("NOT NULL constraint failed: users.fs_uniquifier")), "fs_uniquifier"),
        (error(cause=error(column="company")), "company"),
        (
            error(cause=error('null value in column "company" violates not-null constraint')),
            "company",
        ),
        (error(orig=error("(1048, \"Column 'company' cannot be null\")")), "company"),
        (error(orig=error("(1364, \"Field 'company' doesn't have a default value\")")), "company"),
        (error(cause=error("UNIQUE constraint failed: users.email")), ""),
        (error("CHECK constraint failed"), ""),
    ],
)
def test_the_column_that_must_not_be_empty_is_found_in_every_databases_words(refusal, column):
    assert refused_column(refusal) == column


LENGTHS = {"given": 4, "last_name": 3, "email": 12}
STORAGE = SimpleNamespace(column_length=LENGTHS.get)


def test_names_are_cut_and_an_address_that_is_too_long_is_left_out():
    details = {"fullname": "Janet Doe", "first_name": "Jan et", "last_name": "Doe", "email": "janet@example.com"}
    fitted = fitting(details, STORAGE, {"first_name": "given"})
    assert fitted == {"fullname": "Janet Doe", "first_name": "Jan", "last_name": "Doe", "email": None}


def test_what_fits_or_is_missing_stays_as_it_is():
    details = {"first_name": None, "last_name": "D", "email": "j@e.example", "username": "a name of any length"}
    assert fitting(details, STORAGE, {}) == details


def test_users_without_django_and_without_columns_need_nothing():
    storage = SimpleNamespace(user_model=lambda: object)
    assert not needs_email(storage)
    assert not is_named_by_email(storage)
    assert fitting({"email": "j" * 999}, storage, {}) == {"email": "j" * 999}
