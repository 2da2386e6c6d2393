"""The form in which administrators enter an integration.

Private keys of application links are never among the fields. The key of a client certificate is never shown again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, cast

from django import forms
from django.contrib.admin.widgets import AdminTextareaWidget, AdminTextInputWidget
from django.core.validators import RegexValidator
from django.http import QueryDict
from django.utils.translation import gettext_lazy as _

from ..integration import Roles
from ..organizations import OAuth, ServerChange, UnusableRolesError, read_role_lines, role_lines, server_change
from ..problems import BitbucketServerError
from . import configuration, integrations
from .models import AbstractIntegration

if TYPE_CHECKING:
    _Form = forms.ModelForm[AbstractIntegration]
else:
    _Form = forms.ModelForm


class _AsItWasRead(forms.IntegerField):
    """Which revision a form was opened with. Nobody changes it by hand."""

    widget = forms.HiddenInput

    def has_changed(self, initial: Any, data: Any) -> bool:  # noqa: ARG002  # Django's signature
        return False


class _Lines(forms.Field):
    """A text in place of JSON."""

    def __init__(self, *, encoder: Any = None, decoder: Any = None, **options: Any) -> None:  # noqa: ARG002  # of JSON
        super().__init__(**options)


class _Names(_Lines):
    """A list of names, one on each line. Empty lines and names that come twice are left out."""

    widget = AdminTextareaWidget({"rows": 3})

    def prepare_value(self, value: Any) -> Any:
        return "\n".join(value) if isinstance(value, list) else value

    def to_python(self, value: Any) -> list[str]:
        return list(dict.fromkeys(filter(None, map(str.strip, str(value or "").splitlines()))))

    def has_changed(self, initial: Any, data: Any) -> bool:
        return self.to_python(self.prepare_value(initial)) != self.to_python(data)


class _RoleLines(_Lines):
    """Roles as lines of text. Each line has a role and one of its conditions."""

    widget = AdminTextareaWidget({"rows": 4})

    def prepare_value(self, value: Any) -> Any:
        try:
            return role_lines(Roles.read(value).only(configuration.role_names())) if isinstance(value, dict) else value
        except BitbucketServerError:  # it was not written by this form
            return ""

    def to_python(self, value: Any) -> dict[str, Any]:
        try:
            return read_role_lines(str(value or ""), configuration.role_names()).fields
        except UnusableRolesError as error:
            raise forms.ValidationError(error.messages) from error

    def has_changed(self, initial: Any, data: Any) -> bool:
        return str(self.prepare_value(initial)).split() != str(data or "").split()


_AS_BITBUCKET_SHOWS_IT = RegexValidator(
    r"^[!-~]+\Z", _("Copy it once more: it has no spaces, and 255 characters at most.")
)


class ClientCredentialsForm(forms.Form):
    """The credentials that Bitbucket shows after *Save* for an external application. The secret is never shown
    again."""

    client_id = forms.CharField(
        label="Client ID",
        max_length=255,
        validators=[_AS_BITBUCKET_SHOWS_IT],
        widget=AdminTextInputWidget({"autocomplete": "off", "spellcheck": "false"}),
        error_messages={"required": _("Copy the Client ID from Bitbucket.")},
    )
    client_secret = forms.CharField(
        label="Client secret",
        max_length=255,
        validators=[_AS_BITBUCKET_SHOWS_IT],
        widget=forms.PasswordInput({"autocomplete": "off", "class": "vTextField"}),
        help_text=_("It is stored sealed and never shown again."),
        error_messages={"required": _("Copy the Client secret from Bitbucket.")},
    )


class ServerForm(_Form):
    """Base URL and CA certificates, as a Bitbucket admin corrects them."""

    def clean(self) -> dict[str, Any] | None:
        """Forget a private key that was pasted as a CA certificate."""
        cleaned = super().clean()
        if "ca_certificates" in self.errors or "PRIVATE KEY" in (cleaned or {}).get("ca_certificates", ""):
            # Clear the field, so that the page that refuses the form does not show the key.
            self._answer("ca_certificates", "")
        return cleaned

    def _answer(self, name: str, value: str) -> None:
        """Show *value* on the page that refuses the form."""
        data = cast("QueryDict", self.data).copy()
        data[self.add_prefix(name)] = value
        self.data = data


def server_form(record: AbstractIntegration, data: QueryDict | None = None) -> ServerForm:
    """Return the form for *record* with the *data* that was sent; ``None`` for a fresh one."""
    form = forms.modelform_factory(type(record), form=ServerForm, fields=("base_url", "ca_certificates"))
    return cast("ServerForm", form(data, instance=record))


class IntegrationForm(ServerForm):
    """A new integration, or changes to one that people may log in through already."""

    class Meta:
        widgets: ClassVar[dict[str, forms.Widget]] = {"base_url": AdminTextInputWidget({"class": "vLargeTextField"})}
        field_classes: ClassVar[dict[str, type[forms.Field]]] = {
            **dict.fromkeys(("allow_groups", "allow_projects", "allow_repositories"), _Names),
            "role_conditions": _RoleLines,
        }

    moving_to = ""
    """New base URL, in its clean form, that waits for the proof that it is the same server's; or empty."""

    revision = _AsItWasRead(required=False)
    same_server = forms.BooleanField(
        label=_("This is the same Bitbucket Server under a new address"),
        required=False,
        help_text=_(
            "Tick it if you change the base URL and the server only moved. You show that by a trial login there, with "
            "a Bitbucket account that has logged in here before. Until then people log in at the old address."
        ),
    )

    oauth = forms.ChoiceField(
        label=_("People log in by"),
        choices=[
            (OAuth.ONE.value, _("OAuth 1, in every version of Bitbucket")),
            (OAuth.TWO.value, _("OAuth 2, in Bitbucket 7.20 and later; recommended from version 8 on")),
        ],
        initial=OAuth.ONE.value,
        required=False,
        help_text=_("It can be changed later, and people keep their accounts."),
    )

    client_key = forms.CharField(
        label=_("Key of the client certificate"),
        required=False,
        widget=AdminTextareaWidget,
        help_text=_(
            "Without a passphrase. It is stored sealed and never shown again. To keep a stored key, leave this empty."
        ),
    )

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        if not self.instance._state.adding:
            del self.fields["oauth"]
        self.initial["revision"] = self.instance.revision
        if "role_conditions" in self.fields:
            names = configuration.role_names()
            self.fields["role_conditions"].help_text = _(
                "Write one condition on each line, such as: %(role)s = project WEB. It is a role, an equals sign, "
                "group, project or repository, and its name. A person has a role if they meet at least one of its "
                "conditions. The roles are: %(roles)s. Roles and who may log in may have five different names "
                "together. One with a permission, such as WEB:write, counts as two."
            ) % {"role": names[0], "roles": ", ".join(names)}

    def _post_clean(self) -> None:
        # After the model's own validation, which brings the base URL into its clean form.
        before = self.instance.base_url
        self.instance.given_client_key = self.cleaned_data.get("client_key", "")
        super()._post_clean()  # type: ignore[misc]  # not in the stubs
        if self.cleaned_data.get("revision") not in {None, self.instance.revision}:
            self._refuse_to_overwrite()
        meaning, after = ServerChange.NONE, self.instance.base_url
        if not self.instance._state.adding:
            meaning = server_change(
                before,
                after,
                has_people=before != after and integrations.identities(self.instance).exists(),
                says_moved=True if self.cleaned_data.get("same_server") else None,
                needs_proof=True,
            )
        if meaning is ServerChange.ASK:
            self.add_error(
                "same_server",
                _("Tick this if the server only moved. For another server add another integration instead."),
            )
        if self.errors:
            self._forget_client_key()
        elif meaning is ServerChange.MOVED:
            self.moving_to, self.instance.base_url = after, before

    def _refuse_to_overwrite(self) -> None:
        """Refuse the form: another administrator saved since the page was opened. Saving again overwrites that."""
        self.add_error(
            None,
            _(
                "Somebody else changed this integration after you had opened this page, so nothing is saved. What you "
                "typed is here; where something else is there now, it says so. Save again to put yours in its place."
            ),
        )
        for name in set(self.changed_data) & set(self.initial):
            value = str(self.fields[name].prepare_value(self.initial[name]) or "")
            if not value:
                self.add_error(name, _("It is empty now."))
            elif "\n" in value:
                self.add_error(name, _("Something else is there now."))
            else:
                self.add_error(name, forms.ValidationError(_("There is now: %(value)s"), params={"value": value}))
        self._answer("revision", str(self.instance.revision))

    def _forget_client_key(self) -> None:
        """Clear the key of the client certificate, so that the page that refuses the form does not show it."""
        self._answer("client_key", "")
        given = self.data.get(self.add_prefix("client_certificate"), "")
        if "PRIVATE KEY" in given or "BEGIN CERTIFICATE" not in given:  # it may hold a key
            self._answer(
                "client_certificate", "" if "client_certificate" in self.errors else self.instance.client_certificate
            )
