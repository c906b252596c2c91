"""The demo's deck: every country's prefixes from the public numbering plans, with invented prices.

The plans are those of the `phonenumbers` library. The prices are worked out from the names, so that they are the same
every time; no carrier asks them.
"""

import hashlib
import re
from collections.abc import Iterator
from functools import cache
from typing import Any

import phonenumbers
from phonenumbers.carrierdata import CARRIER_DATA
from phonenumbers.geodata.locale import LOCALE_DATA

from billing.money import RATE_E8_PER_WHOLE
from billing.rate_changes import NewRate
from billing.rating import Price

_NANP = 1
_SATELLITE_AND_PREMIUM = {
    870: "Inmarsat",
    881: "Satellite",
    882: "International networks",
    979: "International premium",
}
_INTERNATIONAL = {800: "International toll free", 808: "International shared cost", 878: "Personal numbers"}
_INTERNATIONAL |= {883: "International networks", 888: "Disaster relief"}
_TOLL_FREE = 800

# Hundred-thousandths of the currency a minute: the dearest country lies this far above the cheapest.
_LOWEST, _FIXED_SPREAD, _MOBILE_LOWEST, _MOBILE_SPREAD = 400, 18_000, 1_000, 20_000
# Where many carriers compete, the spread is so many times smaller.
_COMPETITION = 20
_CONTESTED = frozenset(
    (
        "AT",
        "BE",
        "CA",
        "CH",
        "CZ",
        "DE",
        "DK",
        "ES",
        "FI",
        "FR",
        "GB",
        "HU",
        "IE",
        "IT",
        "NL",
        "NO",
        "PL",
        "PT",
        "SE",
        "US",
    )
)
_E8_PER_STEP = RATE_E8_PER_WHOLE // 100_000
_INCREMENTS_S = ((1, 1), (1, 1), (60, 1), (60, 60), (30, 6))
# `leading_digits` of a plan that shares its country code are at most so many in the plans that are used here.
_LEADING_DIGITS_MAX = 4


@cache
def demo_deck() -> tuple[NewRate, ...]:
    """About 30,000 rates, always the same: countries, mobile networks, toll free, and some blocked ranges."""
    deck: dict[str, Price] = {}
    for prices in (_countries(), _north_america(), _mobile_networks(), _special_numbers(), _international()):
        for price in prices:
            deck.setdefault(price.prefix, price)
    return tuple(NewRate(price) for _, price in sorted(deck.items()))


def _countries() -> Iterator[Price]:
    for country_code, regions in sorted(phonenumbers.COUNTRY_CODE_TO_REGION_CODE.items()):
        if regions[0] not in phonenumbers.SUPPORTED_REGIONS:
            continue
        yield _fixed(str(country_code), regions[0])
        if country_code != _NANP:
            for region in regions[1:]:
                yield from (_fixed(f"{country_code}{digits}", region) for digits in _leading_digits(region))


def _north_america() -> Iterator[Price]:
    """Each area code of the plan that several countries share, by the country it belongs to."""
    for area_code in range(200, 1000):
        number = phonenumbers.PhoneNumber(country_code=_NANP, national_number=area_code * 10**7 + 5_552_345)
        region = phonenumbers.region_code_for_number(number)
        if region is not None:
            yield _fixed(f"{_NANP}{area_code}", region)


def _mobile_networks() -> Iterator[Price]:
    for prefix, names in CARRIER_DATA.items():
        region = _region_of(prefix)
        network = names.get("en")
        if region is None or network is None:
            continue
        step = _fixed_step(region) + _MOBILE_LOWEST + _draw(_MOBILE_SPREAD // _competition(region), region, network)
        yield _price(prefix, f"{_country(region)} mobile {network}", step, region)


def _special_numbers() -> Iterator[Price]:
    """Toll free numbers are free, premium numbers are blocked; their first three digits stand for them."""
    for region in sorted(phonenumbers.SUPPORTED_REGIONS):
        plan = _plan(region)
        for kind, name in ((plan.toll_free, "toll free"), (plan.premium_rate, "premium rate")):
            if kind is not None and kind.example_number:
                prefix = f"{plan.country_code}{kind.example_number[:3]}"
                yield _price(prefix, f"{_country(region)} {name}", 0, region, blocked=name == "premium rate")


def _international() -> Iterator[Price]:
    for country_code, name in _SATELLITE_AND_PREMIUM.items():
        yield _price(str(country_code), name, 0, name, blocked=True)
    for country_code, name in _INTERNATIONAL.items():
        step = 0 if country_code == _TOLL_FREE else _LOWEST + _draw(_FIXED_SPREAD, name)
        yield _price(str(country_code), name, step, name)


def _fixed(prefix: str, region: str) -> Price:
    return _price(prefix, _country(region), _fixed_step(region), region)


def _price(prefix: str, destination: str, step: int, region: str, *, blocked: bool = False) -> Price:
    first_s, next_s = _INCREMENTS_S[_draw(len(_INCREMENTS_S), region, "increments")]
    name = " ".join("".join(c if c.isprintable() else " " for c in destination).split())
    return Price(0 if blocked else step * _E8_PER_STEP, 0, first_s, next_s, prefix, name, blocked)


@cache
def _fixed_step(region: str) -> int:
    return _LOWEST + _draw(_FIXED_SPREAD // _competition(region), region)


@cache
def _competition(region: str) -> int:
    """By how much carriers press each other's prices: much in a few countries, little in many."""
    return _COMPETITION if region in _CONTESTED else 1 + _draw(5, region, "competition")


@cache
def _country(region: str) -> str:
    names: dict[str, str] = LOCALE_DATA.get(region, {})
    name = names.get("en", region)
    # "*de" stands for the same name as in German.
    return names[name[1:]] if name.startswith("*") else name


@cache
def _region_of(prefix: str) -> str | None:
    """The country of a mobile prefix: that of the longest country code or shared range it begins with."""
    for country_code, regions in phonenumbers.COUNTRY_CODE_TO_REGION_CODE.items():
        digits = str(country_code)
        if not prefix.startswith(digits):
            continue
        rest = prefix[len(digits) :]
        shared = [region for region in regions[1:] if any(rest.startswith(d) for d in _leading_digits(region))]
        region: str = shared[0] if shared else regions[0]
        return region if region in phonenumbers.SUPPORTED_REGIONS else None
    return None


@cache
def _leading_digits(region: str) -> tuple[str, ...]:
    """The digits behind a shared country code that tell this country from the others, as far as the plan says."""
    pattern = _plan(region).leading_digits
    if not pattern:
        return ()
    tells = re.compile(pattern)
    found: list[str] = []
    for length in range(1, _LEADING_DIGITS_MAX + 1):
        for number in range(10**length):
            digits = f"{number:0{length}d}"
            if tells.fullmatch(digits) and not digits.startswith(tuple(found)):
                found.append(digits)
    return tuple(found)


@cache
def _plan(region: str) -> Any:
    return phonenumbers.PhoneMetadata.metadata_for_region(region)


def _draw(below: int, *names: str) -> int:
    """A number from 0 to ``below`` - 1 that the names decide."""
    digest = hashlib.sha256("\0".join(names).encode()).digest()
    return int.from_bytes(digest[:8], "big") % below
