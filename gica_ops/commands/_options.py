"""What commands make their options of."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import click

__all__ = ["Bytes", "GroupedCommand", "grouped"]

UNITS = {"": 1, "B": 1}
for _power, _letter in enumerate("KMGT", 1):
    UNITS |= {_letter: 1024**_power, f"{_letter}IB": 1024**_power, f"{_letter}B": 1000**_power}


class GroupedCommand(click.Command):
    """A command whose help lists its options under headings, as `grouped` names them."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        headings: dict[str, list[tuple[str, str]]] = {}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record is not None:
                headings.setdefault(getattr(parameter, "heading", "Options"), []).append(record)
        for heading, records in headings.items():
            with formatter.section(heading):
                formatter.write_dl(records)


def grouped(heading: str, *options: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """A decorator that adds options under a heading."""

    def decorate(function: Any) -> Any:
        before = len(getattr(function, "__click_params__", []))
        for option in reversed(options):
            function = option(function)
        for parameter in function.__click_params__[before:]:
            parameter.heading = heading
        return function

    return decorate


class Bytes(click.ParamType):
    """A number of bytes, with or without a unit.

    >>> Bytes().convert("2GiB", None, None), Bytes().convert("1.5 MB", None, None)
    (2147483648, 1500000)
    """

    name = "bytes"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([a-zA-Z]*)\s*", str(value))
        if found is None or found[2].upper() not in UNITS or not float(found[1]):
            self.fail(f"must be a size such as 2GiB or 1500MiB, got {value!r}", param, ctx)
        return int(float(found[1]) * UNITS[found[2].upper()])
