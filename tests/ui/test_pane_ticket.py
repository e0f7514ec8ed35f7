"""The order ticket: what is typed becomes exactly that order, or an error that names the field."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from textual import events
from textual.app import ComposeResult

from engine.model.command import PlaceOrder
from engine.model.market import Side
from engine.model.order import OrderType, TimeInForce
from engine.views import Preview
from tests.ui import seeds
from tests.ui.hosts import Host, colour, drawn
from widgets.log import LogPane
from widgets.pane import Tone
from widgets.ticket import Field, TicketError, TicketPane
from widgets.ticket_form import CHOICES, fields_for, nudged, order

PREVIEW = Preview(
    title="buy 0.010 BTCUSDT market",
    rows=(("notional", "610.00 USDT"), ("fee", "0.31 USDT"), ("liquidation", "55120.4")),
    warnings=("no stop loss: all of the margin is at risk",),
    entry=True,
)
SIZE = (50, 30)


def draft(**texts: str) -> dict[Field, str]:
    """A complete draft: a market buy of 0.010, with the fields that are named."""
    fields = {field: CHOICES[field][0] if field in CHOICES else "" for field in Field}
    fields.update({Field.TYPE: OrderType.MARKET, Field.SIZE: "0.010", Field.LEVERAGE: "10"})
    fields.update({Field[name.upper()]: text for name, text in texts.items()})
    return fields


def placed(texts: dict[Field, str], quote: str | None = "61000.5") -> PlaceOrder:
    """The order of a draft."""
    return order(texts, seeds.INSTRUMENT, quote, "R1")


# --- from texts to an order ---


def test_a_market_order() -> None:
    assert placed(draft()) == PlaceOrder(
        request_id="R1",
        instrument=seeds.BTC,
        side=Side.BUY,
        type=OrderType.MARKET,
        size=Decimal("0.010"),
        leverage=10,
    )


def test_a_post_only_limit_order_with_a_bracket() -> None:
    asked = draft(
        type="LIMIT", side="SELL", price="61500.5", take_profit="60000", stop_loss="62000", post_only="yes", leverage=""
    )
    assert placed(asked) == PlaceOrder(
        request_id="R1",
        instrument=seeds.BTC,
        side=Side.SELL,
        type=OrderType.LIMIT,
        size=Decimal("0.010"),
        price=Decimal("61500.5"),
        take_profit=Decimal("60000"),
        stop_loss=Decimal("62000"),
        post_only=True,
    )


def test_a_trail_is_a_percentage_or_a_distance() -> None:
    assert placed(draft(type="TRAILING_STOP", trail="0.5%")).trail_bps == Decimal("50")
    assert placed(draft(type="TRAILING_STOP", trail="120")).trail_offset == Decimal("120")


def test_fields_that_do_not_matter_are_not_sent() -> None:
    asked = draft(price="1", trigger="2", trail="3", take_profit="4", tif="FOK", post_only="yes", reduce_only="yes")
    got = placed(asked)
    assert (got.price, got.trigger, got.trail_offset, got.take_profit) == (None, None, None, None)
    assert (got.tif, got.post_only, got.leverage, got.reduce_only) == (TimeInForce.GTC, False, None, True)


def test_a_size_in_money_is_rounded_down_to_the_step() -> None:
    assert placed(draft(size="500u")).size == Decimal("0.008")
    assert placed(draft(size="500u", type="LIMIT", price="50000")).size == Decimal("0.010")
    assert placed(draft(size="610.005u"), quote="61000.5").size == Decimal("0.010")


@given(
    st.decimals("100", "1000000", places=2),
    st.decimals("1", "90000", places=1),
)
def test_a_size_in_money_never_costs_more_than_the_money(money: Decimal, price: Decimal) -> None:
    size = placed(draft(size=f"{money}u", type="LIMIT", price=str(price))).size
    assert size * price <= money < (size + Decimal(seeds.INSTRUMENT.step)) * price


@pytest.mark.parametrize(
    ("asked", "quote", "said"),
    [
        ({"size": ""}, None, "size: empty: type 0.001, or 500u for USDT"),
        ({"size": "1.2.3"}, None, "size: 1.2.3: type a number like 0.001, or 500u for USDT"),
        ({"size": "0.0001"}, None, "size: 0.0001: the least is 0.001 BTC"),
        ({"size": "500u"}, None, "size: 500u: no price to convert with: type the size in BTC"),
        ({"size": "1u"}, "61000", "size: 1u: the least is 0.001 BTC"),
        ({"size": "0"}, None, "size: 0: type a number above zero, like 0.001, or 500u for USDT"),
        ({"leverage": "101"}, None, "leverage: 101: type a whole number from 1 to 100"),
        ({"leverage": "2.5"}, None, "leverage: 2.5: type a whole number from 1 to 100"),
        ({"type": "LIMIT"}, None, "price: empty: type a price"),
        ({"type": "STOP"}, None, "trigger: empty: type a trigger"),
        ({"type": "TRAILING_STOP"}, None, "trail: : type a number like 120, or 0.5%"),
        ({"stop_loss": "x"}, None, "stop loss: x: type a number like 61000.5"),
        ({"take_profit": "NaN"}, None, "take profit: NaN: type a number like 61000.5"),
    ],
)
def test_bad_input_names_field_value_and_remedy(asked: dict[str, str], quote: str | None, said: str) -> None:
    with pytest.raises(TicketError) as caught:
        placed(draft(**asked), quote)
    assert str(caught.value) == said.replace(": :", ": empty:")


def test_only_the_fields_of_the_type_are_asked_for() -> None:
    assert fields_for(draft()) == (
        *(Field.SIDE, Field.TYPE, Field.SIZE, Field.LEVERAGE, Field.TAKE_PROFIT, Field.STOP_LOSS, Field.REDUCE_ONLY),
    )
    limit = fields_for(draft(type="LIMIT"))
    assert Field.PRICE in limit
    assert Field.POST_ONLY in limit
    assert Field.POST_ONLY not in fields_for(draft(type="LIMIT", tif="IOC"))
    assert Field.STOP_LOSS not in fields_for(draft(reduce_only="yes"))
    assert {Field.TRIGGER, Field.TRAIL} <= set(fields_for(draft(type="TRAILING_STOP")))


def test_nudging_moves_by_tick_step_or_one_and_never_to_zero() -> None:
    assert nudged(Field.PRICE, "61000.5", 1, seeds.INSTRUMENT, None) == "61000.6"
    assert nudged(Field.PRICE, "", 1, seeds.INSTRUMENT, "61000.5") == "61000.5"
    assert nudged(Field.SIZE, "0.010", -1, seeds.INSTRUMENT, None) == "0.009"
    assert nudged(Field.SIZE, "0.001", -1, seeds.INSTRUMENT, None) == "0.001"
    assert nudged(Field.LEVERAGE, "10", 1, seeds.INSTRUMENT, None) == "11"
    assert nudged(Field.PRICE, "abc", 1, seeds.INSTRUMENT, None) == "abc"


# --- the pane ---


async def test_it_opens_at_market_with_the_size_ready_to_be_replaced() -> None:
    pane = TicketPane()
    async with Host(pane).run_test(size=SIZE) as pilot:
        pane.open(Side.BUY, seeds.INSTRUMENT)
        await pilot.press("0", ".", "0", "2", "5")
        assert pane.draft() == {
            "side": "BUY",
            "type": "MARKET",
            "size": "0.025",
            "leverage": "10",
            "take profit": "",
            "stop loss": "",
            "reduce-only": "no",
        }
        assert pane.command("R7").size == Decimal("0.025")
        assert pane.command("R7").request_id == "R7"


async def test_it_opens_with_the_smallest_order_there_is() -> None:
    pane = TicketPane()
    async with Host(pane).run_test(size=SIZE):
        pane.show_quote(seeds.BTC, "2999.5", "3000.0")  # 0.001 would be worth 3, and 5 is the least
        pane.open(Side.BUY, seeds.INSTRUMENT)
        assert pane.draft()["size"] == "0.002"


async def test_a_size_in_money_is_never_converted_with_the_price_of_another_market() -> None:
    pane = TicketPane()
    async with Host(pane).run_test(size=SIZE) as pilot:
        pane.open(Side.BUY, seeds.INSTRUMENT)
        pane.show_quote("binance.perp:ETHUSDT", "2999.5", "3000.0")
        await pilot.press(*"500u")
        with pytest.raises(TicketError, match="no price to convert with"):
            pane.command("R1")


async def test_a_price_opens_a_limit_order() -> None:
    pane = TicketPane()
    async with Host(pane).run_test(size=SIZE):
        pane.open("SELL", seeds.INSTRUMENT, "61000.5")
        command = pane.command("R1")
    assert (command.side, command.type, command.price) == (Side.SELL, OrderType.LIMIT, Decimal("61000.5"))


async def test_arrows_move_and_cycle_and_every_change_is_told() -> None:
    pane = TicketPane()
    app = Host(pane)
    async with app.run_test(size=SIZE, message_hook=app.hook) as pilot:
        pane.open(Side.BUY, seeds.INSTRUMENT, "61000.5")
        await pilot.pause()
        app.posted.clear()
        await pilot.press("up", "up", "right")
        assert pane.draft()["side"] == "SELL"
        await pilot.press("1")
        assert pane.draft()["side"] == "BUY"
        await pilot.press("tab", "tab", "tab", "plus", "plus", "left")
        assert pane.draft()["price"] == "61000.6"
        await pilot.press("backspace", "9", "delete", "6", "0", "0", "0", "0", "u")
        assert pane.draft()["price"] == "60000"
        await pilot.press("shift+tab", "5", "0", "0", "u")
        assert pane.draft()["size"] == "500u"
        await pilot.pause()
    assert {type(message) for message in app.posted} == {TicketPane.DraftChanged}


async def test_enter_asks_for_the_preview_of_a_readable_draft_only() -> None:
    pane = TicketPane()
    app = Host(pane)
    async with app.run_test(size=SIZE, message_hook=app.hook) as pilot:
        pane.open(Side.BUY, seeds.INSTRUMENT)
        await pilot.press("delete", "enter")
        await pilot.pause()
        assert not any(isinstance(message, TicketPane.PreviewRequested) for message in app.posted)
        assert any("✗ empty: type 0.001, or 500u" in row for row in drawn(pane))
        await pilot.press("0", ".", "1", "enter")
        await pilot.pause()
        assert any(isinstance(message, TicketPane.PreviewRequested) for message in app.posted)
        assert not any("✗" in row for row in drawn(pane))


async def test_after_the_preview_digits_type_a_new_size() -> None:
    pane = TicketPane()
    async with Host(pane).run_test(size=SIZE) as pilot:
        pane.open(Side.BUY, seeds.INSTRUMENT)
        await pilot.press("0", ".", "5", "enter", "0", ".", "0", "5")
        assert pane.draft()["size"] == "0.05"


async def test_a_narrow_preview_keeps_its_labels_and_its_numbers() -> None:
    pane = TicketPane()
    rows = (
        ("expected", "61775.7  (0.00 bps from the best price)"),
        ("position", "long 0.500 @ 61775.7 -> long 0.750 @ 61790.2"),
    )
    async with Host(pane).run_test(size=(40, 30)):
        pane.open(Side.BUY, seeds.INSTRUMENT)
        pane.show_preview(Preview("BUY", rows))
        lines = [line for line in drawn(pane) if line.strip()]
    assert lines[-3:] == [
        "  expected" + "61775.7".rjust(27),
        "  position" + "long 0.500 @ 61775.7 ->".rjust(27),
        "long 0.750 @ 61790.2".rjust(37),
    ]


async def test_an_error_stands_below_its_field_and_takes_the_cursor_on_enter() -> None:
    pane = TicketPane()
    async with Host(pane).run_test(size=SIZE) as pilot:
        pane.open(Side.BUY, seeds.INSTRUMENT)
        await pilot.press("tab", "9", "9", "9", "tab", "enter")
        rows = drawn(pane)
    at = next(y for y, row in enumerate(rows) if "leverage" in row)
    assert rows[at].startswith("▸")
    assert rows[at + 1] == "  ✗ 999: type a whole number from 1 to 100"


async def test_the_preview_shows_warnings_before_figures_and_fades_when_outdated() -> None:
    pane = TicketPane()
    async with Host(pane).run_test(size=SIZE) as pilot:
        pane.open(Side.BUY, seeds.INSTRUMENT)
        pane.show_preview(PREVIEW)
        rows = drawn(pane)
        warned = next(y for y, row in enumerate(rows) if "! no stop loss" in row)
        figure = next(y for y, row in enumerate(rows) if "notional" in row)
        assert warned < figure
        assert rows[figure].endswith("610.00 USDT")
        await pilot.press("9")
        stale = colour(pane, Tone.STALE)
        assert {segment.style.color for segment in pane.render_line(figure) if segment.text.strip()} == {stale}
        pane.show_preview(PREVIEW)
        assert {segment.style.color for segment in pane.render_line(figure) if segment.text.strip()} != {stale}


async def test_size_and_leverage_stay_for_the_next_order_protection_does_not() -> None:
    pane = TicketPane()
    async with Host(pane).run_test(size=SIZE) as pilot:
        pane.open(Side.BUY, seeds.INSTRUMENT)
        await pilot.press("2", "tab", "5", "tab", "6", "2", "0", "0", "0")
        assert pane.draft()["take profit"] == "62000"
        pane.open(Side.SELL, seeds.INSTRUMENT)
        assert (pane.draft()["size"], pane.draft()["leverage"], pane.draft()["take profit"]) == ("2", "5", "")


async def test_letters_are_left_to_the_desk() -> None:
    pane = TicketPane()
    async with Host(pane).run_test(size=SIZE) as pilot:
        pane.open(Side.BUY, seeds.INSTRUMENT)
        await pilot.press("a", "x", "u", "q", "percent_sign")
        assert pane.draft()["size"] == "u"


async def test_escape_gives_the_keys_away_and_keeps_the_draft() -> None:
    class Two(Host):
        def compose(self) -> ComposeResult:
            yield self.pane
            yield LogPane()

    pane = TicketPane()
    app = Two(pane)
    async with app.run_test(size=SIZE) as pilot:
        pane.open(Side.BUY, seeds.INSTRUMENT)
        await pilot.press("7", "escape")
        assert isinstance(app.focused, LogPane)
        assert pane.draft()["size"] == "7"


@pytest.mark.parametrize(("width", "height"), [(30, 8), (66, 14), (160, 45)])
async def test_the_field_with_the_cursor_is_always_in_sight(width: int, height: int) -> None:
    pane = TicketPane()
    async with Host(pane).run_test(size=(width, height)) as pilot:
        pane.open(Side.BUY, seeds.INSTRUMENT, "61000.5")
        pane.show_preview(PREVIEW)
        for _ in range(len(pane.draft())):
            await pilot.press("down")
            rows = drawn(pane)
            assert sum("▸" in row for row in rows) == 1
            assert all(len(row) <= width - 2 for row in rows)


@pytest.mark.parametrize("width", range(24, 44, 2))
async def test_no_number_of_the_ticket_is_cut(width: int) -> None:
    pane = TicketPane()
    async with Host(pane).run_test(size=(width, 30)) as pilot:
        pane.open(Side.BUY, seeds.INSTRUMENT, "61000.5")
        rows = [row for row in drawn(pane) if "leverage" in row]
        assert rows[0].split()[1:] in (["10"], ["10", "x", "(max", "100)"])
        await pilot.press(*"123456789012345678901234")
        (row,) = [row for row in drawn(pane) if "▸ size" in row]
    assert row.rstrip().removesuffix(" BTC").endswith("1234▏")


async def test_what_is_pasted_is_typed_if_the_field_takes_it() -> None:
    pane = TicketPane()
    async with Host(pane).run_test(size=SIZE, notifications=True) as pilot:
        pane.open(Side.BUY, seeds.INSTRUMENT, "61000.5")
        await pilot.press("down")
        for text, price in (
            (" 60950.5\n", "60950.5"),
            ("61,000", "60950.5"),
            ("[b] rm -rf\n1", "60950.5"),
            ("", "60950.5"),
        ):
            pane.post_message(events.Paste(text))
            await pilot.pause()
            assert pane.draft()["price"] == price, text
        said = [note.message for note in pilot.app._notifications]
        assert said == ["Not pasted: '61,000' is no price", "Not pasted: '[b] rm -rf 1' is no price"]


async def test_before_an_order_it_names_its_keys() -> None:
    pane = TicketPane()
    async with Host(pane).run_test(size=SIZE) as pilot:
        await pilot.pause()
        assert drawn(pane)[0] == " b buys, s sells"
        with pytest.raises(TicketError, match="open a ticket"):
            pane.command("R1")
