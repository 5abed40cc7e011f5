"""Guards of stops that follow the price."""

from __future__ import annotations

from typing import Final

from tests.guards.guard import Guard, Removal

DECIDED: Final = "tests/unit/orders/domain/test_trailing.py"
BY_EXCHANGE: Final = "tests/unit/orders/domain/test_exchange_trail.py"
FOLLOWED: Final = "tests/unit/worker/test_trail_watch.py"
PACE: Final = "tests/unit/worker/test_trail_pace.py"
BUDGET: Final = "tests/unit/accounts/test_rate_budget.py"
TRAILING: Final = "orders/domain/trailing.py"

GUARDS: Final[tuple[Guard, ...]] = (
    Guard(
        "the exchange's trailing order is never cover",
        "P4",
        "a position counts as protected by an order that protects nothing before its activation",
        (
            Removal(
                "orders/domain/coverage.py",
                "if leg.role is not Role.STOP_LOSS or not leg.live",
                "if leg.role not in (Role.STOP_LOSS, Role.TRAIL) or not leg.live",
            ),
            Removal(
                "orders/domain/coverage.py",
                "(leg_covers(leg, trio) for leg in trio.of(Role.STOP_LOSS))",
                "(leg_covers(leg, trio) for leg in (*trio.of(Role.STOP_LOSS), *trio.of(Role.TRAIL)))",
            ),
        ),
        (f"{BY_EXCHANGE}::test_it_covers_nothing_active_or_not",),
    ),
    Guard(
        "a refused trailing order ends its wish alone",
        "P3",
        "the exchange's no to a trailing order is asked for again and again, each time an order of the account's budget",
        (
            Removal(
                "orders/domain/decision/decide.py",
                "trio = trail_ended(strangers_named(trio))",
                "trio = strangers_named(trio)",
            ),
        ),
        (f"{BY_EXCHANGE}::test_a_refusal_ends_the_wish_and_never_the_trio",),
    ),
    Guard(
        "a hedge trailing order is for no more than there is",
        "P4",
        "after a part close the exchange refuses it whole at its trigger, and the profit that it was to take is gone",
        (
            Removal(
                "orders/domain/decision/exchange_trail.py",
                "if trio.spec.mode is PositionMode.HEDGE and have > trio.position:",
                "if False:",
            ),
        ),
        (
            f"{BY_EXCHANGE}::test_one_for_more_than_is_left_stays_in_one_way_mode_and_is_replaced_in_hedge_mode",
        ),
    ),
    Guard(
        "a trailing order that is not wished for is taken back",
        "P3",
        "a trail that was ended goes on, on the exchange, and closes the position",
        (
            Removal(
                "orders/domain/decision/exchange_trail.py",
                "steps = [cleared(trio, strays) if strays else None]",
                "steps: list[Step | None] = []",
            ),
        ),
        (f"{BY_EXCHANGE}::test_one_that_is_not_wished_for_any_more_is_taken_back_by_its_id",),
    ),
    Guard(
        "a target makes way only for a stop that loses nothing",
        "P4",
        "the take-profit is taken off while the stop is still at a loss, and a price that turns takes all of the gain",
        (
            Removal(
                "orders/follow_verbs.py",
                "if not _stop_loses_nothing(trio, seen) or _refused_lately",
                "if _refused_lately",
            ),
        ),
        (f"{FOLLOWED}::test_the_target_stays_while_the_stop_still_loses",),
    ),
    Guard(
        "a target makes way only when the price is near it",
        "P2",
        "the take-profit runs away from a price that is nowhere near, and never executes",
        (
            Removal(
                TRAILING,
                "return reached(trail.side, target - gap, best)",
                "return True",
            ),
        ),
        (f"{DECIDED}::test_the_target_makes_way_each_time_the_price_is_near_it",),
    ),
    Guard(
        "a trail never loosens",
        "P4, P10",
        "the stop goes back when the price does, or by less than the smallest move",
        (
            Removal(
                TRAILING,
                "return level if level > 0 and gain > 0 and gain >= trail.step else None",
                "return level if level > 0 and gain else None",
            ),
        ),
        (f"{DECIDED}::test_a_trail_from_an_activation_level_in_moves_of_five",),
    ),
    Guard(
        "a trail never goes beyond the price",
        "P4",
        "a stop is asked for where it would trigger at once, and the position keeps the old one",
        (
            Removal(
                TRAILING,
                "    if price is not None:\n        level = _not_beyond(trail, level, price)\n",
                "",
            ),
        ),
        (f"{DECIDED}::test_a_level_that_was_passed_becomes_the_nearest_that_does_not_trigger",),
    ),
    Guard(
        "nothing is followed before the activation",
        "P10",
        "the stop is drawn up to the price from the start, and the trade is closed by its first breath",
        (
            Removal(
                TRAILING,
                "return price if trail.activation is None or reached(trail.side, trail.activation, price) else None",
                "return price",
            ),
        ),
        (f"{DECIDED}::test_a_trail_from_an_activation_level_in_moves_of_five",),
    ),
    Guard(
        "a trail takes no older price for its best",
        "P10",
        "a high from before the trail was asked for draws the stop up",
        (
            Removal(
                TRAILING,
                "for span in spans if span.since_ts >= since_ts]",
                "for span in spans if span.since_ts or since_ts]",
            ),
        ),
        (f"{DECIDED}::test_the_same_prices_in_whatever_pieces_give_the_same_best",),
    ),
    Guard(
        "a trail begins with its position",
        "P4",
        "prices from before the fill count: the stop goes to right below the market with it, and closes the position",
        (
            Removal(
                "orders/follow_rows.py",
                "greatest(trail.since_ts, entry.filled_ts), greatest(trail.heard_ts, entry.filled_ts)",
                "trail.since_ts, trail.heard_ts",
            ),
        ),
        (
            "tests/unit/worker/test_following_cases.py::test_a_trail_counts_no_price_from_before_there_was_a_position",
        ),
    ),
    Guard(
        "one move of a stop at a time",
        "P4",
        "a trail sends the next order while the last one is still under way",
        (
            Removal(
                "orders/domain/level_moves.py",
                "    if not legs or any(move.role is role for move in trio.moves):\n        return False\n    if len(legs) > 1 and any(leg.for_move for leg in legs):\n        return False\n    return all(",
                "    return any(",
            ),
        ),
        (f"{DECIDED}::test_a_stop_stands_alone_only_when_nothing_of_a_move_is_left",),
    ),
    Guard(
        "what a trail missed is read",
        "P4",
        "after a restart the stop stays where the last process left it, however far the price has gone",
        (
            Removal(
                "worker/trail_watch.py",
                "        self._read_missing()\n        self._save",
                "        self._save",
            ),
        ),
        (f"{FOLLOWED}::test_another_process_goes_on_from_the_best_price_and_reads_what_it_missed",),
    ),
    Guard(
        "moves leave what protects its room",
        "P4",
        "stops that follow the price use up the account's order windows",
        (
            Removal(
                "accounts/rate_budget.py",
                "        if moved > window[2] then return {3, 1000, processes, ''} end\n",
                "",
            ),
        ),
        (f"{BUDGET}::test_moves_take_a_third_of_the_order_windows_and_leave_the_rest",),
    ),
    Guard(
        "a stop that covers anew waits for no move",
        "P4",
        "a trailing trio's new stop is held back as one of many moves while nothing covers",
        (
            Removal(
                "orders/placement/begin.py",
                "held = self.decision.trio.state is TrioState.OPEN and not self.decision.uncovered",
                "held = self.decision.trio.state is TrioState.OPEN",
            ),
        ),
        (f"{FOLLOWED}::test_its_orders_wait_for_their_own_share_and_what_covers_anew_does_not",),
    ),
    Guard(
        "the nearest stop never waits",
        "P4",
        "stops far away use up what moves may use, and the one that is reached next stays behind",
        (
            Removal(
                "worker/trail_pace.py",
                "part = 1.0 if is_nearest else OTHERS_PART",
                "part = 1.0",
            ),
        ),
        (f"{PACE}::test_what_others_use_up_leaves_a_quarter_to_the_nearest",),
    ),
)
