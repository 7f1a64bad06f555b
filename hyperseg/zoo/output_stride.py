"""Where networks that keep resolution stop to make their maps coarser."""

from __future__ import annotations

from hyperseg.backbone import BackboneSpec

OUTPUT_STRIDE = (
    "Pixels of the image per pixel of the coarsest map: strides beyond it become dilations. 0 stops before the last "
    "stage that has a stride (in the papers: at 16 instead of 32)."
)


def stopped(spec: BackboneSpec, stride: int) -> BackboneSpec:
    """The backbone with dilation in place of the strides beyond `stride`; 0: of those of its last strided stage.

    Raises:
        SettingError: `stride` is none that the stages make.
    """
    if stride:
        return spec.at_output_stride(stride)
    strided = [i for i, stage in enumerate(spec.stages) if max(stage.stride) > 1]
    if not strided:
        return spec
    last = spec.stages[strided[-1]].stride
    return spec.at_output_stride(tuple(all_of // s for all_of, s in zip(spec.stride, last, strict=True)))
