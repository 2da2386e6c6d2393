"""Client certificates for gateways in front of servers, with their sealed keys."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("social_bitbucket_server", "0004_connect_to")]

    operations = [
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
