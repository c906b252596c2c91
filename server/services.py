"""What one process builds once and every request shares, from opening to closing."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from billing.batcher import Batcher
from billing.charging import ChargingEngine
from billing.hold_order import HoldRules
from billing.price_book import PriceBook
from models.database import Database
from resolvers.account_directory import AccountDirectory
from resolvers.balance_feed import BalanceFeed
from resolvers.context import Services
from resolvers.low_balance_feed import LowBalanceFeed
from resolvers.sign_in_throttle import SignInThrottle
from server.hold_expiry import hold_expiry
from server.settings import Settings
from server.webhooks import webhook_posts


@asynccontextmanager
async def open_services(settings: Settings, database_url: str) -> AsyncIterator[Services]:
    """The services on the database at ``database_url``; at the end what is being charged is finished first."""
    database = Database(database_url)
    price_book = PriceBook()
    rules = settings.rules()
    holds = HoldRules(rules.hold_slice_s, rules.hold_ttl_s, rules.call_duration_max_s)
    batcher = Batcher(database, ChargingEngine(price_book, holds))
    directory = AccountDirectory(database)
    try:
        async with (
            BalanceFeed(database, directory) as feed,
            LowBalanceFeed(database) as low_balance_feed,
            hold_expiry(batcher),
            webhook_posts(database, currency=rules.currency, private_addresses=settings.webhook_private_addresses),
        ):
            yield Services(
                db=database,
                rules=rules,
                passwords=settings.passwords(),
                sign_in_throttle=SignInThrottle(
                    account_max=settings.wrong_passwords_max, address_max=settings.address_wrong_passwords_max
                ),
                charging=batcher,
                feed=feed,
                low_balance_feed=low_balance_feed,
                price_book=price_book,
                directory=directory,
            )
    finally:
        await batcher.close()
        await database.close()
