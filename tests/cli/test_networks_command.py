"""`hyperseg networks`, the page made of it, and how the survey's networks are spelled for other commands."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from running import Hyperseg

from hyperseg.zoo import NETWORKS
from hyperseg.zoo.taxonomy import described, families, markdown, paragraphs_of

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "architectures.md"


def test_a_docstring_is_read_paragraph_by_paragraph() -> None:
    class Told:
        """A line.

        Defined by: one thing
        and another.
        Use: here.

        Source: a paper: its title.
        Differs: in nothing.
        """

    assert paragraphs_of(Told) == {
        "": ("A line.",), "Defined by": ("one thing and another.",), "Use": ("here.",),
        "Source": ("a paper: its title.",), "Differs": ("in nothing.",),
    }  # fmt: skip


def test_one_network_is_told_with_its_settings(hyperseg: Hyperseg) -> None:
    answer = hyperseg("networks", "zoo:u-net")
    assert answer.code == 0, answer.err
    flat = " ".join(answer.out.split())
    assert "U-Net (2015), family: encoder-decoder" in flat
    assert "--method zoo:u-net" in flat
    assert all(f"{word}: " in flat for word in ("Defined by", "Use", "Source", "Differs"))
    row = json.loads(hyperseg("networks", "u-net", "--json").out)
    assert (row["name"], row["file"]) == ("u-net", "hyperseg/zoo/encoder_decoder/u_net.py")


def test_misspelt_networks_are_told_the_nearest(hyperseg: Hyperseg) -> None:
    assert "Did you mean u-net" in hyperseg("networks", "unet").error
    assert "stands alone" in hyperseg("networks", "u-net", "--markdown").error
    for given, near in (("zoo:unet", "zoo:u-net"), ("zoo", "as zoo:u-net"), ("deeplab-v3-plus", "zoo:deeplab-v3-plus")):
        assert near in hyperseg("classify", "scene", "--method", given).error
        assert near in hyperseg("segment", "train", "folder", "--method", given).error


def test_all_are_listed_under_their_families(hyperseg: Hyperseg) -> None:
    answer = hyperseg("networks")
    assert answer.code == 0, answer.err
    assert max(map(len, answer.out.splitlines())) <= 100
    assert {f"zoo:{name}:" for name in NETWORKS} <= set(answer.out.split())
    lines = answer.out.splitlines()
    assert [line for line in lines if line in families()] == list(families())
    for name in NETWORKS:
        one = described(name)
        assert all(one.text(word) for word in ("Defined by", "Use", "Source", "Differs")), name
        assert (ROOT / one.file).is_file()


def test_the_page_is_made_of_the_docstrings() -> None:
    """Where this fails: hyperseg networks --markdown > docs/architectures.md."""
    if not PAGE.is_file():
        pytest.skip("the package is tested without its documents")
    assert PAGE.read_text(encoding="utf-8") == markdown()


@pytest.mark.parametrize("command", [("classify",), ("segment", "train")])
def test_helps_name_the_family_in_one_line_and_the_settings_of_a_chosen_one(
    hyperseg: Hyperseg, command: tuple[str, ...]
) -> None:
    plain = hyperseg(*command, "--help").out
    assert sum(line.split()[:1] == ["zoo:NAME"] for line in plain.splitlines()) == 1
    assert "zoo:segnet" not in plain
    chosen = hyperseg(*command, "--method", "zoo:pspnet", "--help")
    assert "network.output_stride=" in chosen.out
    assert "network.output_stride=" not in plain
