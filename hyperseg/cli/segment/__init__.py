"""`hyperseg segment`: folders of images or volumes with labels. One line of `STEPS` for each of its commands."""

from __future__ import annotations

import click

from hyperseg.cli.main import LateGroup

# name -> (module, attribute, one line of help)
STEPS = {
    "check": ("hyperseg.cli.segment.check", "check", "Tell everything that is wrong with a folder, before training."),
    "plan": ("hyperseg.cli.segment.plan", "plan", "Plan networks for a folder, each choice with its reason."),
    "train": ("hyperseg.cli.segment.train", "train", "Train the planned networks by cross-validation."),
    "predict": ("hyperseg.cli.segment.predict", "predict", "Predict images with a trained run."),
    "evaluate": (
        "hyperseg.cli.segment.evaluate",
        "evaluate",
        "Tell how good and how honest the networks of a run are.",
    ),
    "score": ("hyperseg.cli.segment.score", "score", "Score predictions: Dice, IoU, HD95, ASSD."),
}


@click.command(cls=LateGroup, table=STEPS)
def segment() -> None:
    """Segment folders of images or volumes: begin with `hyperseg segment check DIR`.

    DIR is one of these; images and labels are paired by their names, and every command tells the rule it found:

    \b
      DIR/dataset.json            Medical Segmentation Decathlon, or nnU-Net's raw data:
      DIR/imagesTr/liver_1.nii.gz   images (several channels: a 4-D file, or liver_1_0000, liver_1_0001)
      DIR/labelsTr/liver_1.nii.gz   labels
      DIR/imagesTs/liver_9.nii.gz   images to predict

    \b
      DIR/images/a.png            two folders; also imgs, imagesTr; labels, masks, annotations
      DIR/labels/a.png              the same name, or a_mask, a_label, a_seg, a_gt
      DIR/images/b_t1.nii.gz        several channels: b_t1, b_flair; or b_0000, b_0001

    \b
      DIR/a.jpg  DIR/a_mask.png   pairs in one folder
      DIR/a.h5                    one file with the arrays "image" and "label"
      DIR/p1/p1_t1.nii.gz         a folder for every case, with p1_t1, p1_flair ... and p1_seg

    DIR may hold several such folders (training, test; benign, malignant). Cases in one called "test", or named in
    DIR/test.list (or test.txt), are never learnt from: `predict RUN DIR` predicts them, `score` scores them.
    Files are .nii, .nii.gz (pip install "hyperseg[medical]"), .png, .jpg, .tif, .bmp, .npy, .npz and .h5.

    Labels are whole numbers: 0 for background, 1, 2... for classes. Masks of 0 and 255 are two classes. Where labels
    number objects (nuclei), call the folder instances/ or the files a_inst.png: all objects are one class.
    --target learns some classes alone or as one (cup, rim+cup, all, disc=1+2), all else as background.
    Cases of one patient stay together: DIR/groups.csv with lines name,group, or names that begin with the patient
    (patient001_frame01). NIfTI files say how large their voxels are. Of others an .h5 or .npz may, as "spacing"; else
    DIR/spacing.csv (lines name,Z,Y,X or *,Z,Y,X in mm), "spacing" in dataset.json, or --spacing, which a run remembers.

    \b
    Examples:
      hyperseg segment check Task04_Hippocampus
      hyperseg segment check photos --json faults.json
      hyperseg segment plan Task04_Hippocampus --out plan.json
      hyperseg segment train Task04_Hippocampus --minutes 20
      hyperseg segment predict Task04_Hippocampus-run Task04_Hippocampus/imagesTs --out predicted
      hyperseg segment evaluate photos-run --out photos-evaluation
      hyperseg segment score predicted truth --out metrics.json
    """
