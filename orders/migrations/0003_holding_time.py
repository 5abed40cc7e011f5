import django.core.validators
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = (("orders", "0002_append_only"),)

    operations = (
        migrations.AddField("slot", "flat_event_ts", models.BigIntegerField(null=True)),
        migrations.AddField(
            "trioorder",
            "forced",
            models.CharField(
                blank=True,
                help_text="How the exchange itself closed position: liquidation, ADL, …",
                max_length=24,
            ),
        ),
        migrations.AddField(
            "trioorder",
            "hold_seconds",
            models.PositiveIntegerField(
                blank=True, null=True, validators=[django.core.validators.MinValueValidator(1)]
            ),
        ),
    )
