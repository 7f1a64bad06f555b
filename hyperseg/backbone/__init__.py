"""The common layer under every network of the package; torch only.

A `BackboneSpec` is frozen data with a JSON form. It builds an `Encoder` (tensor -> pyramid) and a `Decoder`
(pyramid -> pyramid); heads read a pyramid, a list of maps from fine to coarse. Weights move between consumers
whose specs are equal (`save_encoder`, `load_encoder`).

Who uses what:

| consumer                   | parts                                                                   |
|----------------------------|-------------------------------------------------------------------------|
| spectral-spatial 3-D CNN   | `Encoder`, ndim 3, kernels (k,1,1) then (k,3,3), valid; `ClassHead(level=-1)` |
| hybrid net (3-D, then 2-D) | `Encoder` ndim 3, depth folded into channels, `Encoder` ndim 2; `ClassHead` |
| GAN discriminator          | `Encoder` ndim 3, valid; features averaged over a window; `ClassHead`   |
| GAN generator              | `Decoder(skips="none")` of the discriminator's spec, given `shape`      |
| deep CRF                   | one `Encoder`; `ClassHead` for unary, `PairHead` for pairwise potentials |
| CNN over band groups       | `GroupEncoder`: one 3-D `Encoder` for all groups of bands, or one each  |
| siamese pair net           | one `Encoder` on both inputs; `PairHead`                                |
| deconvolution refiner      | `Decoder`, or `UpBlock`s with a target size                             |
| U-Net, nnU-Net planner     | emits a `BackboneSpec`; `Encoder`, `Decoder`, `DeepSupervision`         |
| bridged U-Net              | `Encoder`, `Decoder`, `Stage(in_channels=...)` where a bridge comes in  |
| denoisers (diffusion)      | `ConvSpec(cond_dim=d)`: FiLM on `TimeEmbedding`; `attention`            |
| denoiser, two encoders     | `Stage` by stage, fused between stages; `Decoder`                       |
| contrastive pre-training   | `Encoder`, `Decoder` with `finest=l`; `save_encoder`, `load_encoder`    |
| FocalMix detector          | `Encoder`, `Decoder`; anchor heads from `conv` on chosen levels         |
| survey zoo                 | `Encoder`, its `at_output_stride`; necks and heads of `Conv`, `ConvBlock`, `context` |

Random initial weights come from torch's generator: build nets inside `with seeded(seed):`.
"""

from hyperseg.backbone.attention import SelfAttention
from hyperseg.backbone.blocks import ConvBlock, FiLM, ResidualBlock, UpBlock
from hyperseg.backbone.conv import Conv, ConvTranspose, own_statistics, scale_weights, seeded
from hyperseg.backbone.decoder import Decoder
from hyperseg.backbone.embed import ClassEmbedding, TimeEmbedding
from hyperseg.backbone.encoder import Encoder, Pyramid, Stage
from hyperseg.backbone.fusion import absorb_linear, fuse_batch_norm
from hyperseg.backbone.groups import BandGroups, GroupEncoder, Groups
from hyperseg.backbone.heads import ClassHead, DeepSupervision, PairHead, PoolHead
from hyperseg.backbone.layers import dropout
from hyperseg.backbone.resize import resized
from hyperseg.backbone.spec import BackboneSpec, ConvSpec, StageSpec
from hyperseg.backbone.transfer import load_encoder, save_encoder

__all__ = [
    "BackboneSpec", "BandGroups", "ClassEmbedding", "ClassHead", "Conv", "ConvBlock", "ConvSpec", "ConvTranspose",
    "Decoder", "DeepSupervision", "Encoder", "FiLM", "GroupEncoder", "Groups", "PairHead", "PoolHead", "Pyramid",
    "ResidualBlock", "SelfAttention", "Stage", "StageSpec", "TimeEmbedding", "UpBlock", "absorb_linear",
    "dropout", "fuse_batch_norm", "load_encoder", "own_statistics", "resized", "save_encoder", "scale_weights",
    "seeded",
]  # fmt: skip
