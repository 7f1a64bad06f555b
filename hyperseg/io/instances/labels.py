"""Labels of a folder that number objects: read one case at a time, and told from masks without numbers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hyperseg.core import LabelError
from hyperseg.core.words import counted, some
from hyperseg.io.cases.case import Case
from hyperseg.io.cases.decode import decode_label
from hyperseg.io.cases.picture import turned
from hyperseg.io.cases.read import REMEDY, misfit, read_image
from hyperseg.io.instances.maps import read_instances

REMEDY_IDS = (
    "Write labels with a number for each object (1, 2, 3, ...; 0 is background) as X_inst.png or in a folder "
    "instances/: objects that touch cannot be told apart without."
)


def read_instance_labels(case: Case) -> NDArray[np.int32]:
    """(*S) objects of a case that has a label, axes as `read_case` gives them: 0 is background.

    Numbers are those of the file. Of several masks (a file for each object, say) the objects are counted on, and a
    pixel belongs to the first that has it.

    Raises:
        DataFileError: unreadable.
        LabelError: another grid than the image, or values that are no numbers of objects.
    """
    assert case.label is not None
    image = read_image(case)
    found: NDArray[np.int32] | None = None
    for path in (case.label, *case.also):
        if (why := misfit(image, decode_label(path))) is not None:
            raise LabelError(f"{path}: {why} than {case.images[0].name}. {REMEDY}")
        more = read_instances(path)
        if found is None:
            found = more
        else:
            ids, places = np.unique(more, return_inverse=True)
            numbers = np.where(ids > 0, found.max() + np.cumsum(ids > 0), 0).astype(np.int32)
            found = np.where(found > 0, found, numbers[places].reshape(more.shape))
    assert found is not None
    return np.ascontiguousarray(turned(found[..., None], image.place)[..., 0])


def check_instance_labels(cases: Sequence[Case]) -> None:
    """Refuse labels that number no objects: no case has two numbers, so that all of its objects are one.

    A case of one object has one number in a map of objects as well: it is all cases together that tell.

    Raises:
        DataFileError: unreadable.
        LabelError: masks without numbers, or no object anywhere; it says what was found.
    """
    known: set[int] = set()
    first: Path | None = None
    labelled = [case for case in cases if case.label is not None]
    for case in labelled:
        assert case.label is not None
        first = first or case.label
        numbers = _numbers(read_instances(case.label))
        if len(numbers) > 1 or case.also:
            return
        known |= numbers
    if first is None:
        raise LabelError("no case has a label: objects are learnt from maps that number them.")
    what = f"the values 0 and {some(map(str, sorted(known)), 3)} alone" if known else "nothing but background"
    raise LabelError(
        f"{first}: masks without numbers: each of {counted(len(labelled), 'label')} holds {what}. {REMEDY_IDS}"
    )


def _numbers(found: NDArray[Any]) -> set[int]:
    return {int(number) for number in np.unique(found)} - {0}
