"""Columns and tables for the chain of hashes over the journal, for sightings and for anchors."""

import django.db.models.deletion
from django.db import migrations, models

HASH = {"max_length": 64}
KEY = models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")


def line(model_name, name, field):
    """Add a column that rows from before the chain get filled in the next migration."""
    return migrations.AddField(model_name=model_name, name=name, field=field, preserve_default=False)


class Migration(migrations.Migration):
    dependencies = [("orders", "0003_holding_time")]
    operations = [
        migrations.AddField("trioorder", "journal_head", models.CharField(blank=True, default="", **HASH), preserve_default=False),
        migrations.AddField("trioorder", "journal_length", models.PositiveIntegerField(default=0)),
        migrations.AddField("trioorder", "journal_at", models.DateTimeField(blank=True, null=True)),
        migrations.AddField("install", "anchors", models.PositiveBigIntegerField(default=0)),
        migrations.AddField("install", "anchor_head", models.CharField(blank=True, default="", **HASH), preserve_default=False),
        line("request", "position", models.PositiveIntegerField(default=0)),
        line("request", "previous_hash", models.CharField(default="", **HASH)),
        line("request", "hash", models.CharField(default="", **HASH)),
        line("outcome", "position", models.PositiveIntegerField(default=0)),
        line("outcome", "previous_hash", models.CharField(default="", **HASH)),
        line("outcome", "hash", models.CharField(default="", **HASH)),
        line("outcome", "received_ts", models.BigIntegerField(default=0)),
        line("outcome", "trio_state", models.CharField(blank=True, default="", max_length=12)),
        migrations.AddField(
            "outcome",
            "trio",
            models.ForeignKey(
                null=True, on_delete=django.db.models.deletion.PROTECT, related_name="outcomes", to="orders.trioorder"
            ),
        ),
        migrations.CreateModel(
            name="Sighting",
            fields=[
                ("id", KEY.clone()),
                ("position", models.PositiveIntegerField()),
                ("previous_hash", models.CharField(**HASH)),
                ("hash", models.CharField(**HASH)),
                (
                    "source",
                    models.CharField(
                        choices=[
                            (word, word) for word in ("ANSWER", "EVENT", "LIST", "LOOK_UP", "ABSENCE", "BOOKS")
                        ],
                        max_length=8,
                    ),
                ),
                ("certain", models.BooleanField(default=False)),
                ("facts", models.JSONField()),
                ("seen_at", models.DateTimeField()),
                (
                    "leg",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="sightings", to="orders.leg"
                    ),
                ),
                (
                    "trio",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="sightings",
                        to="orders.trioorder",
                    ),
                ),
            ],
            options={"ordering": ("id",)},
        ),
        migrations.CreateModel(
            name="JournalAnchor",
            fields=[
                ("id", KEY.clone()),
                ("number", models.PositiveBigIntegerField(unique=True)),
                ("minute", models.DateTimeField(unique=True)),
                ("trios", models.PositiveBigIntegerField()),
                ("rows", models.PositiveBigIntegerField()),
                ("previous_hash", models.CharField(**HASH)),
                ("hash", models.CharField(**HASH)),
            ],
            options={"ordering": ("number",)},
        ),
        migrations.CreateModel(
            name="AnchoredHead",
            fields=[
                ("id", KEY.clone()),
                ("trio", models.BigIntegerField()),
                ("start", models.PositiveIntegerField()),
                ("length", models.PositiveIntegerField()),
                ("head", models.CharField(**HASH)),
                (
                    "anchor",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="heads",
                        to="orders.journalanchor",
                    ),
                ),
            ],
            options={"ordering": ("anchor", "trio")},
        ),
    ]
