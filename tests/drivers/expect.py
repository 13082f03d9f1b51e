"""What the driver checks share: naming each check, and failing with what was expected."""

import sys


def equal(what, actual, expected):
    """Ends the program if `actual` is not `expected`."""
    if actual != expected:
        sys.exit(f"{what}: expected {expected!r}, got {actual!r}")


def sqlstate(what, error, expected):
    """Ends the program if `error` has another SQLSTATE."""
    equal(f"{what}: SQLSTATE of {error}", error.sqlstate, expected)
