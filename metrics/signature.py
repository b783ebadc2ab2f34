"""Signatures: one line that holds everything that can change a number."""

from __future__ import annotations

from functools import cache
from importlib.metadata import PackageNotFoundError, version


@cache
def version_of(distribution: str) -> str:
    """Installed version of a distribution, `absent` where there is none."""
    try:
        return version(distribution)
    except PackageNotFoundError:
        return "absent"


def sign(name: str, *pairs: tuple[str, str], libraries: tuple[str, ...] = ()) -> str:
    """Signature `metric:NAME|key:value|…|library:version|…|v:VERSION`, in the order given.

    The bars and line ends that a value may hold (a folder's name) are replaced by spaces, so
    that a signature always splits back into its pairs.

    Args:
        name: The metric's name.
        *pairs: What can change the number, as (key, value).
        libraries: Distributions whose version can change the number.
    """
    all_pairs = [
        ("metric", name),
        *pairs,
        *((library, version_of(library)) for library in libraries),
        ("v", version_of("medinst-eval")),
    ]
    return "|".join(
        f"{key}:{' '.join(value.replace('|', ' ').split())}" for key, value in all_pairs
    )
