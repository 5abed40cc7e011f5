import django.core.validators
from decimal import Decimal
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('orders', '0024_books'),
    ]

    operations = [
        migrations.AlterField(
            model_name='trioorder',
            name='entry_type',
            field=models.CharField(choices=[('MARKET', 'MARKET'), ('LIMIT', 'LIMIT'), ('STOP_MARKET', 'STOP_MARKET'), ('STOP', 'STOP')], default='MARKET', max_length=11),
        ),
        migrations.AddField(
            model_name='trioorder',
            name='trigger_price',
            field=models.DecimalField(blank=True, decimal_places=16, help_text='The mark price that a stop entry waits for.', max_digits=38, null=True, validators=[django.core.validators.MinValueValidator(Decimal('1E-16'), 'must be greater than zero')]),
        ),
    ]
