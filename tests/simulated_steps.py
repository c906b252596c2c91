"""The steps of a simulation that are taken one after the other. The ledger says what the API has to answer."""

from datetime import UTC, date, datetime
from fractions import Fraction

from billing.call_store import FEW_CALLS
from tests.reference_ledger import Account, RateList, Versions, half_up
from tests.simulated_api import BatchShown, CreditShown, money_text
from tests.simulated_world import ACCOUNTS_MAX, SimulatedWorld

# So many numbers of the deck that was found are called too.
DECK_NUMBERS = 4


class SimulatedSteps(SimulatedWorld):
    """Use of the product by one person at a time."""

    async def begin(self, deck: Versions) -> None:
        """Sign the operator in, learn what there is, give rates, and make a branch as deep as this tree goes.

        ``deck`` is the rates that the operator has. Some of its prefixes are called, where there are any.
        """
        await self.api.sign_in("operator")
        await self.go_on_from(deck)
        for found in await self.api.rate_lists("operator"):
            rate_list = self.ledger.base if found["isBase"] else RateList(Fraction(found["discountPercent"]))
            self.api.know_list(rate_list, found["id"])
            if rate_list is not self.ledger.base:
                self.predefined.append(rate_list)
        assert len(self.predefined) == 8
        for _ in range(3):
            await self.change_rates(self.ledger.base, "operator")
        for _ in range(self.depth_max):
            await self.create_account(self.resellers[-1], is_reseller=True)
        await self.compare()

    async def go_on_from(self, deck: Versions) -> None:
        """The ledger's operator is where the product's is. Nobody else's balance, usage and holds are looked at."""
        self.accounts_found = await self.api.descendant_count()
        (self.found,) = await self.api.accounts()
        operator, usage = self.ledger.accounts["operator"], self.found["usage"]
        operator.balance, operator.held = Fraction(self.found["balance"]), Fraction(self.found["held"])
        if usage["calls"]:
            # Of whatever days: only the sum is compared.
            operator.usage[date.min] = [Fraction(usage[figure]) for figure in ("calls", "durationSeconds", "charged")]
        self.ledger.base.versions = deck
        if deck:
            self.numbers = [prefix + "77" for prefix in self.random.sample(sorted(deck), DECK_NUMBERS)] + self.numbers

    async def create_account(self, parent: str | None = None, *, is_reseller: bool | None = None) -> None:
        """A customer or a reseller below some reseller."""
        parent = parent or self.random.choice(self.resellers)
        if len(self.ledger.accounts) >= ACCOUNTS_MAX or len(self.path(parent)) > self.depth_max:
            return
        account = Account(
            self.ledger.accounts[parent],
            self.selectable(parent),
            balance=self.random.choice([Fraction(0), self.money(100)]),
            limit=self.random.choice([Fraction(0), Fraction(0), self.money(5)]),
            blocked=self.random.random() < 0.03,
        )
        is_reseller = self.random.random() < 0.5 if is_reseller is None else is_reseller
        name = self.new_name("a")
        expected = self.refusal_of_viewer(parent)
        assert account.limit is not None
        input = {
            "username": name,
            "credit": money_text(account.balance),
            "creditLimit": money_text(account.limit),
            "isReseller": is_reseller,
            "blocked": account.blocked,
        }
        assert await self.api.create_customer(parent, account.rate_list, input) == expected
        if expected is None:
            username = f"{name}*{parent.partition('*')[0]}"
            self.ledger.accounts[username] = account
            if is_reseller:
                self.resellers.append(username)
                self.lists[username] = []
                await self.api.sign_in(username)

    async def give_credit(self) -> None:
        """Credit, or a deduction that may be too much."""
        credit = self.new_credit(self.random.choice([self.money(100), -self.money(60), Fraction(0)]))
        refused = self.refusal_of_viewer(credit.by) or self.ledger.credit(credit.username, credit.amount)
        balance = money_text(self.ledger.accounts[credit.username].balance)
        expected = CreditShown(refused) if refused else CreditShown(None, False, balance)
        assert await self.api.credit(credit) == expected
        if not refused:
            self.credits.append(credit)

    async def repeat_credit(self) -> None:
        """A key that was used before, for the same or for something else."""
        if self.credits:
            first = self.random.choice(self.credits)
            again = first._replace(amount=first.amount + self.random.choice([0, 0, 1]))
            refused = self.refusal_of_viewer(again.by) or ("IDEMPOTENCY_CONFLICT" if again != first else None)
            shown = await self.api.credit(again)
            assert (shown.refused, shown.duplicate) == (refused, refused is None)

    async def block(self) -> None:
        """Somebody blocks an account below it, or unblocks it."""
        username, blocked = self.somebody(), self.random.random() < 0.25
        by = self.random.choice([name for name in self.path(username)[:-1] if name in self.resellers])
        expected = self.refusal_of_viewer(by)
        mutation = "blockAccount" if blocked else "unblockAccount"
        assert await self.api.change_account(by, mutation, username) == expected
        if expected is None:
            self.ledger.accounts[username].blocked = blocked

    async def set_limit(self) -> None:
        """Another credit limit for a customer."""
        username, limit = self.somebody(), self.money(20)
        by = self.path(username)[-2]
        expected = self.refusal_of_viewer(by)
        shown = await self.api.change_account(by, "setCreditLimit", username, creditLimit=money_text(limit))
        assert shown == expected
        if expected is None:
            self.ledger.accounts[username].limit = limit

    async def select_list(self) -> None:
        """Another list for a customer: a predefined one or one of its reseller's."""
        username = self.somebody()
        by = self.path(username)[-2]
        rate_list, expected = self.selectable(by), self.refusal_of_viewer(by)
        assert await self.api.select_list(by, username, rate_list) == expected
        if expected is None:
            self.ledger.accounts[username].rate_list = rate_list

    async def create_list(self) -> None:
        """A list with a markup or a discount, and perhaps prices of its own."""
        by = self.random.choice(self.resellers)
        rate_list, expected = RateList(self.percent()), self.refusal_of_viewer(by)
        assert await self.api.create_list(by, self.new_name("List "), rate_list) == expected
        if expected is None:
            self.lists[by].append(rate_list)
            if self.random.random() < 0.5:
                await self.change_rates(rate_list, by)

    async def change_list(self) -> None:
        """Another percentage, for everybody who has the list."""
        by = self.random.choice(self.resellers)
        if self.lists[by]:
            rate_list, percent = self.random.choice(self.lists[by]), self.percent()
            expected = self.refusal_of_viewer(by)
            assert await self.api.change_list(by, rate_list, percent) == expected
            if expected is None:
                rate_list.discount_percent = percent

    async def change_rates(self, rate_list: RateList | None = None, by: str | None = None) -> None:
        """Some prices of the operator's deck or of somebody's own list."""
        by = by or self.random.choice(["operator", *self.resellers])
        own = [*self.lists[by], *([self.ledger.base] if by == "operator" else [])]
        if own:
            rate_list = rate_list or self.random.choice(own)
            rates = [self.rate(prefix) for prefix in sorted({self.prefix() for _ in range(self.random.randint(1, 6))})]
            replace, expected = self.random.random() < 0.1, self.refusal_of_viewer(by)
            assert await self.api.set_rates(by, rate_list, rates, replace) == expected
            if expected is None:
                self.ledger.set_rates(rate_list, rates, datetime.now(UTC), replace)

    async def charge_call(self) -> None:
        """One call by `chargeCall`, sent by any reseller on the caller's path."""
        call, policy = self.new_call(), self.policy()
        by = self.random.choice([name for name in self.path(call.username) if name in self.resellers])
        expected = self.seen(by, call, self.ledger.charge(call, policy))
        assert await self.api.charge_call(by, call, policy) == expected
        self.calls.append(call)

    async def repeat_call(self) -> None:
        """A call that was sent before, charged or not, the same or changed."""
        if self.calls:
            call, policy = self.random.choice(self.calls), self.policy()
            call = call._replace(duration_s=call.duration_s + self.random.choice([0, 0, 1]))
            expected = self.seen("operator", call, self.ledger.charge(call, policy))
            assert await self.api.charge_call("operator", call, policy) == expected

    async def charge_calls(self) -> None:
        """A batch by `chargeCalls`, in which callIds are repeated and abused."""
        policy = self.policy()
        # Few calls are charged one by one where something is in the way of one of them, many mostly together.
        count = self.random.choice([self.random.randint(1, 12), self.random.randint(FEW_CALLS + 1, 2 * FEW_CALLS)])
        calls = [self.new_call() for _ in range(count)]
        for call in self.random.sample(calls + self.calls, min(len(self.calls), self.random.randint(0, 5))):
            again = call._replace(duration_s=call.duration_s + self.random.choice([0, 0, 1]))
            calls.insert(self.random.randint(0, len(calls)), again)
        outcomes = [self.ledger.charge(call, policy) for call in calls]
        fresh = [outcome.code for outcome in outcomes if not outcome.duplicate]
        counts = fresh.count("CHARGED"), len(outcomes) - len(fresh), fresh.count("UNRATED")
        seen = [
            self.seen("operator", call, outcome)._replace(duplicate=False)
            for call, outcome in zip(calls, outcomes, strict=True)
        ]
        assert await self.api.charge_calls("operator", calls, policy) == BatchShown(seen, counts)
        self.calls += calls

    async def have_available(self, username: str, amount: Fraction) -> None:
        """Give or take what makes an account's available amount ``amount``, to five decimals."""
        missing = half_up(amount, 5) - self.available(self.ledger.accounts[username])
        if missing:
            credit = self.new_credit(missing, username=username, by="operator")
            assert (await self.api.credit(credit)).refused is self.ledger.credit(username, missing) is None
