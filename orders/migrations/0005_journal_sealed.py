"""Chain what was journaled before there was a chain; from here on the database guards it.

Rows from before are vouched for as they are found now. A leg's sightings from before were not kept: what
the books say of it now stands for them.
"""

from django.db import migrations, models

import django.db.models.deletion

from orders.domain.hash_chain import BEGINNING, digest, moment

FACTS = (
    "state", "form", "quantity", "filled", "average_price", "acknowledged", "late", "order_id", "algo_id",
    "refused_code", "refused_text", "accepted_ts", "triggered_ts", "filled_ts", "ended_ts", "seen_ts",
)
CHAINED = ("orders_request", "orders_outcome", "orders_sighting")
KEPT = ("orders_sighting", "orders_journalanchor", "orders_anchoredhead")


def says_request(row):
    return {
        "row": "REQUEST", "leg": row.leg.client_id, "kind": row.kind, "method": row.method, "path": row.path,
        "payload": row.payload, "payload_hash": row.payload_hash, "timestamp": row.timestamp,
        "recv_window": row.recv_window, "timeout_ms": row.timeout_ms, "begun_at": moment(row.begun_at),
        "asked_by": row.asked_by,
    }


def says_outcome(row, request_hash):
    return {
        "row": "OUTCOME", "request": request_hash, "verdict": row.verdict, "status": row.status,
        "code": row.code, "message": row.message, "latency_ms": row.latency_ms, "trio_state": row.trio_state,
        "received_ts": row.received_ts, "received_at": moment(row.received_at),
    }


def says_books(row, client_id):
    return {
        "row": "SIGHTING", "leg": client_id, "source": row.source, "certain": row.certain,
        "facts": row.facts, "seen_at": moment(row.seen_at),
    }


def amount(value):
    return format(value, "f") if hasattr(value, "as_tuple") else value


def seal(apps, schema_editor):
    TrioOrder, Leg = apps.get_model("orders", "TrioOrder"), apps.get_model("orders", "Leg")
    Request, Outcome = apps.get_model("orders", "Request"), apps.get_model("orders", "Outcome")
    Sighting = apps.get_model("orders", "Sighting")
    database = schema_editor.connection.alias
    with schema_editor.connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        (now,) = cursor.fetchone()
    trios = Request.objects.using(database).order_by("trio_id").values_list("trio_id", flat=True).distinct()
    for trio_id in list(trios):
        head, length, hashes = BEGINNING, 0, {}
        lines = [(r.begun_at, 0, r.pk, r) for r in Request.objects.filter(trio_id=trio_id).select_related("leg")]
        lines += [(o.received_at, 1, o.pk, o) for o in Outcome.objects.filter(request__trio_id=trio_id)]
        for _, answers, _, row in sorted(lines, key=lambda line: line[:3]):
            length += 1
            said = says_outcome(row, hashes[row.request_id]) if answers else says_request(row)
            row.position, row.previous_hash = length, head
            row.hash = head = digest({"trio": trio_id, "position": length} | said, previous=head)
            if answers:
                row.trio_id = trio_id
            else:
                hashes[row.pk] = head
            row.save()
        for leg in Leg.objects.filter(trio_id=trio_id).order_by("id"):
            length += 1
            facts = {name: amount(getattr(leg, name)) for name in FACTS}
            row = Sighting(
                trio_id=trio_id, leg=leg, position=length, previous_hash=head, source="BOOKS", certain=True,
                facts=facts, seen_at=now,
            )
            said = says_books(row, leg.client_id)
            row.hash = head = digest({"trio": trio_id, "position": length} | said, previous=head)
            row.save()
        TrioOrder.objects.filter(pk=trio_id).update(journal_head=head, journal_length=length, journal_at=now)
    with schema_editor.connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")  # tables with checks outstanding cannot be altered


def unseal(apps, schema_editor):
    """Nothing: the columns go with the migration before."""


OPEN = """
ALTER TABLE orders_request DISABLE TRIGGER append_only;
ALTER TABLE orders_outcome DISABLE TRIGGER append_only;
"""
SHUT = """
ALTER TABLE orders_request ENABLE TRIGGER append_only;
ALTER TABLE orders_outcome ENABLE TRIGGER append_only;
"""
GUARDS = """
CREATE FUNCTION journal_has_its_head() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM 1 FROM orders_trioorder WHERE id = NEW.trio_id AND (
        journal_length > NEW.position OR (journal_length = NEW.position AND journal_head = NEW.hash)
    );
    IF NOT FOUND THEN
        RAISE EXCEPTION 'line % of the journal of trio % was written without its head', NEW.position, NEW.trio_id
            USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NULL;
END $$;
CREATE FUNCTION journal_only_grows() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the journal of trio % only grows: % lines cannot become %',
        NEW.id, OLD.journal_length, NEW.journal_length USING ERRCODE = 'restrict_violation';
END $$;
CREATE TRIGGER journal_only_grows BEFORE UPDATE ON orders_trioorder FOR EACH ROW
    WHEN (
        NEW.journal_length < OLD.journal_length
        OR (NEW.journal_length = OLD.journal_length AND NEW.journal_head <> OLD.journal_head)
    )
    EXECUTE FUNCTION journal_only_grows();
""" + "".join(
    f"""
CREATE CONSTRAINT TRIGGER head_goes_along AFTER INSERT ON {table} DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION journal_has_its_head();
"""
    for table in CHAINED
) + "".join(
    f"""
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON {table}
    FOR EACH ROW EXECUTE FUNCTION journal_is_append_only();
"""
    for table in KEPT
)
NO_GUARDS = "".join(f"DROP TRIGGER append_only ON {table};" for table in KEPT) + "".join(
    f"DROP TRIGGER head_goes_along ON {table};" for table in CHAINED
) + """
DROP TRIGGER journal_only_grows ON orders_trioorder;
DROP FUNCTION journal_only_grows();
DROP FUNCTION journal_has_its_head();
"""


class Migration(migrations.Migration):
    dependencies = [("orders", "0004_journal_chain")]
    operations = [
        migrations.RunSQL(OPEN, SHUT),
        migrations.RunPython(seal, unseal),
        migrations.RunSQL(SHUT, OPEN),
        migrations.AlterField(
            "outcome",
            "trio",
            models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT, related_name="outcomes", to="orders.trioorder"
            ),
        ),
        migrations.AddIndex(
            "trioorder",
            models.Index(
                fields=["journal_at"], condition=models.Q(("journal_at__isnull", False)), name="trio_journaled"
            ),
        ),
        migrations.AddConstraint(
            "request", models.UniqueConstraint(fields=("trio", "position"), name="request_line_once")
        ),
        migrations.AddConstraint(
            "outcome", models.UniqueConstraint(fields=("trio", "position"), name="outcome_line_once")
        ),
        migrations.AddConstraint(
            "sighting", models.UniqueConstraint(fields=("trio", "position"), name="sighting_line_once")
        ),
        migrations.AddConstraint(
            "anchoredhead", models.UniqueConstraint(fields=("trio", "length"), name="head_anchored_once")
        ),
        migrations.RunSQL(GUARDS, NO_GUARDS),
    ]
