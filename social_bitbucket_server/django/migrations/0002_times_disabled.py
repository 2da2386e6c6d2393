"""How often an integration was disabled: logins and sessions from before end."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("social_bitbucket_server", "0001_initial")]

    operations = [
        migrations.AddField(
            model_name="integration",
            name="times_disabled",
            field=models.PositiveIntegerField(default=0, editable=False),
        ),
    ]
