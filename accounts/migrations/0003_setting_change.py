"""What was switched at the exchange becomes a kind and a time; it was kept as a sentence."""

import re
from datetime import UTC, datetime

from django.db import migrations, models

SEEN = re.compile(r"\(Seen (\d{4}-\d{2}-\d{2} \d{2}:\d{2}:\d{2}) UTC\.\)")
CHOICES = [("MULTI_ASSETS", "multi-assets mode switched on"), ("POSITION_MODE", "position mode switched")]
HELP = "A setting at the exchange that differs from what lives here; nothing new is opened meanwhile."
MODELS = ("exchangeaccount", "historicalexchangeaccount")


def kinds(apps, schema_editor):
    for name in MODELS:
        model = apps.get_model("accounts", name)
        for row in model.objects.exclude(differs=""):
            seen = SEEN.search(row.differs)
            row.setting_change = "MULTI_ASSETS" if "multi-assets mode is on" in row.differs else "POSITION_MODE"
            row.setting_changed_at = (
                datetime.strptime(seen[1], "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC) if seen else None
            )
            row.save(update_fields=["setting_change", "setting_changed_at"])


class Migration(migrations.Migration):
    dependencies = (("accounts", "0002_changed_on_the_exchange"),)

    operations = (
        *(
            migrations.AddField(
                name,
                "setting_change",
                models.CharField(
                    "changed on the exchange",
                    max_length=16,
                    blank=True,
                    default="",
                    editable=False,
                    choices=CHOICES,
                    help_text=HELP,
                ),
                preserve_default=False,
            )
            for name in MODELS
        ),
        *(
            migrations.AddField(
                name, "setting_changed_at", models.DateTimeField(null=True, blank=True, editable=False)
            )
            for name in MODELS
        ),
        migrations.RunPython(kinds, migrations.RunPython.noop),
        *(migrations.RemoveField(name, "differs") for name in MODELS),
    )
