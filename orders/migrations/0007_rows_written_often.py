"""Let a trio's row be written without its indexes: that happens some twenty times in its life.

Room is left on each page, and no index holds what changes with every fact: PostgreSQL then writes the new
version of a row beside the old one.
"""

from django.contrib.postgres.indexes import BrinIndex
from django.db import migrations, models

OFTEN = ("orders_trioorder", "orders_leg", "orders_slot", "orders_watch", "orders_heartbeat")
ROOMY = "".join(f"ALTER TABLE {table} SET (fillfactor = 70);" for table in OFTEN)
DENSE = "".join(f"ALTER TABLE {table} RESET (fillfactor);" for table in OFTEN)


class Migration(migrations.Migration):
    dependencies = [("orders", "0006_uncovered_refused")]
    operations = [
        migrations.RemoveIndex("trioorder", "trio_due"),
        migrations.RemoveIndex("trioorder", "trio_journaled"),
        migrations.AddIndex(
            "trioorder",
            BrinIndex(
                autosummarize=True, fields=["journal_at"], name="trio_journaled", pages_per_range=8
            ),
        ),
        migrations.AddField(
            "trioorder",
            "awake",
            models.GeneratedField(
                db_persist=True,
                expression=models.Q(("wake_at__isnull", False)),
                output_field=models.BooleanField(),
            ),
        ),
        migrations.AddIndex(
            "trioorder",
            models.Index(condition=models.Q(("awake", True)), fields=["id"], name="trio_awake"),
        ),
        migrations.RunSQL(ROOMY, DENSE),
    ]
