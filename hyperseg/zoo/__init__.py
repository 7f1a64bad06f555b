"""The survey's architectures as functions of one `BackboneSpec`: at least one tested member of every family.

A member is one file and one line of `NETWORKS`. Members are imported when they are asked for.

Source: Minaee, Boykov, Porikli, Plaza, Kehtarnavaz, Terzopoulos, "Image Segmentation Using Deep Learning: A Survey",
arXiv 2001.05566, TPAMI 44(7), 2022: the families. Differs: every member reads the common encoder, so that it takes any
number of channels and any size; none reproduces the table of its paper.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hyperseg.core.errors import SettingError
from hyperseg.core.parts import Entry, Parts, read_settings, spelling_of, split_spelling

if TYPE_CHECKING:
    from hyperseg.zoo.member import Member

NETWORKS = Parts(
    "network",
    {
        "u-net": Entry("hyperseg.zoo.encoder_decoder.u_net:U_NET", "U-Net: the encoder's maps beside the decoder's"),
        "fcn-32s": Entry("hyperseg.zoo.fcn.fcn:FCN_32S", "class scores of the coarsest map alone, raised to the image"),
        "fcn-16s": Entry("hyperseg.zoo.fcn.fcn:FCN_16S", "the same, with the scores of one finer map added"),
        "fcn-8s": Entry("hyperseg.zoo.fcn.fcn:FCN_8S", "the same, with the scores of two finer maps added"),
        "parsenet": Entry("hyperseg.zoo.fcn.parsenet:PARSENET", "each level beside its mean over the whole image"),
        "crf-as-rnn": Entry(
            "hyperseg.zoo.graphical.crf_as_rnn:CRF_AS_RNN", "steps of a dense CRF's mean field as layers, learnt too"
        ),
        "segnet": Entry("hyperseg.zoo.encoder_decoder.segnet:SEGNET", "maps put back where the encoder's maxima were"),
        "v-net": Entry("hyperseg.zoo.encoder_decoder.v_net:V_NET", "residual stages of kernels of 5, PReLU, Dice"),
        "u-net-plus-plus": Entry(
            "hyperseg.zoo.encoder_decoder.u_net_plus_plus:U_NET_PLUS_PLUS", "U-Nets of all depths, nested"
        ),
        "attention-u-net": Entry(
            "hyperseg.zoo.encoder_decoder.attention_u_net:ATTENTION_U_NET", "U-Net whose skips are weighed by a gate"
        ),
        "hrnet": Entry("hyperseg.zoo.encoder_decoder.hrnet:HRNET", "all resolutions side by side, fused often"),
        "hrnet-ocr": Entry(
            "hyperseg.zoo.encoder_decoder.hrnet_ocr:HRNET_OCR", "the same, with what a class looks like elsewhere"
        ),
        "refinenet": Entry(
            "hyperseg.zoo.encoder_decoder.refinenet:REFINENET", "residual units and chained pooling on the way up"
        ),
        "fpn": Entry("hyperseg.zoo.pyramid.fpn:FPN", "a pyramid of equal widths, summed from coarse to fine"),
        "pspnet": Entry("hyperseg.zoo.pyramid.pspnet:PSPNET", "means over 1, 4, 9 and 36 parts of the image"),
        "deeplab-v2": Entry("hyperseg.zoo.dilated.deeplab_v2:DEEPLAB_V2", "four dilated convolutions, summed (ASPP)"),
        "deeplab-v3": Entry("hyperseg.zoo.dilated.deeplab_v3:DEEPLAB_V3", "dilated convolutions and the image's mean"),
        "deeplab-v3-plus": Entry(
            "hyperseg.zoo.dilated.deeplab_v3_plus:DEEPLAB_V3_PLUS", "the same with a fine level added before the scores"
        ),
        "enet": Entry("hyperseg.zoo.dilated.enet:ENET", "narrow bottlenecks, dilated and asymmetric: fast"),
        "dense-aspp": Entry("hyperseg.zoo.dilated.dense_aspp:DENSE_ASPP", "dilated convolutions in a dense block"),
        "dilated-net": Entry(
            "hyperseg.zoo.dilated.dilated_net:DILATED_NET", "no strides and no padding: a scene's map is exact"
        ),
        "reseg": Entry("hyperseg.zoo.recurrent.reseg:RESEG", "recurrent layers along rows and columns"),
        "danet": Entry("hyperseg.zoo.attention.danet:DANET", "attention of all positions, and of all channels"),
        "ccnet": Entry("hyperseg.zoo.attention.ccnet:CCNET", "attention along row and column, twice"),
        "ocnet": Entry("hyperseg.zoo.attention.ocnet:OCNET", "attention between positions as context of an object"),
        "emanet": Entry("hyperseg.zoo.attention.emanet:EMANET", "attention to a few bases found by EM"),
        "luc": Entry("hyperseg.zoo.adversarial.luc:LUC", "a critic learns to tell its maps from true ones"),
        "segan": Entry("hyperseg.zoo.adversarial.segan:SEGAN", "a critic whose features of both maps should agree"),
        "active-contour": Entry(
            "hyperseg.zoo.contour.active_contour:ACTIVE_CONTOUR", "a U-Net that learns short borders, as contours do"
        ),
        "dals": Entry("hyperseg.zoo.contour.dals:DALS", "a level set that evolves by parameters the network gives"),
        "gated-scnn": Entry("hyperseg.zoo.other.gated_scnn:GATED_SCNN", "a stream of its own for borders"),
        "encnet": Entry("hyperseg.zoo.other.encnet:ENCNET", "channels weighed by what the whole image holds"),
        "segformer": Entry("hyperseg.zoo.transformer.segformer:SEGFORMER", "transformer encoder, a plain decoder"),
        "swin-unetr": Entry(
            "hyperseg.zoo.transformer.swin_unetr:SWIN_UNETR", "attention in shifted windows, a U-Net's decoder"
        ),
    },
)


def member_of(name: str) -> Member:
    """The member of a name.

    Raises:
        SettingError: there is none; the nearest is told.
    """
    if name not in NETWORKS:
        raise SettingError(f"unknown network {name!r}: `hyperseg networks` lists them.{NETWORKS.close(name)}")
    found: Member = NETWORKS[name]
    return found


def parse_network(text: str) -> tuple[Member, Any]:
    """The member that is spelled, with its settings: "deeplab-v3:output_stride=8".

    Raises:
        SettingError: an unknown member or setting (the nearest one is told), or a value that it cannot have.
    """
    name, words = split_spelling(text)
    member = member_of(name)
    try:
        return member, read_settings(member.settings, words, name)
    except SettingError as why:
        raise SettingError(f"the network {text!r}: {why} It is spelled {spelling_of(name, member.settings)}.") from None
