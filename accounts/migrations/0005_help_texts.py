"""Help texts speak of open trios. Nothing changes in the database."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('accounts', '0004_egress_limits'),
    ]

    operations = [
        migrations.AlterField(
            model_name='exchangeaccount',
            name='is_active',
            field=models.BooleanField(default=True, help_text='New trios are accepted. Open trios are protected either way.', verbose_name='active'),
        ),
        migrations.AlterField(
            model_name='exchangeaccount',
            name='setting_change',
            field=models.CharField(blank=True, choices=[('MULTI_ASSETS', 'multi-assets mode switched on'), ('POSITION_MODE', 'position mode switched')], editable=False, help_text='A setting on the exchange no longer fits the open trios; nothing new is opened meanwhile.', max_length=16, verbose_name='changed on the exchange'),
        ),
        migrations.AlterField(
            model_name='historicalexchangeaccount',
            name='is_active',
            field=models.BooleanField(default=True, help_text='New trios are accepted. Open trios are protected either way.', verbose_name='active'),
        ),
        migrations.AlterField(
            model_name='historicalexchangeaccount',
            name='setting_change',
            field=models.CharField(blank=True, choices=[('MULTI_ASSETS', 'multi-assets mode switched on'), ('POSITION_MODE', 'position mode switched')], editable=False, help_text='A setting on the exchange no longer fits the open trios; nothing new is opened meanwhile.', max_length=16, verbose_name='changed on the exchange'),
        ),
        migrations.AlterField(
            model_name='symbolsetting',
            name='margin_type_was',
            field=models.CharField(blank=True, editable=False, help_text='The margin type before a change that open trios have not asked about yet.', max_length=8),
        ),
    ]
