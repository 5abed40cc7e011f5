"""A file of trios is read strictly, line by line, and written so that a spreadsheet runs nothing."""

from __future__ import annotations

from decimal import Decimal

import pytest

from exchange.types import OrderType, Side
from signals.domain.refusals import RefusalKind, SignalRefused, sentence
from signals.domain.terms import Terms
from signals.domain.trio_csv import BYTES_MAX, ROWS_MAX, read_rows, write_rows

HEAD = "account,symbol,side,quantity,stop_loss,take_profit\n"


def test_a_line_is_read_with_and_without_what_may_be_left_out() -> None:
    content = (
        "\ufeffaccount;symbol;side;quantity;price;time_in_force;stop_loss;take_profit;protection\n"
        "desk;BTC/USDT:USDT;buy;0.010;99000.5;GTX;95000;110000;ON_FIRST_FILL\n"
        "\n"
        "desk;ADAUSDT.P;SELL;20;;;0.5;0.4;\n"
    )
    first, second = read_rows(content.encode())

    assert (first.number, first.symbol, first.side, first.quantity) == (
        2,
        "BTCUSDT",
        Side.BUY,
        Decimal("0.010"),
    )
    assert first.terms is not None
    assert (first.terms.entry_type, first.terms.price, first.terms.time_in_force) == (
        OrderType.LIMIT,
        Decimal("99000.5"),
        "GTX",
    )
    assert (second.number, second.symbol, second.problems) == (4, "ADAUSDT", ())
    assert second.terms is not None
    assert second.terms.entry_type is OrderType.MARKET


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('desk,XRPUSDT,BUY,"13,75",0.50,0.56', "has a comma. Write 13.75 if that is meant"),
        ("desk,XRPUSDT,BUY,1e400,0.50,0.56", "too many digits"),
        ("desk,XRPUSDT,BUY,NaN,0.50,0.56", "not a number"),
        ("desk,XRPUSDT,HOLD,1,0.50,0.56", "side is 'HOLD'"),
        ("desk,,BUY,1,0.50,0.56", "symbol is ''"),
        (",XRPUSDT,BUY,1,0.50,0.56", "account is empty"),
        ("desk,XRPUSDT,BUY,1,0,0.56", "greater than zero"),
        ("desk,XRPUSDT,BUY,1,0.50", "5 cells"),
        ("desk,XRPUSDT,BUY,13,75,0.50,0.56", "7 cells"),
    ],
)
def test_a_line_that_is_wrong_says_why_and_the_others_are_read(line: str, words: str) -> None:
    wrong, right = read_rows(f"{HEAD}{line}\ndesk,ADAUSDT,BUY,20,0.4,0.5\n".encode())

    assert words in " ".join(wrong.problems)
    assert wrong.terms is None
    assert right.problems == ()


def test_all_that_is_wrong_in_a_line_is_said() -> None:
    (row,) = read_rows(f"{HEAD}desk,x y,HOLD,-1,a,b\n".encode())
    assert len(row.problems) == 5


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "empty"),
        (b"  \n", "empty"),
        (b"\xff\xfe\x00", "not UTF-8"),
        (b"account\0", "not text"),
        (HEAD.encode(), "no rows"),
        (b"symbol,side\nBTCUSDT,BUY\n", "the column account is missing"),
        (b"account,account\nx,y\n", "comes twice"),
        (HEAD.replace("\n", ",=cmd\n").encode() + b"x\n", "is not a column"),
        (b'account,"sym\n', "not CSV"),
        (HEAD.encode() + b"d,BTCUSDT,BUY,1,1,1\n" * (ROWS_MAX + 1), "501 rows"),
        (b"x" * (BYTES_MAX + 1), "bytes"),
        (b"PK\x03\x04\x14", "is not a column"),
        (HEAD.encode("utf-16"), "not UTF-8"),
        (HEAD.encode("utf-16-le"), "not text"),
        ((HEAD.strip() + ",quantity\n").encode() + b"x\n", "comes twice"),
    ],
)
def test_what_is_no_file_of_trios_is_refused_as_a_whole(content: bytes, words: str) -> None:
    with pytest.raises(SignalRefused) as refused:
        read_rows(content)
    assert refused.value.kind is RefusalKind.FILE_WRONG
    assert words in sentence(refused.value.kind, refused.value.facts)


def test_what_was_written_is_read_again_and_no_formula_runs() -> None:
    row = {
        "account": "=HYPERLINK(1)",
        "symbol": "BTCUSDT",
        "side": "BUY",
        "quantity": "1",
        "stop_loss": "1",
        "take_profit": "2",
    }
    text = write_rows([row, row | {"account": "@x"}])

    assert "\n=" not in text
    assert "'=HYPERLINK(1)" in text
    first, second = read_rows(text.encode())
    assert (first.account, second.account) == ("=HYPERLINK(1)", "@x")


def test_a_trigger_makes_a_stop_entry() -> None:
    head = HEAD.strip() + ",trigger_price,price\n"
    lines = "desk,BTCUSDT,BUY,0.01,90000,110000,{}\n"
    content = head + "".join(lines.format(cells) for cells in (",", ",99000", "101000,", "101000,101100"))
    rows = read_rows(content.encode())

    terms = [row.terms for row in rows if row.terms is not None]
    assert [said.entry_type for said in terms] == ["MARKET", "LIMIT", "STOP_MARKET", "STOP"]
    assert [said.trigger for said in terms] == [None, None, Decimal("101000"), Decimal("101000")]
    assert [Terms.from_json(said.as_json()) for said in terms] == terms
    (wrong,) = read_rows((head + lines.format("soon,")).encode())
    assert "trigger_price is not a number" in wrong.problems[0]


def test_empty_lines_before_the_head_change_nothing_of_how_it_is_read() -> None:
    (row,) = read_rows(
        f"\r\n\r\n{HEAD.strip().replace(',', ';')}\r\ndesk;XRPUSDT;BUY; 13.7 ;0.50;0.56\r\n".encode()
    )
    assert (row.number, row.problems, row.quantity) == (4, (), Decimal("13.7"))


def test_a_quoted_line_break_is_part_of_its_cell_and_lines_count_as_in_an_editor() -> None:
    odd, fine = read_rows(f'{HEAD}"de\nsk",ADAUSDT,BUY,20,0.4,0.5\ndesk,ADAUSDT,BUY,20,0.4,0.5\n'.encode())
    assert (odd.account, fine.account, fine.number) == ("de\nsk", "desk", 4)


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("1e3", "1000"), ("1E-2", "0.01"), (" 20 ", "20"), ("+20", "20"), ("'+20", "20"),
        ("1 000", None), ("1'000", None), ('"1,000"', None), ('"1.000,5"', None), ("1.000.000", None), ("0x1F", None), ("20%", None),
        ("=10+10", None), ("-20", None), ("", None), ("\u2212" + "5", None),
    ],
)  # fmt: skip
def test_a_quantity_is_the_number_that_was_written_or_none(written: str, meant: str | None) -> None:
    (row,) = read_rows(f"{HEAD}desk,ADAUSDT,BUY,{written},0.4,0.5\n".encode())
    assert bool(row.problems) is (meant is None)
    assert meant is None or row.quantity == Decimal(meant)
