from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = (("orders", "0009_questions_as_data"),)

    operations = (
        migrations.AddField("watch", "full_at", models.DateTimeField(null=True)),
        migrations.AddField("watch", "interval_ms", models.PositiveIntegerField(default=0)),
        migrations.AddField("watch", "stranger_conditionals", models.PositiveIntegerField(default=0)),
        migrations.AddField("watch", "failures", models.PositiveIntegerField(default=0)),
        migrations.AddField("watch", "failed_at", models.DateTimeField(null=True)),
        migrations.AddField("watch", "retry_at", models.DateTimeField(null=True)),
    )
