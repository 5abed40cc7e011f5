"""A question to a person becomes a kind and its facts; it was kept as a sentence, and compared as one.

The sentences are those of 0.1 and before. What cannot be understood is kept word for word as OTHER. An order's
refusal loses the words that were ours around the exchange's: the journal, which is hashed, keeps them.
"""

import re

from django.db import migrations, models

REFUSAL = re.compile(
    r"(?:The exchange refuses this account: )?(?P<words>.*) \((?:code (?P<code>-?\d+)|status \d+)\)\.?"
    r"(?: Check the API key, its permissions and IP list\.?)?",
    re.DOTALL,
)
SEEN = r".*\(Seen (?P<seen>[\d: -]+ UTC)\.\)"
MODES_CHANGED = r"The account's settings were changed on the exchange: "
# fmt: off
FORMS = [
    ("TARGET_REFUSED", r"The exchange refused the take-profit \((?P<text>.*), (?P<code>-?\d+)\)\. The stop-loss stays\..*"),
    ("EXIT_REFUSED", r"The exchange keeps refusing to close the position.*"),
    ("DUST", r"A rest of (?P<quantity>\S+) is smaller than the smallest order.*"),
    ("KEY_REFUSED", r"The exchange refuses the account's API key \((?P<text>.*)\)\. Mend it.*"),
    ("MULTI_ASSETS_ON", MODES_CHANGED + r"multi-assets mode is on for “(?P<account>.*)”, under which" + SEEN),
    ("POSITION_MODE_CHANGED", MODES_CHANGED + r"“(?P<account>.*)” is in (?P<position_mode>one-way mode|hedge mode) now,"
                              r" but what lives there was placed in (?P<placed_in>one-way mode|hedge mode)\." + SEEN),
    ("MARGIN_TYPE_CHANGED", r"The margin type was changed on the exchange: (?P<symbol>\S+) on “(?P<account>.*)” is"
                            r" (?P<margin_type>\w+) now, it was (?P<was>\w+)\." + SEEN),
    ("SYMBOL_STOPPED", r"The symbol does not trade now: (?P<symbol>\S+) is (?P<status>\w+)"
                       r"(?: since (?P<since>[\d: -]+ UTC))?\. Nothing new.*"),
    ("FAILURE", r"Something in this system went wrong.*"),
    ("ACCOUNT_UNREACHABLE", r"(?P<text>.*stored API key.*)"),
    ("OTHER", r"(?P<text>.*)"),
]
# fmt: on
KINDS = [
    "TARGET_REFUSED", "EXIT_REFUSED", "DUST", "KEY_REFUSED", "ACCOUNT_UNREACHABLE", "POSITION_MODE_CHANGED",
    "MULTI_ASSETS_ON", "MARGIN_TYPE_CHANGED", "SYMBOL_STOPPED", "FAILURE", "OTHER",
]  # fmt: skip


def understood(sentence):
    """Return the kind and facts of a sentence of 0.1."""
    for kind, pattern in FORMS:
        if found := re.fullmatch(pattern, sentence, re.DOTALL):
            facts = found.groupdict()
            if "code" in facts:
                facts["code"] = int(facts["code"])
            if kind in ("TARGET_REFUSED", "KEY_REFUSED") and (said := REFUSAL.fullmatch(facts["text"])):
                facts |= {"text": said["words"], "code": facts.get("code") or int(said["code"] or 0)}
            if kind == "SYMBOL_STOPPED":
                facts["since"] = facts["since"] or "not known"
            return kind, facts
    raise AssertionError("the last form takes any sentence")


def to_data(apps, schema_editor):
    Leg, TrioOrder, TrioEvent = (apps.get_model("orders", name) for name in ("Leg", "TrioOrder", "TrioEvent"))
    for leg in Leg.objects.exclude(refused_text="").iterator():
        if said := REFUSAL.fullmatch(leg.refused_text):
            Leg.objects.filter(pk=leg.pk).update(refused_text=said["words"])
    for trio in TrioOrder.objects.exclude(question="").only("pk", "question").iterator():
        kind, facts = understood(trio.question)
        if kind == "EXIT_REFUSED":
            refused = Leg.objects.filter(trio=trio, role="EXIT").exclude(refused_code=0).order_by("id").last()
            if refused is not None:
                facts = {"text": refused.refused_text, "code": refused.refused_code}
        TrioOrder.objects.filter(pk=trio.pk).update(question_kind=kind, question_facts=facts)
    for event in TrioEvent.objects.filter(kind="question", data={}).iterator():
        kind, facts = understood(event.text)
        TrioEvent.objects.filter(pk=event.pk).update(data={"question": kind, "facts": facts})


class Migration(migrations.Migration):
    dependencies = (("orders", "0008_symbol_status_since"), ("accounts", "0003_setting_change"))

    operations = (
        migrations.AddField(
            "trioorder",
            "question_kind",
            models.CharField(max_length=24, blank=True, default="", choices=[(kind, kind) for kind in KINDS]),
            preserve_default=False,
        ),
        migrations.AddField("trioorder", "question_facts", models.JSONField(null=True, blank=True)),
        migrations.RunPython(to_data, migrations.RunPython.noop),
        migrations.RemoveField("trioorder", "question"),
    )
