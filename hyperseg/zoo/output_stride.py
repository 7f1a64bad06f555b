"""Where networks that keep resolution stop to make their maps coarser."""

from __future__ import annotations

from hyperseg.backbone import BackboneSpec

USUAL = 8  # of the papers
OUTPUT_STRIDE = (
    "Pixels of the image per pixel of the coarsest map: strides beyond it become dilations. 0 stops at 8 pixels, as in "
    "most papers; where the maps are no coarser, before the last stage that has a stride."
)


def stopped(spec: BackboneSpec, stride: int) -> BackboneSpec:
    """The backbone with dilation in place of the strides beyond `stride`; 0: see `OUTPUT_STRIDE`.

    Raises:
        SettingError: `stride` is none that the stages make.
    """
    if stride:
        return spec.at_output_stride(stride)
    ends = [(1,) * spec.conv.ndim]
    for stage in spec.stages:
        if max(stage.stride) > 1:
            ends.append(tuple(total * s for total, s in zip(ends[-1], stage.stride, strict=True)))
    return spec.at_output_stride(next((end for end in reversed(ends[:-1]) if max(end) <= USUAL), ends[0]))
