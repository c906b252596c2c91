"""The schema as clients see it: the committed file, a description of everything, the fixed names."""

from pathlib import Path
from typing import Any

import pytest
from graphql import (
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLNamedType,
    GraphQLObjectType,
    GraphQLScalarType,
    build_schema,
    get_named_type,
)
from graphql.type.introspection import is_introspection_type
from graphql.type.scalars import is_specified_scalar_type

from schema.assembled import export_schema, schema

CORE = schema._schema
OWN_TYPES = [
    type_
    for type_ in CORE.type_map.values()
    if not is_introspection_type(type_) and not is_specified_scalar_type(type_)
]


def parts_of(type_: GraphQLNamedType) -> list[tuple[str, Any]]:
    """The type and everything in it that can be described, by name."""
    parts: list[tuple[str, Any]] = [(type_.name, type_)]
    if isinstance(type_, GraphQLObjectType | GraphQLInterfaceType):
        for name, field in type_.fields.items():
            parts.append((f"{type_.name}.{name}", field))
            parts += [(f"{type_.name}.{name}({argument})", part) for argument, part in field.args.items()]
    elif isinstance(type_, GraphQLInputObjectType):
        parts += [(f"{type_.name}.{name}", part) for name, part in type_.fields.items()]
    elif isinstance(type_, GraphQLEnumType):
        parts += [(f"{type_.name}.{name}", part) for name, part in type_.values.items()]
    return parts


def test_the_committed_schema_is_the_one_of_the_code() -> None:
    committed = (Path(__file__).parent.parent / "schema.graphql").read_text()

    assert committed == export_schema(), "schema.graphql is out of date: run `make schema` and look at the difference"


def test_the_committed_schema_is_valid_by_itself() -> None:
    assert build_schema(export_schema()).query_type is not None


def test_everything_has_a_description() -> None:
    assert len(OWN_TYPES) > 30
    bare = [name for type_ in OWN_TYPES for name, part in parts_of(type_) if not (part.description or "").strip()]
    assert bare == []


def test_no_number_with_a_binary_fraction_is_in_the_schema() -> None:
    assert "Float" not in CORE.type_map


@pytest.mark.parametrize("name", ["balance", "held", "available", "creditLimit", "amount", "charged", "credit"])
def test_an_amount_is_always_money(name: str) -> None:
    kinds = {
        part_name: get_named_type(part.type).name
        for type_ in OWN_TYPES
        for part_name, part in parts_of(type_)
        if part_name.endswith(f".{name}") and isinstance(get_named_type(part.type), GraphQLScalarType)
    }
    # `chargeCalls` counts what it charged.
    kinds.pop("ChargeCallsPayload.charged", None)
    assert kinds
    assert set(kinds.values()) == {"Money"}


FIXED = {
    "Query": "viewer account node settings",
    "Account": "id username parent depth path isReseller blocked blockedBy balance held available creditLimit version "
    "currency rateList emailAddress address telephoneNumbers otherDetails createdAt customers descendants "
    "customerCount descendantCount usage transactions",
    "Address": "line1 line2 postalCode city country",
    "Usage": "calls durationSeconds charged",
    "CreditTransaction": "id account amount balanceAfter kind remark privateRemark createdBy createdAt",
    "UserError": "code message path account",
    "Mutation": "login logout changePassword createApiToken revokeApiToken createCustomer updateAccount blockAccount "
    "unblockAccount makeReseller setCreditLimit createCreditTransaction",
    "LoginPayload": "token expiresAt viewer errors",
    "CreateCustomerPayload": "account message errors",
    "UpdateAccountPayload": "account errors",
    "BlockAccountPayload": "account errors",
    "UnblockAccountPayload": "account errors",
    "MakeResellerPayload": "account errors",
    "SetCreditLimitPayload": "account errors",
    "ChangePasswordPayload": "account errors",
    "CreateCreditTransactionPayload": "transaction account duplicate errors",
    "CreateApiTokenPayload": "token apiToken errors",
    "LoginInput": "username password",
    "CreateCustomerInput": "username password resellerId rateListId credit blocked isReseller creditLimit emailAddress "
    "address telephoneNumbers otherDetails",
    "UpdateAccountInput": "accountId rateListId emailAddress address telephoneNumbers otherDetails",
    "BlockAccountInput": "accountId",
    "UnblockAccountInput": "accountId",
    "MakeResellerInput": "accountId",
    "SetCreditLimitInput": "accountId creditLimit",
    "ChangePasswordInput": "currentPassword newPassword accountId",
    "CreateCreditTransactionInput": "accountId amount remark privateRemark idempotencyKey",
    "CreateApiTokenInput": "name scopes expiresAt",
}


@pytest.mark.parametrize("type_name", FIXED)
def test_the_fixed_names_are_there(type_name: str) -> None:
    type_ = CORE.type_map[type_name]
    assert isinstance(type_, GraphQLObjectType | GraphQLInputObjectType)
    assert set(FIXED[type_name].split()) - set(type_.fields) == set()


def test_every_mutation_takes_one_input_and_answers_errors() -> None:
    mutation_type = CORE.mutation_type
    assert mutation_type is not None
    for name, field in mutation_type.fields.items():
        assert set(field.args) == (set() if name == "logout" else {"input"}), name
        payload = get_named_type(field.type)
        assert isinstance(payload, GraphQLObjectType)
        assert str(payload.fields["errors"].type) == "[UserError!]!", name
