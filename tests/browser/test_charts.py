"""Pictures of prices: of a trio, and beside the order form, whose lines are dragged in step with its fields."""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from accounts import endpoints
from exchange.types import OrderType, PositionMode, PositionSide, Side
from orders.domain.enums import Protection
from orders.domain.fitting import fitted
from orders.domain.snapshot import Rules, Spec
from orders.models import TrioOrder
from simulator import Simulator
from simulator.transport import InProcessAdapter
from tests.browser.sights import Picture, looked_at
from tests.browser.test_a_trios_life import choose_symbol
from tests.builders import Desk

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.fixture
def simulator() -> Iterator[Simulator]:
    """Two markets with very different ticks: 0.1 and 0.0000001."""
    simulated = Simulator(symbols={"BTCUSDT", "1000PEPEUSDT"})
    simulated.set_price("BTCUSDT", "100000")
    simulated.set_price("1000PEPEUSDT", "0.0095000")
    endpoints.use_transport("PAPER", InProcessAdapter(simulated))
    yield simulated
    endpoints.use_transport("PAPER", None)


def test_a_trios_page_shows_its_picture_its_money_and_what_comes_next(
    desk: Desk, signed_in: Page, live_server: Any, picture: Picture
) -> None:
    trio = desk.placed(desk.a_trio())
    desk.simulator.set_price("BTCUSDT", "101000")
    desk.sweep()
    page = signed_in
    page.goto(f"{live_server.url}/admin/orders/trioorder/{trio.pk}/change/")
    expect(page.locator("#trio-chart[data-drawn]")).to_be_visible()
    panel = page.locator("#trio-live")
    expect(panel).to_contain_text("Net PnL now")
    expect(panel).to_contain_text("Break-even of the trio")
    expect(panel).to_contain_text("First fill to stop acknowledged")
    expect(panel).to_contain_text("Waits")
    expect(panel.locator(".cover rect.cover--COVERED")).to_be_visible()
    expect(panel.locator(".cover svg")).to_have_attribute("aria-label", re.compile("covered from"))
    looked_at(page, picture, "63-trio")


def test_lines_are_dragged_in_step_with_the_form(
    desk: Desk, signed_in: Page, live_server: Any, picture: Picture
) -> None:
    page = signed_in
    page.goto(f"{live_server.url}/admin/orders/trioorder/add/")
    choose_symbol(page, "BTCUSDT")
    page.fill("#id_quantity", "0.010")
    page.fill("#id_stop_loss", "95000")
    page.fill("#id_take_profit", "110000")
    canvas = page.locator("#ticket-chart canvas")
    expect(canvas).to_be_visible()
    expect(page.locator("#ticket-preview")).to_contain_text("0.010 BTC")
    expect(canvas).to_have_attribute(
        "aria-label", "Prices, with Stop-loss 95000, Take-profit 110000, Mark 100000.0"
    )
    canvas.scroll_into_view_if_needed()

    # When the stop's line is dragged up, its field takes the price on the market's tick, and the figures follow
    def y_of(price: float) -> float:
        return float(
            page.evaluate(
                "(price) => Chart.getChart(document.querySelector('#ticket-chart canvas')).scales.y.getPixelForValue(price)",
                price,
            )
        )

    box = canvas.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 80, box["y"] + y_of(95000))
    page.mouse.down()
    page.mouse.move(box["x"] + 80, box["y"] + y_of(97000), steps=5)
    page.mouse.up()
    stop = page.input_value("#id_stop_loss")
    assert 96500 < float(stop) < 97500
    assert len(stop.partition(".")[2]) == 1, "in the market's own decimals"
    expect(page.locator("#ticket-preview")).to_contain_text(stop)
    expect(page.locator(".field-stop_loss .ticket-problem")).to_have_count(0)

    # And what is typed moves the line; an arrow key moves it by one tick
    page.fill("#id_take_profit", "109000.5")
    expect(canvas).to_have_attribute(
        "aria-label", f"Prices, with Stop-loss {stop}, Take-profit 109000.5, Mark 100000.0"
    )
    page.focus("#id_take_profit")
    page.keyboard.press("ArrowUp")
    assert page.input_value("#id_take_profit") == "109000.6"
    looked_at_width(page, picture)
    assert not TrioOrder.objects.exists()


def looked_at_width(page: Page, picture: Picture) -> None:
    for width in (390, 1440):
        page.set_viewport_size({"width": width, "height": 900})
        page.wait_for_timeout(300)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        picture(f"64-ticket-chart-{width}")


def test_sheets_and_positions_fit_each_width(
    desk: Desk, signed_in: Page, live_server: Any, picture: Picture
) -> None:
    trio = desk.placed(desk.a_trio())
    desk.sweep()
    page = signed_in
    page.goto(f"{live_server.url}/admin/orders/slot/?holds=open")
    expect(page.locator("#result_list")).to_contain_text("at 95000")
    looked_at(page, picture, "65-positions")
    for name, address in (("66-proof", f"{trio.pk}/proof/"), ("67-proof-day", "proof/")):
        page.goto(f"{live_server.url}/admin/orders/trioorder/{address}")
        for width in (390, 1440):
            page.set_viewport_size({"width": width, "height": 900})
            assert page.evaluate("document.documentElement.scrollWidth") <= width
            picture(f"{name}-{width}")


def lines_y(page: Page, price: str) -> float:
    """Return where a price is drawn beside the order form, from the canvas's top."""
    return float(
        page.evaluate(
            "(price) => Chart.getChart(document.querySelector('#ticket-chart canvas')).scales.y.getPixelForValue(Number(price))",
            price,
        )
    )


def carried_to(page: Page, field: str, price: str) -> tuple[float, float]:
    """Drag a field's line to a place that stands for exactly this price; return its y before and after it is let go."""
    canvas = page.locator("#ticket-chart canvas")
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 80, box["y"] + lines_y(page, page.input_value(field)))
    page.mouse.down()
    page.evaluate(
        "(price) => { Chart.getChart(document.querySelector('#ticket-chart canvas')).scales.y.getValueForPixel = () => price; }",
        float(price),
    )
    page.mouse.move(box["x"] + 80, box["y"] + lines_y(page, price), steps=3)
    before = lines_y(page, page.input_value(field))
    page.mouse.up()
    return before, lines_y(page, page.input_value(field))


BARS_ADDRESS = "**/trioorder/bars/**"


def a_ticket_of_another_market(page: Page, address: str) -> None:
    """Open an order form on BTCUSDT, see its lines, and change it to 1000PEPEUSDT."""
    page.goto(f"{address}/admin/orders/trioorder/add/")
    choose_symbol(page, "BTCUSDT")
    page.fill("#id_stop_loss", "95000")
    expect(page.locator("#ticket-chart canvas")).to_have_attribute("aria-label", re.compile("Mark 100000.0"))
    choose_symbol(page, "1000PEPEUSDT")


@pytest.mark.parametrize(("to", "on_tick"), [("0.00912347", "0.0091235"), ("0.00912342", "0.0091235")])
def test_a_line_of_the_market_changed_to_goes_to_its_tick_towards_safety_and_stays_where_it_is_let_go(
    desk: Desk, signed_in: Page, live_server: Any, to: str, on_tick: str
) -> None:
    # Given a form that was changed to a market of seven decimals
    page = signed_in
    a_ticket_of_another_market(page, live_server.url)
    canvas, preview = page.locator("#ticket-chart canvas"), page.locator("#ticket-preview")
    page.select_option("#id_entry_type", "LIMIT")
    page.fill("#id_price", "0.0095000")
    page.fill("#id_quantity", "12345.678")
    page.fill("#id_stop_loss", "0.0091000")
    page.fill("#id_take_profit", "0.0099000")
    page.click(".field-quantity .ticket-take:has-text('Use 12345')")
    expect(canvas).to_have_attribute("aria-label", re.compile("Stop-loss 0.0091000.*Mark 0.0095000"))

    # When its stop is dragged
    before, after = carried_to(page, "#id_stop_loss", to)

    # Then the field and the figures name the tick nearer to the entry, and the line did not jump
    assert page.input_value("#id_stop_loss") == on_tick
    expect(canvas).to_have_attribute("aria-label", re.compile("Mark 0.0095000"))
    for text in (on_tick, "117.2775", "-4.6478925"):
        expect(preview).to_contain_text(text)
    assert page.input_value("#id_quantity") == "12345"
    assert before == after
    ticks = page.evaluate(
        "() => Chart.getChart(document.querySelector('#ticket-chart canvas')).scales.y.ticks.map((tick) => tick.label)"
    )
    assert {len(label.partition(".")[2]) for label in ticks} == {7}

    # Nor does it when a price arrives
    desk.simulator.set_price("1000PEPEUSDT", "0.0095001")
    expect(canvas).to_have_attribute("aria-label", re.compile(f"Stop-loss {on_tick}.*Mark 0.0095001"))
    assert lines_y(page, on_tick) == after


def test_each_line_is_rounded_as_the_server_rounds_it(desk: Desk, signed_in: Page, live_server: Any) -> None:
    page = signed_in
    page.goto(f"{live_server.url}/admin/orders/trioorder/add/")
    choose_symbol(page, "BTCUSDT")
    page.select_option("#id_entry_type", "LIMIT")
    fields = {"stop_loss": "#id_stop_loss", "take_profit": "#id_take_profit", "price": "#id_price"}
    for side, lines in (
        ("BUY", {"stop_loss": "95000.0", "take_profit": "110000.0", "price": "98000.0"}),
        ("SELL", {"stop_loss": "110000.0", "take_profit": "95000.0", "price": "102000.0"}),
    ):
        page.select_option("#id_side", side)
        for name, line in lines.items():
            page.fill(fields[name], line)
        expect(page.locator("#ticket-chart canvas")).to_have_attribute(
            "aria-label", re.compile(f"Entry {lines['price']}, Stop-loss {lines['stop_loss']}.*Mark")
        )
        for off in ("0.02", "0.08"):
            levels = {name: Decimal(line) + Decimal(off) for name, line in lines.items()}
            by_server = fitted(
                Spec(
                    side=Side(side),
                    position_side=PositionSide.BOTH,
                    mode=PositionMode.ONE_WAY,
                    quantity=Decimal("0.010"),
                    entry_type=OrderType.LIMIT,
                    protection=Protection.ON_FIRST_FILL,
                    price=levels["price"],
                    stop_loss=levels["stop_loss"],
                    take_profit=levels["take_profit"],
                ),
                Rules("BTCUSDT", tick_size=Decimal("0.1"), step_size=Decimal("0.001")),
            )
            for name, level in levels.items():
                carried_to(page, fields[name], str(level))
                assert page.input_value(fields[name]) == str(getattr(by_server, name)), (side, name, off)


def test_no_line_is_dragged_by_the_rules_of_the_market_before(
    desk: Desk, signed_in: Page, live_server: Any, complaints: list[str]
) -> None:
    # Given a form whose new market the back office knows nothing of
    page = signed_in
    asked: list[str] = []

    def not_found(route: Any) -> None:
        asked.append(route.request.url)
        route.fulfill(status=404, body="There is no such symbol on that account's exchange.")

    page.goto(f"{live_server.url}/admin/orders/trioorder/add/")
    choose_symbol(page, "BTCUSDT")
    canvas = page.locator("#ticket-chart canvas")
    page.fill("#id_stop_loss", "95000")
    expect(canvas).to_have_attribute("aria-label", re.compile("Stop-loss 95000, Mark 100000.0"))
    page.route(BARS_ADDRESS, not_found)
    choose_symbol(page, "1000PEPEUSDT")
    page.fill("#id_stop_loss", "0.0091235")

    # When somebody goes on with it before and after the answer, by key and by hand
    expect(page.locator("#ticket-chart .chart-said")).to_contain_text("No line can be dragged")
    assert asked
    page.focus("#id_stop_loss")
    page.keyboard.press("ArrowUp")
    box = canvas.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 80, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(box["x"] + 80, box["y"] + box["height"] / 4, steps=5)
    page.mouse.up()

    # Then nothing is written on the old market's tick
    assert page.input_value("#id_stop_loss") == "0.0091235"
    assert canvas.get_attribute("aria-label") == "Prices"

    # And once its rules are here, its own tick counts
    page.unroute(BARS_ADDRESS)
    complaints.clear()
    expect(canvas).to_have_attribute("aria-label", re.compile("Stop-loss 0.0091235"))
    page.focus("#id_stop_loss")
    page.keyboard.press("ArrowUp")
    assert page.input_value("#id_stop_loss") == "0.0091236"
