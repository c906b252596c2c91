"""What the product does for its people, sentence by sentence, and the tests that prove each: no sentence without one.

The sentences are those of the operation manual that the product follows, under its headings. The map fails when a test
is renamed or gone. What has figures of its own and no other test is in test_domain_sentences.py.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parent

SENTENCES: dict[str, dict[str, tuple[str, ...]]] = {
    "How money moves": {
        "Every account has its own balance, in euro, kept and shown to five decimals.": (
            "test_every_account_has_its_own_balance_in_euro_shown_to_five_decimals",
            "test_an_amount_is_shown_with_exactly_five_decimals",
        ),
        "Giving credit is a promise, not a payment: the reseller's balance stays as it is.": (
            "test_giving_credit_is_a_promise_that_leaves_the_reseller_as_it_was",
        ),
        "When the customer's call ends it is charged, and so is every reseller above it, each at its own rate.": (
            "test_each_ancestor_is_charged_at_its_own_rate",
            "test_a_call_is_charged_on_every_level_and_shows_each_viewer_its_own_levels",
        ),
        "All of them in the same instant, or none of them.": (
            "test_nobody_ever_sees_a_call_charged_in_part",
            "test_a_call_that_an_ancestor_cannot_pay_charges_nobody",
            "test_the_audit_is_clean_while_calls_are_charged_and_credit_is_given",
        ),
        "A reseller can promise more than it has.": ("test_a_reseller_can_promise_more_than_it_has",),
        "A call may start only while every account on the path can pay for it.": (
            "test_a_call_starts_only_while_every_account_on_the_path_can_pay",
            "test_what_is_available_to_the_last_unit_is_enough_and_one_unit_less_is_not",
        ),
        "A reseller earns the difference: 0.10 less 0.06 a minute, 0.20 for five minutes.": (
            "test_a_reseller_earns_the_difference",
        ),
    },
    "Names": {
        "A full username is name*suffix; the suffix is the creating reseller's own bare name.": (
            "test_the_suffix_is_the_creating_resellers_own_bare_name",
        ),
        "Whoever types a suffix gets a clear error.": ("test_whoever_types_a_suffix_gets_a_clear_error",),
        "The account at the top has no suffix.": ("test_the_account_at_the_top_has_no_suffix",),
        "Full usernames are unique, whatever their case: User already exists, no update.": (
            "test_a_taken_name_is_refused_in_the_manuals_words_whatever_its_case",
            "test_of_many_who_race_for_a_name_one_gets_it",
        ),
        "A password has at least 4 characters, and the message says so word for word.": (
            "test_a_password_has_at_least_four_characters",
        ),
        "The minimum is a setting; 4 is its default.": (
            "test_the_shortest_password_and_the_life_of_a_session_are_settings",
        ),
        "The answer to a successful creation ends with the full username.": (
            "test_the_answer_to_a_successful_creation_ends_with_the_full_username",
        ),
        "A username can never be changed.": ("test_no_mutation_takes_another_username",),
    },
    "The two kinds of account": {
        "A customer makes calls.": ("test_a_call_is_charged_on_every_level_and_shows_each_viewer_its_own_levels",),
        "A reseller makes calls too.": ("test_a_reseller_s_own_call_leaves_its_customers_alone",),
        "A reseller has customers of its own, with every function that its own reseller has.": (
            "test_a_reseller_has_every_function_that_its_own_reseller_has",
        ),
        "The reseller mark cannot be undone once set.": ("test_the_reseller_mark_cannot_be_undone",),
        "Any customer can be given the mark later.": (
            "test_a_customer_can_be_made_a_reseller_later_and_then_has_customers",
        ),
        "There is no limit to the depth (the installation's is 256 levels, docs/adr/0003).": (
            "test_the_tree_is_at_most_256_levels_deep",
        ),
        "The operator owns the base rates and its credit is unlimited.": (
            "test_the_operator_owns_the_base_rates_and_its_credit_is_unlimited",
            "test_the_operator_goes_below_zero_without_limit",
        ),
    },
    "Screens of the back office": {
        "Header: user name, remaining credit (live), logout.": (
            "test_the_header_is_one_query",
            "test_a_viewer_watches_its_own_balance",
            "test_signing_out_ends_the_token_at_once_and_no_other",
        ),
        "Transactions: time, amount, balance after, remark of every credit transaction.": (
            "test_the_list_runs_from_the_newest_down_and_each_balance_follows_from_the_one_before",
        ),
        "Calls of the account, of a reseller those of everything below it.": (
            "test_a_reseller_reads_the_calls_of_everything_below_it_newest_first",
        ),
        "Calls: time, number, destination, duration, charge.": (
            "test_the_list_of_calls_has_every_column_and_filter_of_its_screen_in_one_query",
        ),
        "Rates: what this account pays now for each destination; changes show at once.": (
            "test_the_price_on_the_rates_page_is_exactly_the_price_charged_on_every_level",
            "test_a_change_of_the_base_rates_holds_at_once_for_everybody",
        ),
        "Edit account: own e-mail, address, telephone numbers, other details.": (
            "test_an_account_changes_its_own_details_but_not_its_rate_list_or_mark",
        ),
        "Change password.": ("test_changing_ones_own_password_needs_the_current_one_and_ends_the_other_sessions",),
        "SIP settings, SoftClient: domain, port, transport, user name, codecs; links to soft phones.": (
            "test_the_settings_are_shown_without_signing_in",
            "test_an_account_and_those_above_it_see_the_user_name_of_its_telephone",
        ),
        "Customers: every column of the list.": (
            "test_the_list_of_customers_has_every_column_of_its_screen_in_one_query",
        ),
        "Customers: add, with everything on the form.": ("test_a_customer_is_created_with_everything_the_form_asks",),
        "Customers: edit the same, username fixed.": ("test_what_an_update_leaves_out_stays_and_null_clears",),
        "Add credit: a negative amount deducts.": ("test_a_negative_amount_deducts_and_the_last_unit_can_be_taken",),
        "Add credit: the private remark is for its author's side, the other remark for both.": (
            "test_a_private_remark_is_for_its_authors_side_only",
        ),
        "Customers: rates, the reseller's own lists.": (
            "test_a_reseller_chooses_from_the_predefined_lists_and_its_own",
        ),
        "Personalize website: name, logo and colours, for everybody below who has not set its own.": (
            "test_a_branding_is_shown_to_its_reseller_and_to_everybody_below_who_does_not_learn_whose_it_is",
            "test_the_nearest_branding_holds_as_a_whole",
        ),
    },
    "Rate lists": {
        "Every account has one selected rate list, chosen by its reseller.": (
            "test_a_reseller_selects_a_predefined_rate_list_or_one_of_its_own",
        ),
        "The predefined lists are discounts on the reseller's own price.": (
            "test_a_predefined_list_is_a_discount_on_the_resellers_own_price",
        ),
        "0% means that the customer pays exactly what the reseller pays.": (
            "test_a_new_customer_pays_exactly_what_its_reseller_pays",
        ),
        "10% means that it pays less and the reseller loses: warn.": (
            "test_a_list_that_makes_the_reseller_lose_is_made_with_a_warning",
            "test_whoever_selects_a_list_that_makes_it_lose_is_warned",
        ),
        "100% means that it calls for free at the reseller's cost.": (
            "test_with_the_100_percent_list_a_customer_calls_for_free_at_its_resellers_cost",
        ),
        "A reseller can make its own lists: a percentage, a markup if negative, and own prices.": (
            "test_an_own_list_is_a_markup_and_own_prices_for_chosen_prefixes",
        ),
        "A list says what a prefix costs: price, fee, increments, from when it holds.": (
            "test_a_rate_has_all_that_a_list_says",
        ),
        "Base rates change often; a change holds at once, for everybody, without a restart.": (
            "test_a_change_of_the_base_rates_holds_at_once_for_everybody",
            "test_a_change_of_prices_holds_at_once_in_another_process",
        ),
    },
    "Buying credit": {
        "90 CNY per 10 EUR, from 10 EUR.": ("test_the_first_real_offer_costs_90_cny_per_10_eur_from_10_eur",),
        "105 CNY per 10 EUR, and when purchases add up to 100 EUR a bonus of 18 EUR.": (
            "test_the_second_real_offer_brings_18_eur_each_time_that_purchases_add_up_to_100",
            "test_of_purchases_at_once_exactly_those_that_complete_a_hundred_bring_the_bonus",
        ),
        "105 CNY per 10 EUR, and 100 EUR in one purchase brings a bonus of 20 EUR.": (
            "test_the_third_real_offer_brings_20_eur_for_100_in_one_purchase_and_nothing_for_less",
        ),
        "Retail never below 98 CNY per 10 EUR.": (
            "test_the_fourth_real_rule_keeps_retail_at_98_cny_per_10_eur",
            "test_nobody_below_sells_for_less_than_the_lowest_resale_price",
        ),
        "Booking a purchase creates the credit transaction and, when it is earned, the bonus as a second one.": (
            "test_a_purchase_and_its_bonus_stand_among_the_transactions",
        ),
    },
    "What hurts users of the systems in this trade": {
        "1. No level is left out of the chain, and a top-up does not change the reseller.": (
            "test_1_no_level_is_left_out_however_deep_the_tree",
            "test_1_a_top_up_changes_the_account_alone_and_never_its_reseller",
        ),
        "2. Many calls started at once never overspend.": (
            "test_2_thirty_calls_started_at_once_on_a_credit_of_1_do_not_overspend",
            "test_of_thirty_calls_that_start_at_once_no_more_are_held_than_the_credit_covers",
            "test_batches_of_two_processes_never_overspend",
        ),
        "3. Rounding does not drift, and a thousands separator never books a thousandth.": (
            "test_3_a_minute_at_0_02_books_0_02_in_one_second_increments",
            "test_3_a_thousand_calls_drift_by_nothing",
            "test_the_charge_is_the_exact_cost_rounded_once_half_up",
            "test_a_thousands_separator_never_books_a_thousandth",
        ),
        "4. A call delivered twice is charged once.": (
            "test_4_a_call_delivered_twice_takes_100_to_0_and_not_to_minus_100",
            "test_the_same_call_again_changes_nothing_and_is_flagged",
            "test_two_processes_charge_a_call_that_both_are_told_once",
        ),
        "5. Lists and prefix look-ups are quick, also with 80,000 prefixes.": (
            "test_a_deck_of_80_000_prefixes_is_paged_and_searched_quickly",
            "test_nested_lists_take_one_statement_however_deep_they_nest",
        ),
        "6. A call whose end never arrives does not hold credit for ever.": (
            "test_an_expired_hold_frees_itself_and_a_late_settle_is_still_charged",
        ),
    },
}


@pytest.mark.parametrize("heading", SENTENCES)
def test_each_sentence_is_proved_by_tests_that_exist(heading: str) -> None:
    existing = {name for path in FOLDER.glob("test_*.py") for name in names_of_tests(path)}
    missing = {sentence: set(tests) - existing for sentence, tests in SENTENCES[heading].items()}
    assert {sentence: names for sentence, names in missing.items() if names} == {}
    assert all(SENTENCES[heading].values())


def names_of_tests(path: Path) -> Iterator[str]:
    """The names of a module's tests."""
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
            yield node.name
