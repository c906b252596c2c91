"""Cursors and page arguments by themselves. Pages of real lists are in test_tree.py and test_credit.py."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resolvers.pages import PageRequest, Position, page_request
from resolvers.request_errors import BadUserInput

KINDS = (str, int, datetime, tuple)

texts = st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",)))
numbers = st.integers(-(2**63), 2**63 - 1)
times = st.datetimes(timezones=st.just(UTC))
positions = st.tuples(texts, numbers, times, st.lists(numbers).map(tuple))


@given(positions)
def test_a_cursor_holds_its_position_exactly(position: Position) -> None:
    cursor = PageRequest("order", 1).cursor(position)

    assert page_request("order", KINDS, first=1, after=cursor).position == position
    assert cursor.isascii()
    assert not set(cursor) & set("+/=&?# ")


@given(positions, st.data())
def test_a_cursor_with_one_character_changed_is_refused(position: Position, data: st.DataObject) -> None:
    cursor = PageRequest("order", 1).cursor(position)
    at = data.draw(st.integers(0, len(cursor) - 2))  # the last one may hold unused bits
    other = data.draw(st.sampled_from([c for c in "ABCDEFGHabcdefgh0123" if c != cursor[at]]))

    with pytest.raises(BadUserInput):
        page_request("order", KINDS, first=1, after=cursor[:at] + other + cursor[at + 1 :])


@given(st.text())
def test_any_other_text_is_refused_as_a_cursor(text: str) -> None:
    with pytest.raises(BadUserInput):
        page_request("order", KINDS, first=1, after=text)


def test_a_cursor_of_another_order_or_with_other_values_is_refused() -> None:
    cursor = PageRequest("order", 1).cursor(("a", 1))

    assert page_request("order", (str, int), after=cursor).position == ("a", 1)
    for order, kinds in (("other", (str, int)), ("order", (int, str)), ("order", (str,)), ("order", (str, int, int))):
        with pytest.raises(BadUserInput):
            page_request(order, kinds, first=1, after=cursor)


def test_without_arguments_a_page_is_the_first_twenty() -> None:
    assert page_request("order", KINDS) == PageRequest("order", 20)
    assert page_request("order", KINDS, size_max=10) == PageRequest("order", 10)
    assert page_request("order", KINDS, last=3) == PageRequest("order", 3, backward=True)
    assert page_request("order", KINDS, first=500, size_max=500).size == 500
