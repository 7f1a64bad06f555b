"""Methods, one file each; this is their table. They are imported when they are chosen, and need no torch for that."""

from hyperseg.core.parts import Entry, Parts

METHODS = Parts(
    "method",
    {
        "cnn3d": Entry(
            "hyperseg.recipes.methods.cnn3d:CNN3D",
            "spectral-spatial CNN after SSRN on within-class whitened spectra, 9x9 window",
        ),
        "ssrn": Entry(
            "hyperseg.recipes.methods.ssrn:SSRN",
            "the same with SSRN's short spectral convolutions, closer to the paper, slower",
        ),
        "hybrid": Entry(
            "hyperseg.recipes.methods.hybrid:HYBRID",
            "HybridSN-like: 3-D then 2-D convolutions on 30 principal components",
        ),
        "twin": Entry(
            "hyperseg.recipes.methods.twin:TWIN", "few labels: CNN with averaged features and balanced batches"
        ),
        "gan": Entry(
            "hyperseg.recipes.methods.gan:GAN",
            "the same network as the discriminator of a GAN, which also learns from unlabelled pixels",
        ),
        "deep-crf": Entry(
            "hyperseg.recipes.methods.deep_crf:DEEP_CRF",
            "a CNN over groups of bands, then a CRF with learnt potentials and a deconvolution network",
        ),
        "unet": Entry(
            "hyperseg.recipes.methods.unet:UNET",
            "U-Net whose window or patch, depth, width, batch and steps are planned from the data",
        ),
        "plain-unet": Entry(
            "hyperseg.recipes.methods.unets.plain_unet:PLAIN_UNET",
            "the planned U-Net without what tricks bring: folders only, what tricks are measured against",
        ),
        "medsegdiff": Entry(
            "hyperseg.recipes.methods.diffusion.medsegdiff:MEDSEGDIFF",
            "MedSegDiff: class masks drawn by a diffusion model, and how far they disagree",
        ),
        "feed-forward": Entry(
            "hyperseg.recipes.methods.diffusion.feed_forward:FEED_FORWARD",
            "the same network without diffusion, as its twin",
        ),
        "denoiser-head": Entry(
            "hyperseg.recipes.methods.diffusion.denoiser_head:DENOISER_HEAD",
            "few labels: a small head on the features of a denoiser that learnt from the pixels without labels",
        ),
        "bridged-unet": Entry(
            "hyperseg.recipes.methods.unets.bridged_unet:BRIDGED_UNET",
            "two planned U-Nets in a row, decoder maps of the first bridged into the encoder of the second",
        ),
        "wide-unet": Entry(
            "hyperseg.recipes.methods.unets.wide_unet:WIDE_UNET",
            "the planned U-Net, widened until it has as many parameters as the bridged one, as its control",
        ),
        "mask-rcnn": Entry(
            "hyperseg.recipes.methods.instances.mask_rcnn:MASK_RCNN",
            "Mask R-CNN: objects one by one, each with box and mask; folders whose labels number objects",
        ),
        "svm": Entry(
            "hyperseg.recipes.methods.svm:SVM", "support vector machine on single spectra, the usual baseline"
        ),
        "rf": Entry("hyperseg.recipes.methods.rf:RF", "random forest on single spectra"),
        "lda": Entry("hyperseg.recipes.methods.lda:LDA", "linear discriminant analysis on 3x3 means"),
    },
    families={
        "zoo": Entry(
            "hyperseg.recipes.methods.zoo:ZOO", "a network of the survey, as zoo:u-net; hyperseg networks lists them"
        )
    },
)
ON_FOLDERS = "unet"  # of folders of images and volumes, unless another is asked for
ON_INSTANCES = "mask-rcnn"  # of folders whose labels number objects, where nobody names another
WITHOUT_TRICKS = "plain-unet"  # of folders, what tricks are measured against
BASELINE = "svm"  # measured beside every method unless others are asked for
