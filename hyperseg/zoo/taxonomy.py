"""The zoo in words: families with their members, by their own docstrings; `docs/architectures.md` is made of it."""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields
from typing import Any

from hyperseg.core.parts import spelt
from hyperseg.core.settings import rule_of
from hyperseg.zoo import NETWORKS, member_of
from hyperseg.zoo.member import Member

HEAD = r"Defined by|Use|Source|Differs|Attributes|Raises|Args"
PAGE = """# The survey's architectures

Networks of the families of Minaee et al., "Image Segmentation Using Deep Learning: A Survey" (arXiv 2001.05566), and
what followed them. Each reads the common encoder, so that it takes any number of bands and images of any size; none
claims the table of its paper. Each is a method: `hyperseg classify SCENE --method zoo:NAME`, `hyperseg segment train
DIR --method zoo:NAME`. `hyperseg networks NAME` tells one and its settings, `hyperseg bench zoo` compares them.

This page is made of the docstrings: `hyperseg networks --markdown > docs/architectures.md`.
"""


@dataclass(frozen=True)
class Described:
    """A member in words.

    Attributes:
        name, title, year, family: as in `Member`.
        help: one line.
        spelling: for --method.
        settings: name -> (default, help).
        texts: paragraphs of its docstring by the word that they begin with, "" for those without one.
        module, file: where its code is.
        facts: what images it takes, whether its maps are exact, what it learns by; in words.
    """

    name: str
    title: str
    year: int
    family: str
    help: str
    spelling: str
    settings: dict[str, tuple[str, str]]
    texts: dict[str, tuple[str, ...]]
    module: str
    file: str
    facts: tuple[str, ...]

    def text(self, word: str) -> str:
        """The paragraphs that begin with this word, in a row."""
        return " ".join(self.texts.get(word, ()))


def described(name: str) -> Described:
    """A member of `NETWORKS`.

    Raises:
        SettingError: there is none of this name.
    """
    member = member_of(name)
    entry = NETWORKS.entries[name]
    module = entry.where.partition(":")[0]
    chosen = member.settings()
    told = {f.name: (spelt(getattr(chosen, f.name)), rule.help) for f in fields(chosen) if (rule := rule_of(f))}
    return Described(
        name, member.title, member.year, member.family, entry.help, f"zoo:{name}", told,
        paragraphs_of(member.network), module, module.replace(".", "/") + ".py", tuple(_facts(member)),
    )  # fmt: skip


def _facts(member: Member) -> Iterator[str]:
    kinds: dict[tuple[int, ...], str] = {(2,): "images", (3,): "volumes"}
    yield kinds.get(member.axes, "images and volumes")
    yield "maps are blended from padded windows" if member.padded else "no padding: the map of a scene is exact"
    if member.loss:
        yield f"learns by the loss {member.loss} unless another is given"
    if hasattr(member.network, "terms"):
        yield "terms of its own come on top of whatever loss is chosen"
    if member.adversary is not None:
        yield "a critic plays against it in training"


def families(names: Iterable[str] = NETWORKS) -> dict[str, tuple[str, list[Described]]]:
    """Family -> (what it is, its members), in the order of the table; a family's text is its package's docstring."""
    found: dict[str, tuple[str, list[Described]]] = {}
    for name in names:
        one = described(name)
        package = importlib.import_module(one.module.rpartition(".")[0])
        found.setdefault(one.family, (inspect.getdoc(package) or "", []))[1].append(one)
    return found


def markdown(names: Iterable[str] = NETWORKS) -> str:
    """The page of all members."""
    parts = [PAGE]
    for family, (text, members) in families(names).items():
        parts.append(f"## {family[:1].upper()}{family[1:]}\n\n{text}\n")
        parts.append("| network | what defines it | when to use it | code |\n| --- | --- | --- | --- |")
        parts += [f"| {' | '.join(map(_cell, _row(one)))} |" for one in members]
        parts.append("")
        parts += [f"- `zoo:{one.name}`. Source: {one.text('Source')} Differs: {one.text('Differs')}" for one in members]
        parts.append("")
    return "\n".join(parts).rstrip() + "\n"


def _row(one: Described) -> tuple[str, ...]:
    title = f"`zoo:{one.name}`: {one.title}, {one.year}; {'; '.join(one.facts)}"
    link = f"[{one.module.removeprefix('hyperseg.')}](../{one.file})"
    return title, one.text("Defined by"), one.text("Use"), link


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def paragraphs_of(thing: Any) -> dict[str, tuple[str, ...]]:
    """The paragraphs of a docstring by the word they begin with ("Use", "Source"); "" has those without one.

    A line that begins with such a word begins a paragraph, also without an empty line before it.
    """
    found: dict[str, list[str]] = {}
    for block in re.split(rf"\n\s*\n|\n(?=(?:{HEAD}):)", inspect.getdoc(thing) or ""):
        text = " ".join(block.split())
        head = re.match(rf"({HEAD}):\s*", text)
        found.setdefault(head[1] if head else "", []).append(text[head.end() :] if head else text)
    return {word: tuple(texts) for word, texts in found.items()}
