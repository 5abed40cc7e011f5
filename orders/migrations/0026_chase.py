import django.core.validators
import django.db.models.deletion
from decimal import Decimal
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('orders', '0025_stop_entries'),
    ]

    operations = [
        migrations.CreateModel(
            name='Chase',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('wanted_at', models.DateTimeField()),
                ('wanted_by', models.CharField(max_length=150)),
                ('since_ts', models.BigIntegerField()),
                ('heard_ts', models.BigIntegerField(help_text='Up to when every price is accounted for.')),
                ('end', models.CharField(blank=True, choices=[('DONE', 'DONE'), ('OFF', 'OFF'), ('REPLACED', 'REPLACED'), ('TRIO_ENDED', 'TRIO_ENDED')], max_length=10)),
                ('ended_at', models.DateTimeField(null=True)),
                ('ended_by', models.CharField(blank=True, max_length=150)),
                ('bound', models.DecimalField(decimal_places=16, max_digits=38, validators=[django.core.validators.MinValueValidator(Decimal('1E-16'), 'must be greater than zero')])),
                ('distance', models.DecimalField(decimal_places=16, max_digits=38, validators=[django.core.validators.MinValueValidator(Decimal('1E-16'), 'must be greater than zero')])),
                ('step', models.DecimalField(decimal_places=16, max_digits=38, validators=[django.core.validators.MinValueValidator(Decimal('1E-16'), 'must be greater than zero')])),
                ('trio', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='chases', to='orders.trioorder')),
            ],
            options={
                'ordering': ('id',),
            },
        ),
        migrations.AddConstraint(
            model_name='chase',
            constraint=models.UniqueConstraint(condition=models.Q(('end', '')), fields=('trio',), name='one_chase_a_trio'),
        ),
    ]
