"""Forms of the application's own pages: organizations, and their owners' passwords."""

from __future__ import annotations

import re
import unicodedata

from wtforms import EmailField, HiddenField, PasswordField, StringField
from wtforms.validators import DataRequired, EqualTo, InputRequired, Length, Optional, Regexp

from social_bitbucket_server.flask.organizations.forms import TextForm, one_line, strip

SLUG = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?")
EMAIL = re.compile(r"[^\s@]+@[^\s@]+\Z")
LEAST_PASSWORD_LENGTH, LONGEST_PASSWORD_LENGTH = 10, 200

_NEW_PASSWORD = [
    InputRequired("Choose a password."),
    Length(min=LEAST_PASSWORD_LENGTH, message=f"Use at least {LEAST_PASSWORD_LENGTH} characters."),
    Length(max=LONGEST_PASSWORD_LENGTH, message=f"Use at most {LONGEST_PASSWORD_LENGTH} characters."),
]


class OrganizationForm(TextForm):
    """A new organization and its owner."""

    name = StringField(
        "Name of the organization",
        filters=[strip],
        validators=[DataRequired("Enter the organization's name."), Length(max=80), one_line],
    )
    slug = StringField(
        "Address",
        filters=[strip],
        validators=[
            Optional(),
            Regexp(
                SLUG.pattern + r"\Z",
                message="Use 1 to 40 lower-case letters, digits and hyphens; begin and end with a letter or digit.",
            ),
        ],
    )
    email = EmailField(
        "Your e-mail address",
        filters=[strip],
        validators=[
            InputRequired("Enter your e-mail address."),
            Length(max=254),
            Regexp(EMAIL, message="Enter an e-mail address, such as you@example.com."),
            one_line,
        ],
    )
    password = PasswordField("Password", validators=_NEW_PASSWORD)

    def proposed_slug(self) -> str:
        """The slug that was typed, or one made of the name; empty where the name gives none."""
        if self.slug.data:
            return str(self.slug.data)
        plain = unicodedata.normalize("NFKD", self.name.data or "").encode("ascii", "ignore").decode().lower()
        return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:40].strip("-")


class FindOrganizationForm(TextForm):
    """Which organization somebody belongs to."""

    slug = StringField(
        "Your organization's address",
        filters=[strip, str.lower],
        validators=[InputRequired("Enter the last part of your organization's address, such as acme."), one_line],
    )


_PRESENT_PASSWORD = [
    InputRequired("Enter your password."),
    Length(max=LONGEST_PASSWORD_LENGTH, message="This is too long."),
]


class OwnerLoginForm(TextForm):
    """The owner's way in, which works without any Bitbucket."""

    email = EmailField("E-mail address", filters=[strip], validators=[InputRequired("Enter your e-mail address.")])
    password = PasswordField("Password", validators=_PRESENT_PASSWORD)
    next = HiddenField()


class PasswordForm(TextForm):
    """A new password for the owner, who knows the present one."""

    present = PasswordField("Present password", validators=_PRESENT_PASSWORD)
    new = PasswordField("New password", validators=_NEW_PASSWORD)
    again = PasswordField(
        "New password, once more", validators=[EqualTo("new", message="This is not the new password that you typed.")]
    )
