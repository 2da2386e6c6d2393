"""How servers behind gateways are reached: where connections go, and client certificates with their sealed keys."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("social_bitbucket_server", "0003_key_pair_place")]

    operations = [
        migrations.AddField(
            model_name="integration",
            name="connect_to",
            field=models.CharField(
                blank=True,
                default="",
                help_text=(
                    "Only where this application cannot reach Bitbucket at the base URL's address: host and port."
                ),
                max_length=255,
                verbose_name="connect to",
            ),
        ),
        migrations.AddField(
            model_name="integration",
            name="client_certificate",
            field=models.TextField(
                blank=True,
                default="",
                help_text=(
                    "Only where a gateway in front of Bitbucket wants one: this application's certificate, as PEM."
                ),
                verbose_name="client certificate",
            ),
        ),
        migrations.AddField(
            model_name="integration",
            name="sealed_client_key",
            field=models.TextField(blank=True, default="", editable=False),
        ),
    ]
