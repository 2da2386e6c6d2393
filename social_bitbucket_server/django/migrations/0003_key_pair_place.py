"""One key pair of each state for an integration, also in databases that have no unique constraints with conditions."""

from typing import Any

from django.db import migrations, models


def fill(apps: Any, schema_editor: Any) -> None:
    pairs = apps.get_model("social_bitbucket_server", "KeyPair").objects.using(schema_editor.connection.alias)
    pairs.exclude(state="retired").update(place=models.F("state"))


class Migration(migrations.Migration):
    dependencies = [("social_bitbucket_server", "0002_times_disabled")]

    operations = [
        migrations.AddField(
            model_name="keypair",
            name="place",
            field=models.CharField(editable=False, max_length=16, null=True),
        ),
        migrations.RunPython(fill, migrations.RunPython.noop),
        *(
            migrations.RemoveConstraint(model_name="keypair", name=f"social_bitbucket_server_one_{state}")
            for state in ("active", "pending", "replaced")
        ),
        migrations.AddConstraint(
            model_name="keypair",
            constraint=models.UniqueConstraint(
                fields=("integration", "place"), name="social_bitbucket_server_one_of_each_state"
            ),
        ),
    ]
