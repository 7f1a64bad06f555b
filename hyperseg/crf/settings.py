"""Settings of the conditional random fields: the dense CRF, mean field on a grid, and the deep CRF. No torch."""

from __future__ import annotations

from typing import Literal

from hyperseg.core import SettingError
from hyperseg.core.settings import option, settings

Engine = Literal["lattice", "pydensecrf"]
Order = Literal["parallel", "checkerboard", "sequential"]
Form = Literal["residual", "joint"]
Fuse = Literal["conv", "mean"]


@settings
class DenseCRF:
    """Settings of the fully connected CRF.

    Source: widths and weights are the customary example values of pydensecrf, the floor is that of its
        `unary_from_softmax`; 5 to 10 iterations are the advice of Krähenbühl & Koltun 2011. What Zhong et
        al. used for hyperspectral scenes is not known: `hyperseg.crf.tune` chooses on validation pixels.
    """

    gaussian_sxy_px: float = option(3.0, "Standard deviation of the Gaussian kernel in pixels.", above=0)
    gaussian_weight: float = option(3.0, "Weight of the Gaussian kernel; 0 leaves it out.", low=0)
    bilateral_sxy_px: float = option(80.0, "Standard deviation of the bilateral kernel in pixels.", above=0)
    bilateral_sfeature: float = option(
        13.0, "Standard deviation of the bilateral kernel in units of the guide (0 to 255).", above=0
    )
    bilateral_weight: float = option(10.0, "Weight of the bilateral kernel; 0 leaves it out.", low=0)
    iterations: int = option(5, "Iterations of mean field; 0 changes nothing.", low=0, high=10_000)
    floor: float = option(
        1e-5,
        "Probabilities are raised to this before the logarithm, so that no pixel is beyond correction.",
        above=0,
        below=0.5,
    )

    @property
    def changes_nothing(self) -> bool:
        """True where no iteration or no kernel is left."""
        return self.iterations == 0 or (self.gaussian_weight == 0 and self.bilateral_weight == 0)


@settings
class MeanField:
    """Settings of mean field.

    Parallel sweeps are the fastest and the only differentiable ones, but where the tables are strong they can swing to
    and fro between two answers. The other two orders never raise the free energy.

    Source: the three orders and damping are the customary ones; Lin et al. 2016 (arXiv 1504.01013) use mean field
        without saying which.
    """

    iterations: int = option(10, "Sweeps over all nodes; 0 gives softmax(-unary).", low=0, high=10_000)
    order: Order = option(
        "parallel",
        "All nodes are updated from the values of the last sweep (parallel), or one colour after the other, where no "
        "two nodes of a colour share an edge (checkerboard), or node after node, row by row (sequential).",
    )
    damping: float = option(0.0, "Share of a node's old value that an update keeps.", low=0, below=1)

    def reach(self, radius: int) -> int:
        """How many nodes away, along rows or columns, another node can still change a node's answer.

        A tile cut with this halo gives the whole grid's answer inside the halo, see `meanfield.infer(origin=...)`.

        Args:
            radius: of the edges.

        Raises:
            SettingError: sequential order, in which a sweep carries from the first node to the last.
        """
        match self.order:
            case "parallel":
                return self.iterations * radius
            case "checkerboard":
                return self.iterations * radius * colours(radius)
            case _:
                raise SettingError(
                    "sequential mean field needs the whole grid: a sweep can carry from the first node to the "
                    'last. For tiles use order="checkerboard" or "parallel".'
                )


def colours(radius: int) -> int:
    """Colours of the checkerboard: 2 on the 4-neighbour grid, (radius + 1)^2 beyond."""
    return 2 if radius <= 1 else (radius + 1) ** 2


@settings
class DeepCRF:
    """Settings of the deep CRF; a reconstruction, as no layer table of the paper is known to us.

    Source: Alam et al., TGRS 2019, on Lin et al., CVPR 2016.
    Differs: 4 neighbours, not a large box; the "residual" form; nodes of stride 1 are pixels, their cubes overlap.
    """

    stride: Literal[1, 2, 4] = option(1, "Side of a node's cell in pixels; with 1 every pixel is a node.")
    radius: int = option(
        1, "Nodes up to this distance, rows plus columns, are joined; 1 is the four neighbours.", low=1, high=256
    )
    hidden: int = option(128, "Width of the pairwise heads.", low=1, high=65_536)
    form: Form = option(
        "residual",
        "The heads add to the unary scores and the table (residual), or give the whole probability of a pair, as "
        "published (joint).",
    )
    weight: float = option(0.3, "Factor on the pairwise energies.", low=0)
    heads: float = option(1.0, "How far the scores read off features are followed; 0 leaves the table alone.", low=0)
    inference: MeanField = option(MeanField(iterations=30, damping=0.25), "Mean field on the nodes.")
