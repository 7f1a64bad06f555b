"""The public names exist, are few, and are what they say."""

from __future__ import annotations

import subprocess
import sys

import pytest

import hyperseg


@pytest.mark.parametrize("name", hyperseg.__all__)
def test_public_names_can_be_imported(name: str) -> None:
    assert getattr(hyperseg, name).__doc__


def test_lists_agree() -> None:
    assert set(hyperseg.__all__) == set(hyperseg._HOME) <= set(dir(hyperseg))
    assert len(hyperseg.__all__) < 30


def test_a_recipe_is_the_function_even_after_its_module_was_imported() -> None:
    code = (
        "import hyperseg.recipes.run.classify, hyperseg.data.leak, hyperseg;"
        "print(callable(hyperseg.classify), callable(hyperseg.leak))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.split() == ["True", "True"]


def test_unknown_names_are_refused() -> None:
    with pytest.raises(AttributeError, match="no attribute 'klassify'"):
        _ = hyperseg.klassify
