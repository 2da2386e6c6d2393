"""Integrations with all that belongs to them, and events. An application's own model of integrations comes first."""

import django.db.models.deletion
import django.utils.timezone
from django.db import migrations, models

import social_bitbucket_server.crypto
import social_bitbucket_server.django.models
from social_bitbucket_server.django.models import INTEGRATION_MODEL


class Migration(migrations.Migration):
    initial = True

    dependencies = [migrations.swappable_dependency(INTEGRATION_MODEL)]

    operations = [
        migrations.CreateModel(
            name="Event",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("at", models.DateTimeField(db_index=True, default=django.utils.timezone.now, verbose_name="when")),
                (
                    "what",
                    models.CharField(
                        choices=social_bitbucket_server.django.models.event_choices, max_length=32, verbose_name="what"
                    ),
                ),
                (
                    "integration_id",
                    models.CharField(blank=True, db_index=True, max_length=32, verbose_name="integration"),
                ),
                ("user_id", models.CharField(blank=True, max_length=64, verbose_name="user")),
                ("problem", models.CharField(blank=True, max_length=64, verbose_name="problem")),
                ("stage", models.CharField(blank=True, max_length=32, verbose_name="stage")),
                ("reference", models.CharField(blank=True, db_index=True, max_length=16, verbose_name="reference")),
            ],
            options={
                "verbose_name": "event",
                "verbose_name_plural": "events",
                "ordering": ["-at", "-id"],
            },
        ),
        migrations.CreateModel(
            name="SetupLink",
            fields=[
                ("token_sha256", models.CharField(editable=False, max_length=64, primary_key=True, serialize=False)),
                ("integration_id", models.CharField(db_index=True, max_length=32)),
                ("namespace", models.CharField(max_length=32)),
                ("created_at", models.DateTimeField(default=django.utils.timezone.now)),
                ("expires_at", models.DateTimeField()),
                ("opened_at", models.DateTimeField(null=True)),
                ("opened_from", models.CharField(blank=True, default="", max_length=64)),
                ("revoked_at", models.DateTimeField(null=True)),
            ],
            options={
                "verbose_name": "set-up link",
                "verbose_name_plural": "set-up links",
                "ordering": ["created_at"],
            },
        ),
        migrations.CreateModel(
            name="Integration",
            fields=[
                (
                    "id",
                    models.CharField(
                        default=social_bitbucket_server.django.models.new_id,
                        editable=False,
                        max_length=32,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                (
                    "name",
                    models.CharField(
                        help_text="The organization's name, as its people know it.", max_length=80, verbose_name="name"
                    ),
                ),
                (
                    "slug",
                    models.SlugField(
                        help_text="The last part of the address where its people log in. It cannot be changed later.",
                        max_length=40,
                        unique=True,
                        verbose_name="login link",
                    ),
                ),
                (
                    "base_url",
                    models.CharField(
                        help_text="Bitbucket's address, with the context path if it has one.",
                        max_length=255,
                        verbose_name="base URL",
                    ),
                ),
                (
                    "namespace",
                    models.CharField(
                        default=social_bitbucket_server.django.models.new_namespace,
                        editable=False,
                        max_length=32,
                        unique=True,
                    ),
                ),
                (
                    "ca_certificates",
                    models.TextField(
                        blank=True,
                        help_text="Only where Bitbucket's certificate was issued by the organization's own CA. As PEM.",
                        verbose_name="CA certificates",
                    ),
                ),
                (
                    "client_certificate",
                    models.TextField(
                        blank=True,
                        default="",
                        help_text="Only where a gateway in front of Bitbucket wants one: this application's certificate, as PEM.",
                        verbose_name="client certificate",
                    ),
                ),
                ("sealed_client_key", models.TextField(blank=True, default="", editable=False)),
                (
                    "connect_to",
                    models.CharField(
                        blank=True,
                        default="",
                        help_text="Only where this application cannot reach Bitbucket at the base URL's address: host and port.",
                        max_length=255,
                        verbose_name="connect to",
                    ),
                ),
                (
                    "allow_groups",
                    models.JSONField(
                        blank=True,
                        default=list,
                        help_text="Members of one of these groups may log in. One on each line.",
                        verbose_name="groups",
                    ),
                ),
                (
                    "allow_projects",
                    models.JSONField(
                        blank=True,
                        default=list,
                        help_text="People who can see one of these projects may log in. Keys such as WEB, one on each line. WEB:write takes people who may write to it.",
                        verbose_name="projects",
                    ),
                ),
                (
                    "allow_repositories",
                    models.JSONField(
                        blank=True,
                        default=list,
                        help_text="People who can see one of these repositories may log in. Such as WEB/website or WEB/website:write, one on each line.",
                        verbose_name="repositories",
                    ),
                ),
                ("role_conditions", models.JSONField(blank=True, default=dict, verbose_name="roles")),
                (
                    "server_version",
                    models.CharField(blank=True, editable=False, max_length=32, verbose_name="Bitbucket's version"),
                ),
                ("enabled", models.BooleanField(default=True, editable=False, verbose_name="enabled")),
                ("login_key", models.CharField(blank=True, default="", editable=False, max_length=32)),
                ("login_closed_at", models.DateTimeField(editable=False, null=True)),
                ("enforced_at", models.DateTimeField(editable=False, null=True)),
                ("moving_to", models.CharField(blank=True, default="", editable=False, max_length=255)),
                ("oauth1_ended_at", models.DateTimeField(editable=False, null=True)),
                ("revision", models.PositiveIntegerField(default=0, editable=False)),
                ("logins_ended", models.PositiveIntegerField(default=0, editable=False)),
                ("sessions_ended", models.PositiveIntegerField(default=0, editable=False)),
                (
                    "created_at",
                    models.DateTimeField(default=django.utils.timezone.now, editable=False, verbose_name="created"),
                ),
                ("last_login_at", models.DateTimeField(editable=False, null=True, verbose_name="last login")),
                (
                    "organization",
                    models.CharField(
                        blank=True,
                        default="",
                        help_text="Only for an organization with several Bitbucket Servers: the same text at each of them.",
                        max_length=80,
                        verbose_name="organization",
                    ),
                ),
            ],
            options={
                "verbose_name": "integration",
                "verbose_name_plural": "integrations",
                "ordering": ["name", "id"],
                "abstract": False,
            },
        ),
        migrations.CreateModel(
            name="ApplicationLink",
            fields=[
                (
                    "consumer_key",
                    models.CharField(
                        default=social_bitbucket_server.crypto.new_consumer_key,
                        max_length=64,
                        primary_key=True,
                        serialize=False,
                        verbose_name="consumer key",
                    ),
                ),
                ("number", models.PositiveIntegerField()),
                (
                    "integration",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="application_links",
                        to=INTEGRATION_MODEL,
                    ),
                ),
            ],
            options={
                "verbose_name": "application link",
                "verbose_name_plural": "application links",
                "ordering": ["number"],
            },
        ),
        migrations.CreateModel(
            name="ClientCredentials",
            fields=[
                (
                    "id",
                    models.CharField(
                        default=social_bitbucket_server.django.models.new_id,
                        editable=False,
                        max_length=32,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("client_id", models.CharField(max_length=255, verbose_name="client ID")),
                ("sealed_client_secret", models.TextField()),
                ("created_at", models.DateTimeField(default=django.utils.timezone.now)),
                (
                    "integration",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE, related_name="+", to=INTEGRATION_MODEL
                    ),
                ),
            ],
            options={"verbose_name": "client credentials", "verbose_name_plural": "client credentials"},
        ),
        migrations.CreateModel(
            name="EndedSessions",
            fields=[
                ("user_id", models.CharField(max_length=64, primary_key=True, serialize=False)),
                ("times", models.PositiveIntegerField(default=0)),
            ],
            options={"verbose_name": "ended sessions", "verbose_name_plural": "ended sessions"},
        ),
        migrations.CreateModel(
            name="KeyPair",
            fields=[
                (
                    "id",
                    models.CharField(
                        default=social_bitbucket_server.django.models.new_id,
                        editable=False,
                        max_length=32,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("pending", "waits for Bitbucket to have its public key"),
                            ("active", "logins are signed with it"),
                            (
                                "replaced",
                                "its application link can be removed; logins that began with it are finished with it",
                            ),
                            ("retired", "not used any more; its private key is erased"),
                        ],
                        max_length=16,
                    ),
                ),
                ("fingerprint", models.CharField(max_length=64, unique=True)),
                ("public_pem", models.TextField()),
                ("sealed_private_key", models.TextField(blank=True)),
                ("created_at", models.DateTimeField(default=django.utils.timezone.now)),
                ("replaced_at", models.DateTimeField(null=True)),
                ("place", models.CharField(editable=False, max_length=16, null=True)),
                (
                    "integration",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="key_pairs", to=INTEGRATION_MODEL
                    ),
                ),
                (
                    "link",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="key_pairs",
                        to="social_bitbucket_server.applicationlink",
                    ),
                ),
            ],
            options={
                "verbose_name": "key pair",
                "verbose_name_plural": "key pairs",
                "ordering": ["created_at", "id"],
            },
        ),
        migrations.AddConstraint(
            model_name="applicationlink",
            constraint=models.UniqueConstraint(
                fields=("integration", "number"), name="social_bitbucket_server_one_link_of_each_number"
            ),
        ),
        migrations.AddConstraint(
            model_name="keypair",
            constraint=models.UniqueConstraint(
                fields=("integration", "place"), name="social_bitbucket_server_one_of_each_state"
            ),
        ),
    ]
