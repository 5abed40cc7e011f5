"""Files of trios: seen row by row, confirmed as seen, all or nothing, and each row once."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import transaction
from django.test import Client
from django.urls import reverse

from orders.models import TrioOrder
from signals.domain.refusals import RefusalKind, SignalRefused
from signals.files import file_confirm, file_made, file_preview, trios_export
from signals.models import Signal, SignalResult, SizingRule, TrioFile
from signals.services import signal_record
from tests.builders import Desk
from tests.unit.orders.conftest import KEY, SECRET
from tests.unit.orders.operators import BACKEND, SUBMITTED, a_superuser, told
from worker.signal_execution import signals_execute

D = Decimal
HEAD = "account,symbol,side,quantity,stop_loss,take_profit\n"
ADA = "desk,ADAUSDT,BUY,20,0.4400,0.4700\n"
XRP = "desk,XRPUSDT,BUY,{},0.5000,0.5400\n"
LINK = "desk,LINKUSDT,BUY,2.00,13.000,15.000\n"


@pytest.fixture
def market(transactional_db: None) -> Iterator[Desk]:
    """ADA at 0.45, XRP (0.0001 / 0.1) at 0.512, LINK (0.01) at 14."""
    from accounts import endpoints
    from accounts.services import account_add
    from orders.exchange_data.symbol_sync import symbols_sync
    from simulator import Simulator
    from simulator.transport import InProcessAdapter

    prices = {"ADAUSDT": "0.4500", "XRPUSDT": "0.5120", "LINKUSDT": "14.000"}
    simulated = Simulator(symbols=set(prices))
    for symbol, price in prices.items():
        simulated.set_price(symbol, price)
    endpoints.use_transport("PAPER", InProcessAdapter(simulated))
    simulated.add_account("desk", KEY, SECRET, balance="100000", position_mode="ONE_WAY")
    symbols_sync("PAPER")
    account = account_add(name="desk", environment="PAPER", api_key=KEY, api_secret=SECRET)
    yield Desk(simulated, account, KEY).watched()
    endpoints.use_transport("PAPER", None)


def uploaded(text: str, name: str = "a.csv") -> TrioFile:
    file = file_made(name=name, content=text.encode())
    file.save()
    return file


def confirmed(file: TrioFile) -> int:
    new = file_confirm(file.pk, token=file_preview(file).token, by="anna")
    signals_execute(list(Signal.objects.values_list("pk", flat=True)))
    return new


def problems(file: TrioFile) -> list[tuple[str, ...]]:
    return [row.problems for row in file_preview(file).rows]


def test_a_wrong_row_places_nothing_and_after_mending_each_is_placed_once(market: Desk) -> None:
    # Case 23: a decimal comma in the second row
    wrong = uploaded(HEAD + ADA + XRP.format('"13,75"') + LINK)
    assert [bool(row) for row in problems(wrong)] == [False, True, False]
    assert "has a comma. Write 13.75" in problems(wrong)[1][0]
    with pytest.raises(SignalRefused) as refused:
        confirmed(wrong)
    assert refused.value.kind is RefusalKind.FILE_ROWS_WRONG
    assert (Signal.objects.count(), TrioOrder.objects.count()) == (0, 0)

    # and 13.75 is off the step
    off = uploaded(HEAD + ADA + XRP.format("13.75") + LINK)
    assert "use 13.7 or 13.8" in problems(off)[1][0]

    # When it is mended
    mended = uploaded(HEAD + ADA + XRP.format("13.7") + LINK)
    assert problems(mended) == [(), (), ()]
    assert confirmed(mended) == 3

    # Then three trios are placed, and the same file again, under another name, places none
    placed = TrioOrder.objects.order_by("symbol__symbol").values_list("symbol__symbol", "source", "quantity")
    assert list(placed) == [
        ("ADAUSDT", "file:csv", D(20)), ("LINKUSDT", "file:csv", D(2)), ("XRPUSDT", "file:csv", D("13.7")),
    ]  # fmt: skip
    assert set(SignalResult.objects.values_list("outcome", flat=True)) == {"PLACED"}
    assert market.simulator.position("XRPUSDT").quantity == D("13.7")
    assert confirmed(mended) == 0
    assert confirmed(uploaded(HEAD + ADA + XRP.format("13.7") + LINK, name="b.csv")) == 0
    assert TrioOrder.objects.count() == 3


def test_what_is_confirmed_is_what_was_seen(market: Desk) -> None:
    file = uploaded(HEAD + ADA)
    token = file_preview(file).token
    TrioFile.objects.filter(pk=file.pk).update(content=(HEAD + ADA.replace("20", "2000")).encode())

    for said in (token, "", "x"):
        with pytest.raises(SignalRefused) as refused:
            file_confirm(file.pk, token=said, by="anna")
        assert refused.value.kind is RefusalKind.FILE_CHANGED
    assert not Signal.objects.exists()


def test_nothing_is_half_imported_when_the_database_fails_in_between(
    market: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = uploaded(HEAD + ADA + LINK)
    token = file_preview(file).token
    calls: list[Any] = []

    def breaks(**said: Any) -> Any:
        calls.append(said)
        if len(calls) == 2:
            raise RuntimeError("gone")
        return signal_record(**said)

    with monkeypatch.context() as patched:
        patched.setattr("signals.files.signal_record", breaks)
        with pytest.raises(RuntimeError):
            file_confirm(file.pk, token=token, by="anna")

    assert not Signal.objects.exists()
    assert confirmed(file) == 2


def test_rows_of_one_slot_and_of_no_account_are_named(market: Desk) -> None:
    file = uploaded(HEAD + ADA + ADA.replace("20", "30") + ADA.replace("desk", "nobody"))
    assert problems(file)[0] == ()
    assert "wanted by another one before it" in problems(file)[1][0]
    assert "no account 'nobody'" in problems(file)[2][0]


def test_the_balance_is_read_once_for_all_rows_of_an_account(market: Desk) -> None:
    file = uploaded(HEAD + ADA + XRP.format("13.7") + LINK)
    before = sum(e.path.endswith("/balance") for e in market.simulator.log)
    token = file_preview(file).token
    assert sum(e.path.endswith("/balance") for e in market.simulator.log) == before + 1
    file_confirm(file.pk, token=token, by="anna")
    signals_execute(list(Signal.objects.values_list("pk", flat=True)))
    assert sum(e.path.endswith("/balance") for e in market.simulator.log) == before + 3


def test_trios_are_exported_in_the_form_in_which_they_are_read(market: Desk) -> None:
    confirmed(uploaded(HEAD + ADA))
    text = trios_export()
    assert text.splitlines()[1] == "desk,ADAUSDT,BUY,20,,,,0.44,0.47,PRE_ARMED"


def test_a_ladder_is_left_out_of_a_file_which_has_no_columns_for_its_rungs(market: Desk) -> None:
    rungs = [{"price": "0.44", "share": "50"}, {"price": "0.43", "share": "50"}]
    market.a_trio("ADAUSDT", quantity=D(40), entry_type="LIMIT", price=D("0.44"), rungs=rungs)
    assert len(trios_export().splitlines()) == 1


def test_a_trigger_in_a_file_places_a_stop_entry(market: Desk) -> None:
    head = HEAD.strip() + ",trigger_price,price,protection\n"
    passed = uploaded(head + "desk,ADAUSDT,BUY,20,0.43,0.47,0.4400,,ON_FIRST_FILL\n")
    assert "0.4501 is the nearest valid trigger price" in problems(passed)[0][0]

    rows = "desk,ADAUSDT,BUY,20,0.44,0.47,0.4550,,ON_FIRST_FILL\ndesk,LINKUSDT,SELL,2.00,15.000,13.000,13.900,13.890,\n"
    assert confirmed(uploaded(head + rows)) == 2

    link, ada = TrioOrder.objects.order_by("-symbol__symbol")
    assert (ada.entry_type, ada.trigger_price, ada.price) == ("STOP_MARKET", D("0.4550"), None)
    assert (link.entry_type, link.trigger_price, link.price) == ("STOP", D("13.900"), D("13.890"))
    assert {trio.state for trio in (ada, link)} == {"WORKING"}
    assert "desk,LINKUSDT,SELL,2,13.9,13.89,GTC,15,13," in trios_export()


# --- the pages ------------------------------------------------------------------------------------


def page(name: str, *args: Any) -> str:
    return reverse(f"admin:signals_{name}", args=args)


def send(client: Client, text: str) -> Any:
    return client.post(page("triofile_add"), {"upload": SimpleUploadedFile("a.csv", text.encode())})


def token_of(response: Any) -> str:
    return str(response.context["form"].fields["token"].initial)


def test_a_file_is_uploaded_seen_confirmed_and_followed(market: Desk) -> None:
    anna = a_superuser("anna")
    send(anna, HEAD + ADA)
    file = TrioFile.objects.get()
    assert (file.name, file.rows, file.uploaded_by and file.uploaded_by.get_username()) == (
        "a.csv",
        1,
        "anna",
    )
    assert "All rows are valid" in anna.get(page("triofile_change", file.pk)).content.decode()

    dialog = anna.get(page("triofile_confirm", file.pk))
    assert "ADAUSDT" in dialog.content.decode()
    answer = anna.post(page("triofile_confirm", file.pk), SUBMITTED | {"token": token_of(dialog)})
    assert told(answer) == ["1 trio is on the way: reload this page to see what became of each."]
    assert "0 of 1 done" in anna.get(page("triofile_change", file.pk)).content.decode()
    signals_execute(list(Signal.objects.values_list("pk", flat=True)))
    assert "1 of 1 done" in anna.get(page("triofile_change", file.pk)).content.decode()

    again = anna.post(page("triofile_confirm", file.pk), SUBMITTED | {"token": token_of(dialog)})
    assert told(again) == ["These rows were placed before: nothing was placed now."]
    export = anna.get(page("triofile_download"))
    assert export.headers["Content-Disposition"] == 'attachment; filename="trios.csv"'
    assert "ADAUSDT" in export.content.decode()


def test_on_the_pages_a_wrong_row_places_nothing_and_a_repeated_file_says_so(market: Desk) -> None:
    anna = a_superuser("anna")

    def upload(row: str) -> tuple[str, Any]:
        """Upload a file with this second row; return what its page says, and its dialog."""
        send(anna, HEAD + ADA + XRP.format(row) + LINK)
        file = TrioFile.objects.latest("pk")
        shown = anna.get(page("triofile_change", file.pk)).content.decode()
        return shown, page("triofile_confirm", file.pk)

    # Given a decimal comma in the second row, and then a quantity that is off the step
    for row, says in (('"13,75"', "Write 13.75"), ("13.75", "use 13.7 or 13.8")):
        shown, confirm = upload(row)
        assert says in shown
        assert "All rows are valid" not in shown
        anna.post(confirm, SUBMITTED | {"token": file_preview(TrioFile.objects.latest("pk")).token})
        assert (Signal.objects.count(), TrioOrder.objects.count()) == (0, 0)

    # When it is mended and confirmed, then three trios are placed; the same file again places none and says so
    shown, confirm = upload("13.7")
    assert "All rows are valid" in shown
    answer = anna.post(confirm, SUBMITTED | {"token": token_of(anna.get(confirm))})
    assert told(answer) == ["3 trios are on the way: reload this page to see what became of each."]
    signals_execute(list(Signal.objects.values_list("pk", flat=True)))
    assert sorted(TrioOrder.objects.values_list("symbol__symbol", "quantity")) == [
        ("ADAUSDT", D(20)), ("LINKUSDT", D(2)), ("XRPUSDT", D("13.7")),
    ]  # fmt: skip
    _, confirm = upload("13.7")
    again = anna.post(confirm, SUBMITTED | {"token": token_of(anna.get(confirm))})
    assert told(again) == ["These rows were placed before: nothing was placed now."]
    assert TrioOrder.objects.count() == 3


@pytest.mark.parametrize("text", ["", "nonsense", "account\n", HEAD])
def test_what_is_no_file_of_trios_is_refused_in_the_form(market: Desk, text: str) -> None:
    response = send(a_superuser(), text)
    assert "upload" in response.context["adminform"].form.errors
    assert not TrioFile.objects.exists()


def test_who_may_not_place_confirms_nothing(market: Desk) -> None:
    file = uploaded(HEAD + ADA)
    user = User.objects.create_user("clerk", password="x", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename="add_triofile"))
    clerk = Client()
    clerk.force_login(user, backend=BACKEND)

    assert clerk.get(page("triofile_change", file.pk)).status_code == 200
    token = file_preview(file).token
    assert clerk.post(page("triofile_confirm", file.pk), SUBMITTED | {"token": token}).status_code == 403
    assert clerk.get(page("triofile_download")).status_code == 302
    assert not Signal.objects.exists()


def test_a_sizing_rule_is_entered(market: Desk) -> None:
    a_superuser().post(
        page("sizingrule_add"),
        {"account": market.account.pk, "kind": "RISK", "value": "0.5", "slippage": "0.1"},
    )
    assert SizingRule.objects.get().size.value == D("0.5")
    with transaction.atomic():
        assert SizingRule.objects.get().history.count() == 1
