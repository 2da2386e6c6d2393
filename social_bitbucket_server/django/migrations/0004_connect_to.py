"""Where connections to an integration's server go instead of its base URL's host."""

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
    ]
