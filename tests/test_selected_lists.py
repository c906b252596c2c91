"""What a process remembers of the lists that accounts have selected."""

from collections.abc import Mapping

from hypothesis import given
from hypothesis import strategies as st

from billing.call_rows import int64s
from billing.selected_lists import UNKNOWN, SelectedLists

_MAX = 9_999
_IDS = st.one_of(st.integers(1, 5_000), st.sampled_from([_MAX, _MAX + 1, 2**62]))


def _of(lists: SelectedLists, *account_ids: int) -> list[int]:
    found: list[int] = lists.of(int64s(account_ids)).tolist()
    return found


@given(st.lists(st.dictionaries(_IDS, st.integers(1, 2**62), max_size=20), max_size=5), st.lists(_IDS, max_size=20))
def test_the_newest_list_of_an_account_is_remembered(
    remembered: list[Mapping[int, int]], also_asked: list[int]
) -> None:
    lists, known = SelectedLists(_MAX), dict[int, int]()
    for some in remembered:
        lists.remember(int64s(list(some)), int64s(list(some.values())))
        known.update(some)
    asked = [*known, *also_asked]
    assert _of(lists, *asked) == [UNKNOWN if id_ > _MAX else known.get(id_, UNKNOWN) for id_ in asked]


def test_one_that_was_never_told_is_unknown() -> None:
    lists = SelectedLists()
    assert _of(lists, 1, 2**40) == [UNKNOWN, UNKNOWN]
    assert _of(lists) == []
