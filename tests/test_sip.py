"""How to connect a telephone: the installation's settings, and each account's user name."""

import pytest

from server.settings import Settings
from tests.graphql_client import Api, running_api

CONNECTION = "domain port transport codecs"
SETTINGS = f"{{ settings {{ sip {{ {CONNECTION} softphones {{ name url }} }} }} }}"
ACCOUNT = f"query ($id: ID!) {{ account(id: $id) {{ sip {{ username {CONNECTION} }} }} }}"
SIP = {
    "sip_domain": "sip.tollpath.example",
    "sip_port": 5061,
    "sip_transport": "TLS",
    "sip_codecs": "G729 PCMA",
    "sip_softphones": "Linphone https://www.linphone.org, Groundwire Mobile  https://acrobits.example/gw?a=1 ",
}


async def test_where_no_sip_domain_is_set_there_is_nothing_to_connect_to(api: Api) -> None:
    assert await api(SETTINGS) == {"settings": {"sip": None}}
    assert await api(ACCOUNT, {"id": api.operator.id}, by=api.operator) == {"account": {"sip": None}}


async def test_the_settings_are_shown_without_signing_in(database_url: str) -> None:
    async with running_api(database_url, **SIP) as api:
        assert await api(SETTINGS) == {
            "settings": {
                "sip": {
                    "domain": "sip.tollpath.example",
                    "port": 5061,
                    "transport": "TLS",
                    "codecs": ["G729", "PCMA"],
                    "softphones": [
                        {"name": "Linphone", "url": "https://www.linphone.org"},
                        {"name": "Groundwire Mobile", "url": "https://acrobits.example/gw?a=1"},
                    ],
                }
            }
        }


async def test_an_account_and_those_above_it_see_the_user_name_of_its_telephone(database_url: str) -> None:
    async with running_api(database_url, **SIP) as api:
        good, sibling = await api.reseller("good", of=api.operator), await api.reseller("sibling", of=api.operator)
        keytyh = await api.customer("keytyh", of=good)
        found = {
            "username": "keytyh*good",
            "domain": "sip.tollpath.example",
            "port": 5061,
            "transport": "TLS",
            "codecs": ["G729", "PCMA"],
        }
        for viewer in (keytyh, good, api.operator):
            assert await api(ACCOUNT, {"id": keytyh.id}, by=viewer) == {"account": {"sip": found}}
        assert await api(ACCOUNT, {"id": keytyh.id}, by=sibling) == {"account": None}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("sip_domain", "sip example"),
        ("sip_domain", "-"),
        ("sip_domain", "sip:host"),
        ("sip_port", "0"),
        ("sip_transport", "udp"),
        ("sip_softphones", "Linphone"),
        ("sip_softphones", "https://www.linphone.org"),
        ("sip_softphones", "Linphone https://www.linphone.org,"),
        ("sip_softphones", "Linphone ftp://www.linphone.org"),
    ],
)
def test_a_setting_that_no_telephone_could_use_is_refused(name: str, value: str) -> None:
    with pytest.raises(ValueError, match=name):
        Settings(**{name: value})
