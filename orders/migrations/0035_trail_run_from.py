import django.core.validators
from decimal import Decimal
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('orders', '0034_entry_ladder'),
    ]

    operations = [
        migrations.AddField(
            model_name='trail',
            name='run_from',
            field=models.DecimalField(decimal_places=16, max_digits=38, null=True, validators=[django.core.validators.MinValueValidator(Decimal('1E-16'), 'must be greater than zero')]),
        ),
    ]
