"""Which runworkers share the accounts among them."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("orders", "0032_found_fast"),
    ]

    operations = [
        migrations.AddField(
            model_name="heartbeat",
            name="shares",
            field=models.BooleanField(db_default=False, default=False),
        ),
    ]
