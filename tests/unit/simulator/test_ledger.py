"""Money adds up to the last digit: balances, fees, funding and open profit, after every single step."""

from __future__ import annotations

import random
from decimal import Decimal
from typing import Any

import pytest

from simulator import Simulator
from simulator.engine.decimals import MONEY, ZERO
from tests.unit.simulator.support import KEY, SECRET, Clock, Desk, Refused


def worth_by_trades(simulator: Simulator, name: str) -> Decimal:
    """What an account must be worth, from its deposits, its trades and its ledger's other lines alone."""
    book = simulator.ex.books[name]
    worth = sum(book.account.deposited.values(), ZERO)
    held: dict[str, Decimal] = {}
    for fill in book.fills:
        signed = fill.quantity if fill.side == "BUY" else -fill.quantity
        worth = MONEY.subtract(worth, MONEY.multiply(signed, fill.price))
        worth = MONEY.subtract(worth, fill.commission)
        held[fill.symbol] = held.get(fill.symbol, ZERO) + signed
    for line in book.income:
        if line.type in ("FUNDING_FEE", "INSURANCE_CLEAR"):
            worth = MONEY.add(worth, line.amount)
    for symbol, amount in held.items():
        worth = MONEY.add(worth, MONEY.multiply(amount, simulator.ex.markets[symbol].mark))
    return worth


def worth_by_wallets(simulator: Simulator, name: str) -> Decimal:
    """What it is worth by its own wallets and open profit."""
    book = simulator.ex.books[name]
    worth = sum(book.account.wallets.values(), ZERO)
    for position in book.held.values():
        mark = simulator.ex.markets[position.symbol].mark
        worth = MONEY.add(worth, MONEY.subtract(MONEY.multiply(position.amount, mark), position.cost))
    return worth


def check_conservation(simulator: Simulator) -> None:
    for name, book in simulator.ex.books.items():
        assert worth_by_trades(simulator, name) == worth_by_wallets(simulator, name)
        ledger = sum((line.amount for line in book.income), ZERO)
        assert ledger == sum(book.account.wallets.values(), ZERO)


@pytest.mark.parametrize("seed", range(8))
def test_nothing_is_lost_or_made_whatever_happens(clock: Clock, seed: int) -> None:
    # Given two accounts, one in each mode, and a market that jumps about
    rng = random.Random(seed)
    simulator = Simulator(clock=clock, seed=seed, enforce_rates=False)
    simulator.add_account("desk", KEY, SECRET, balance="3000.12345678")
    simulator.add_account("hedge", "hedge0key", "hedge0secret", balance="3000", position_mode="HEDGE")
    desks = [Desk(simulator, clock), Desk(simulator, clock, "hedge0key", "hedge0secret")]
    simulator.set_price("BTCUSDT", "63000")
    simulator.set_price("DOGEUSDT", "0.17123")
    desks[0].ask("POST", "/fapi/v1/leverage", symbol="BTCUSDT", leverage="100")
    done = 0

    # When anything at all is done, the books agree after every step
    for _ in range(250):
        desk, symbol = rng.choice(desks), rng.choice(("BTCUSDT", "DOGEUSDT"))
        params: dict[str, Any] = {"symbol": symbol, "side": rng.choice(("BUY", "SELL"))}
        quantity = f"0.{rng.randrange(2, 90):03d}" if symbol == "BTCUSDT" else str(rng.randrange(30, 9000))
        if desk is desks[1]:
            params["positionSide"] = rng.choice(("LONG", "SHORT"))
        last = simulator.ex.market(symbol).last
        try:
            match rng.randrange(6):
                case 0 | 1:
                    desk.order(params.pop("side"), "MARKET", quantity, **params)
                case 2:
                    price = simulator.ex.market(symbol).round_to_tick(last * rng.randrange(980, 1021) / 1000)
                    desk.order(
                        params.pop("side"), "LIMIT", quantity, price=f"{price.normalize():f}", **params
                    )
                case 3:
                    price = simulator.ex.market(symbol).round_to_tick(last * rng.randrange(970, 1031) / 1000)
                    desk.algo(params.pop("side"), rng.choice(("STOP_MARKET", "TAKE_PROFIT_MARKET")),
                              f"{price.normalize():f}", quantity=quantity, **params)  # fmt: skip
                case 4:
                    simulator.liquidity(symbol, quantity, levels=rng.randrange(1, 4))
                case _:
                    desk.ask("DELETE", "/fapi/v1/allOpenOrders", symbol=symbol)
            done += 1
        except Refused as refused:
            if refused.status >= 500:
                raise
        if rng.randrange(3) == 0:
            goal = last * rng.randrange(960, 1041) / 1000
            simulator.set_price(symbol, goal, gap=rng.randrange(4) == 0)
        if rng.randrange(20) == 0:
            simulator.advance_market(8 * 3_600_000)
        clock.forward(rng.randrange(400))
        check_conservation(simulator)
    assert done > 60


def test_profit_and_fees_show_in_the_income_to_the_last_digit(desk: Desk) -> None:
    desk.order("BUY", "MARKET", "0.010")
    desk.simulator.set_price("BTCUSDT", "64000")
    desk.order("SELL", "MARKET", "0.004", reduceOnly="true")
    desk.order("SELL", "MARKET", "0.006", reduceOnly="true")
    rows = desk.ask("GET", "/fapi/v1/income")
    assert [(r["incomeType"], r["income"]) for r in rows] == [
        ("TRANSFER", "10000.00000000"),
        ("COMMISSION", "-0.31500050"),
        ("REALIZED_PNL", "3.99960000"),
        ("COMMISSION", "-0.12800000"),
        ("REALIZED_PNL", "5.99940000"),
        ("COMMISSION", "-0.19200000"),
    ]
    (balance,) = desk.ask("GET", "/fapi/v3/balance")
    assert Decimal(balance["balance"]) == sum(Decimal(r["income"]) for r in rows)


def test_longs_pay_funding_every_eight_hours_of_the_market(desk: Desk) -> None:
    desk.order("BUY", "MARKET", "0.010")
    desk.simulator.advance_market(8 * 3_600_000)
    desk.simulator.tick()
    (fee,) = desk.ask("GET", "/fapi/v1/income", incomeType="FUNDING_FEE")
    assert fee["income"] == "-0.06300000"  # 0.010 x 63000 x 0.0001
    assert desk.events()[-1]["a"]["m"] == "FUNDING_FEE"


def test_a_position_whose_margin_is_gone_is_liquidated(desk: Desk) -> None:
    # Given a long as large as the wallet can bear
    desk.ask("POST", "/fapi/v1/leverage", symbol="BTCUSDT", leverage="100")
    desk.order("BUY", "MARKET", "10")
    (row,) = desk.ask("GET", "/fapi/v3/positionRisk", symbol="BTCUSDT")
    edge = Decimal(row["liquidationPrice"])
    assert Decimal("61000") < edge < Decimal("63000")

    # When the mark price comes near, nothing happens; below it, the exchange closes the position
    desk.simulator.set_price("BTCUSDT", edge + 10)
    assert not desk.simulator.position("BTCUSDT").is_flat
    desk.simulator.set_price("BTCUSDT", edge - 10, gap=True)
    assert desk.simulator.position("BTCUSDT").is_flat
    check_conservation(desk.simulator)
    events = desk.events()
    assert "MARGIN_CALL" in [e["e"] for e in events]
    (closed,) = [e["o"] for e in events if e.get("o", {}).get("x") == "CALCULATED"]
    assert closed["c"].startswith("autoclose-")
    assert desk.simulator.wallet() >= 0
    (forced,) = desk.ask("GET", "/fapi/v1/forceOrders")
    assert forced["clientOrderId"] == closed["c"]


def test_an_isolated_position_is_liquidated_alone(desk: Desk) -> None:
    desk.simulator.set_price("ETHUSDT", "2400")
    desk.ask("POST", "/fapi/v1/marginType", symbol="BTCUSDT", marginType="ISOLATED")
    desk.order("BUY", "MARKET", "0.100")
    desk.order("BUY", "MARKET", "1", symbol="ETHUSDT")
    desk.simulator.set_price("BTCUSDT", "58000", gap=True)
    assert desk.simulator.position("BTCUSDT").is_flat
    assert not desk.simulator.position("ETHUSDT").is_flat
    check_conservation(desk.simulator)


def test_income_is_known_for_three_months(desk: Desk) -> None:
    desk.order("BUY", "MARKET", "0.010")
    transfer, fee = desk.ask("GET", "/fapi/v1/income", startTime="1")
    assert (transfer["incomeType"], fee["incomeType"]) == ("TRANSFER", "COMMISSION")
    next(iter(desk.simulator.ex.books.values())).income[0].time -= 91 * 86_400_000
    (left,) = desk.ask("GET", "/fapi/v1/income", startTime="1")
    assert left == fee
