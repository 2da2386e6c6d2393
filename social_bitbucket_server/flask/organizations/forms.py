"""Forms for what people type into the pages, checked where it enters."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urlsplit

from flask import request
from flask_wtf import FlaskForm
from wtforms import PasswordField, RadioField, StringField, TextAreaField, URLField
from wtforms.validators import AnyOf, DataRequired, InputRequired, Length, Optional, Regexp, ValidationError

from ...crypto import Secret
from ...integration import BaseURLRules, ConnectTo, ServerURL
from ...organizations import OAuth, is_one_line
from ...problems import BitbucketServerError
from ...transport import ClientCertificate, read_ca_certificates, read_client_certificate

_PAGE = re.compile(
    r"/(?:projects|users|repos|dashboard|admin|login|logout|account|profile|scm|rest|plugins|plugin|mvc|status|about)"
    r"(?=/|\Z)"
)
"""The part of a page's address in Bitbucket that follows the base URL."""


def strip(text: str | None) -> str:
    """Return *text* without blanks around it."""
    return (text or "").strip()


def one_line(_form: FlaskForm, field: StringField) -> None:
    """Raises ValidationError if the text of *field* has invisible characters."""
    if not is_one_line(field.data or ""):
        raise ValidationError("Leave out invisible characters.")


class TextForm(FlaskForm):  # type: ignore[misc]  # untyped
    """A form of text fields. It ignores files and JSON, which no page sends."""

    class Meta(FlaskForm.Meta):  # type: ignore[misc]  # as above
        """How Flask-WTF reads a request."""

        def wrap_formdata(self, form: FlaskForm, formdata: Any) -> Any:
            """Return the text fields of a form that was sent."""
            return request.form or None if formdata is not None and form.is_submitted() else None


class IntegrationForm(TextForm):
    """A new integration. *rules* say which base URLs are accepted. *kept_client_key* is the key of the client
    certificate where none is pasted."""

    name = StringField(
        "Name", filters=[strip], validators=[DataRequired("Give the integration a name."), Length(max=80), one_line]
    )
    base_url = URLField("Base URL", filters=[strip], validators=[InputRequired("Enter the server's base URL.")])
    ca_certificates = TextAreaField("CA certificate (optional)", filters=[strip])
    client_certificate = TextAreaField("Client certificate (optional)", filters=[strip])
    client_key = TextAreaField("Key of the client certificate", filters=[strip])
    connect_to = StringField("Connect to (optional)", filters=[strip])

    def __init__(self, rules: BaseURLRules, kept_client_key: str = "", **arguments: Any) -> None:
        super().__init__(**arguments)
        self._rules = rules
        self._kept_client_key = Secret(kept_client_key)
        self._wrong_client_key = ""
        self.shown_certificate: ClientCertificate | None = None
        self.server_url: ServerURL | None = None
        self.connects_to: ConnectTo | None = None

    def validate_base_url(self, field: URLField) -> None:
        """Reads the address; says what is wrong with it, and recognizes the address of one of Bitbucket's pages."""
        base_url = _base_url_of_page(field.data or "")
        if base_url is not None:
            raise ValidationError(f"This is the address of a page. Enter the part before it: {base_url}")
        try:
            self.server_url = ServerURL.parse(field.data or "", self._rules)
        except BitbucketServerError as error:
            raise ValidationError(f"This base URL cannot be used. {error.reason}") from error

    def validate_client_certificate(self, field: TextAreaField) -> None:
        """Reads the certificate with its key, and keeps clean PEM. Says at its field what is wrong with either."""
        pasted, key = field.data, Secret(self.client_key.data or self._kept_client_key)
        if "PRIVATE KEY" in pasted or "BEGIN CERTIFICATE" not in pasted:  # it may hold a key
            field.data = ""
        if not pasted:
            self._wrong_client_key = "Give the certificate, too." if self.client_key.data else ""
            return
        if not key:
            self._wrong_client_key = "Give the key, too."
            return
        try:
            self.shown_certificate = read_client_certificate(pasted, key)
        except BitbucketServerError as error:
            words = " ".join(filter(None, (error.problem.title, error.reason, error.problem.remedy)))
            if error.parameter != "client_key":
                raise ValidationError(words) from error
            self._wrong_client_key = words
        else:
            field.data = self.shown_certificate.certificate

    def validate_client_key(self, field: TextAreaField) -> None:
        """Says what is wrong with it. It is not shown again."""
        field.data = ""
        if self._wrong_client_key:
            raise ValidationError(self._wrong_client_key)

    def validate_connect_to(self, field: StringField) -> None:
        """Reads host and port; says what is wrong with them."""
        try:
            self.connects_to = ConnectTo.parse(field.data, self._rules) if field.data else None
        except BitbucketServerError as error:
            raise ValidationError(f"{error.problem.title} {error.reason}") from error

    def validate_ca_certificates(self, field: TextAreaField) -> None:
        """Keeps clean PEM; says why something else is none. What holds a private key is not shown again."""
        try:
            field.data = read_ca_certificates(field.data) if field.data else ""
        except BitbucketServerError as error:
            if "PRIVATE KEY" in field.data:
                field.data = ""
            raise ValidationError(f"{error.problem.title} {error.reason}") from error


class NewIntegrationForm(IntegrationForm):
    """A new integration, for one OAuth."""

    oauth_version = RadioField(
        "OAuth version",
        choices=[way.value for way in OAuth],
        default=OAuth.ONE.value,
        validate_choice=False,
        validators=[AnyOf([way.value for way in OAuth], message="Choose OAuth 1 or OAuth 2.")],
    )


class ServerCorrectionForm(IntegrationForm):
    """Base URL and CA certificate, as a Bitbucket admin corrects them."""

    name = client_certificate = client_key = connect_to = None


def _credential(kind: type[StringField], label: str) -> Any:
    is_one = Regexp(r"[!-~]{1,255}\Z", message="Copy it once more: it has no spaces, and 255 characters at most.")
    return kind(label, filters=[strip], validators=[InputRequired(f"Copy the {label} from Bitbucket."), is_one])


class ClientCredentialsForm(TextForm):
    """Form for what Bitbucket shows after *Save* for an external application. The secret is never shown again."""

    client_id = _credential(StringField, "Client ID")
    client_secret = _credential(PasswordField, "Client secret")


class EditIntegrationForm(IntegrationForm):
    """Changes to an integration that people may log in through already."""

    server = RadioField("If the base URL changes", choices=["moved", "another"], validators=[Optional()])


class ConfigurationForm(TextForm):
    """Integrations as text."""

    text = TextAreaField("Text", validators=[InputRequired("Paste the text.")])


class DeleteForm(TextForm):
    """Asks for the name of what is deleted."""

    name = StringField("Name of the integration", filters=[strip])

    def __init__(self, expected: str, **arguments: Any) -> None:
        super().__init__(**arguments)
        self._expected = expected

    def validate_name(self, field: StringField) -> None:
        """The name must be typed exactly."""
        if field.data != self._expected:
            raise ValidationError(f"Type the name exactly as it is: {self._expected}")


def _base_url_of_page(address: str) -> str | None:
    """Return the base URL of the Bitbucket page with this *address*; ``None`` if *address* is not known as a page's."""
    try:
        parts = urlsplit(address)
    except ValueError:
        return None
    page = _PAGE.search(parts.path)
    if page is None or not parts.netloc:
        return None
    return f"{parts.scheme}://{parts.netloc}{parts.path[: page.start()]}"
