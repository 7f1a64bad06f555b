"""Codes of masks: decoding inverts encoding, and an unknown class is neutral."""

from __future__ import annotations

from itertools import product
from typing import get_args

import pytest
import torch

from hyperseg.core import SettingError
from hyperseg.dpm.masks.codes import MaskCode
from hyperseg.dpm.masks.settings import Coded

CODES = [MaskCode(k, coded) for k in range(2, 18) for coded in get_args(Coded)]


def labels_of(code: MaskCode) -> torch.Tensor:
    """(1, K, 3) every class."""
    return torch.arange(code.n_classes).view(1, -1, 1).expand(1, -1, 3)


@pytest.mark.parametrize("code", CODES, ids=str)
def test_decoding_inverts_encoding(code: MaskCode) -> None:
    labels = labels_of(code)
    x0 = code.encoded(labels)
    assert x0.shape == (1, code.channels, code.n_classes, 3)
    assert x0.dtype == torch.float32
    assert bool((x0.abs() == 1).all())
    assert torch.equal(code.probabilities(x0).argmax(1), labels)
    assert torch.equal(code.logits(30 * x0).argmax(1), labels)
    assert torch.allclose(code.clean(30 * x0), x0, atol=1e-5)


def test_channels_are_one_for_two_classes_else_one_each_or_the_bits_of_their_number() -> None:
    assert [MaskCode(k, "bits").channels for k in (2, 3, 4, 5, 16, 17)] == [1, 2, 2, 3, 4, 5]
    assert [MaskCode(k, "onehot").channels for k in (2, 3, 16)] == [1, 3, 16]
    with pytest.raises(SettingError, match="two classes or more"):
        MaskCode(1)


@pytest.mark.parametrize("code", [MaskCode(2), MaskCode(5), MaskCode(5, "bits")], ids=str)
def test_an_unknown_class_is_neutral_and_leaves_the_others_alone(code: MaskCode) -> None:
    labels = torch.tensor([[0, -1, code.n_classes - 1]])
    x0 = code.encoded(labels)
    assert bool((x0[:, :, 1] == 0).all())
    assert torch.equal(x0[:, :, [0, 2]], code.encoded(labels[:, [0, 2]]))


@pytest.mark.parametrize("code", [MaskCode(2), MaskCode(4), MaskCode(4, "bits"), MaskCode(11, "bits")], ids=str)
def test_the_clean_mask_is_the_expected_code_word(code: MaskCode) -> None:
    out = torch.randn(2, code.channels, 3, 4, generator=torch.Generator().manual_seed(0))
    likely = code.logits(out).softmax(1)
    words = code.encoded(torch.arange(code.n_classes).view(1, -1))[0].T
    expected = sum(likely[:, [k]] * words[k].view(1, -1, 1, 1) for k in range(code.n_classes))
    assert torch.allclose(code.clean(out), expected, atol=1e-6)


@pytest.mark.parametrize("code", [MaskCode(2), MaskCode(6), MaskCode(8, "bits")], ids=str)
def test_probabilities_come_back_from_the_clean_mask_where_every_word_has_a_class(code: MaskCode) -> None:
    out = torch.randn(2, code.channels, 3, 4, generator=torch.Generator().manual_seed(1))
    assert torch.allclose(code.probabilities(code.clean(out)), code.logits(out).softmax(1), atol=1e-5)


def test_two_classes_are_the_sigmoid_of_one_logit() -> None:
    out = torch.linspace(-4, 4, 9).view(1, 1, 9)
    code = MaskCode(2)
    assert torch.allclose(code.logits(out).softmax(1)[:, 1:], out.sigmoid())
    assert torch.allclose(code.clean(out), (out / 2).tanh(), atol=1e-6)


def test_logits_of_bits_are_correlations_with_the_words_up_to_a_constant() -> None:
    code = MaskCode(13, "bits")
    out = torch.randn(1, 4, 50, generator=torch.Generator().manual_seed(2))
    correlations = torch.einsum("km,bms->bks", code.words("cpu"), out) / 2
    assert torch.allclose(code.logits(out).log_softmax(1), correlations.log_softmax(1), atol=1e-5)


@pytest.mark.parametrize("k", [3, 5, 9, 11])
def test_probabilities_are_finite_and_of_classes_alone_whatever_the_bits_say(k: int) -> None:
    code = MaskCode(k, "bits")
    every = torch.tensor(list(product((-2.0, 0.0, 2.0), repeat=code.channels))).T.unsqueeze(0)
    found = code.probabilities(every)
    assert found.shape == (1, k, every.shape[-1])
    assert torch.allclose(found.sum(1), torch.ones(1), atol=1e-5)
    assert torch.allclose(MaskCode(4).probabilities(torch.full((1, 4, 1), -1.0)), torch.full((1, 4, 1), 0.25))


def test_codes_that_there_are_not_are_refused() -> None:
    with pytest.raises(SettingError, match="onehot or bits"):
        MaskCode(3, "gray")  # type: ignore[arg-type]
