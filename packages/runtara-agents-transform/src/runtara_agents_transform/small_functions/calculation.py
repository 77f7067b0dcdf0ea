"""`calculate`: arithmetic over numbers and names, exact as long as it can be."""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Context, Decimal, DivisionByZero, InvalidOperation, Overflow
from typing import Any

from runtara_sdk.agents import AgentError

EXPRESSION_ERROR = "UTILS_EXPRESSION_ERROR"
DIVISION_BY_ZERO = "UTILS_DIVISION_BY_ZERO"
UNKNOWN_VARIABLE = "UTILS_UNKNOWN_VARIABLE"

_TOKEN = re.compile(r"\s*(?:(\d+(?:\.\d+)?(?:[eE][+-]?\d+)?|\.\d+)|([A-Za-z_]\w*)|([-+*/%()]))")
_LONGEST = 10_000
_DEEPEST = 100
_ARITHMETIC = Context(prec=34, traps=[InvalidOperation, DivisionByZero, Overflow])


def calculate(expression: str, variables: Mapping[str, Any]) -> Decimal:
    """The value of an expression of `+ - * / %`, signs and parentheses.

    Raises:
        AgentError: it is malformed, names an unknown variable, or divides by zero.
    """
    if len(expression) > _LONGEST:
        raise _malformed(f"it has more than {_LONGEST} characters", _LONGEST)
    parser = _Parser(expression, variables)
    try:
        return parser.whole()
    except (DivisionByZero, InvalidOperation) as error:
        if isinstance(error, DivisionByZero) or "DivisionUndefined" in repr(error):
            raise AgentError.permanent(DIVISION_BY_ZERO, "the expression divides by zero") from None
        raise _malformed("a value is too large to be exact", 0) from None
    except Overflow:
        raise _malformed("a value is too large", 0) from None


class _Parser:
    def __init__(self, text: str, variables: Mapping[str, Any]) -> None:
        self._text = text
        self._variables = variables
        self._at = 0
        self._depth = 0

    def whole(self) -> Decimal:
        value = self._sum()
        if self._text[self._at :].strip():
            raise _malformed("an operator is missing, or a character is not known", self._at)
        return value

    def _sum(self) -> Decimal:
        value = self._product()
        while (operator := self._operator("+-")) is not None:
            other = self._product()
            value = _ARITHMETIC.add(value, other) if operator == "+" else _ARITHMETIC.subtract(value, other)
        return value

    def _product(self) -> Decimal:
        value = self._signed()
        while (operator := self._operator("*/%")) is not None:
            other = self._signed()
            if operator != "*" and not other:
                raise AgentError.permanent(DIVISION_BY_ZERO, "the expression divides by zero")
            if operator == "*":
                value = _ARITHMETIC.multiply(value, other)
            else:
                value = _ARITHMETIC.divide(value, other) if operator == "/" else _ARITHMETIC.remainder(value, other)
        return value

    def _signed(self) -> Decimal:
        sign = 1
        while (operator := self._operator("+-")) is not None:
            sign = -sign if operator == "-" else sign
        value = self._atom()
        return value if sign > 0 else _ARITHMETIC.minus(value)

    def _atom(self) -> Decimal:
        found = _TOKEN.match(self._text, self._at)
        if found is None:
            raise _malformed("a number, a name or a parenthesis is missing", self._at)
        begin, self._at = self._at, found.end()
        number, name, operator = found.groups()
        if number is not None:
            return _ARITHMETIC.create_decimal(number)
        if name is not None:
            return self._variable(name)
        if operator != "(":
            raise _malformed(f"{operator!r} stands where a number should", begin)
        self._depth += 1
        if self._depth > _DEEPEST:
            raise _malformed("it is nested too deeply", begin)
        value = self._sum()
        self._depth -= 1
        if self._operator(")") is None:
            raise _malformed("a closing parenthesis is missing", self._at)
        return value

    def _variable(self, name: str) -> Decimal:
        if name not in self._variables:
            raise AgentError.permanent(
                UNKNOWN_VARIABLE, f"there is no variable {name!r}", attributes={"variable": name}
            )
        value = self._variables[name]
        try:
            if isinstance(value, bool) or not isinstance(value, int | float | str):
                raise InvalidOperation
            decimal = _ARITHMETIC.create_decimal(str(value).strip())
            if not decimal.is_finite():
                raise InvalidOperation
        except InvalidOperation:
            raise AgentError.permanent(
                UNKNOWN_VARIABLE, f"variable {name!r} is no number", attributes={"variable": name}
            ) from None
        return decimal

    def _operator(self, which: str) -> str | None:
        found = _TOKEN.match(self._text, self._at)
        if found is None or found[3] is None or found[3] not in which:
            return None
        self._at = found.end()
        return found[3]


def _malformed(reason: str, at: int) -> AgentError:
    return AgentError.permanent(
        EXPRESSION_ERROR,
        f"the expression is malformed at character {at + 1}: {reason}",
        attributes={"position": at + 1},
    )
