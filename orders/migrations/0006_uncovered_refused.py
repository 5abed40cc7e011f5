from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = (("orders", "0005_journal_sealed"),)

    operations = (
        migrations.AddField(
            "trioorder",
            "uncovered_refused_ms",
            models.BigIntegerField(
                default=0,
                help_text="The part of it in which the exchange refused or lost a stop or exit of this trio.",
            ),
        ),
    )
