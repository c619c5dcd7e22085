"""Distillation: the loss in NumPy, what is learned and saved, and continuing where it stopped."""

import keras
import numpy as np
import pytest

import keras_mtnet as mt
from keras_mtnet.callbacks import StopOnNaN
from keras_mtnet.cli import main
from keras_mtnet.training import Distiller, TeacherScores, distill, precompute_teacher

SHAPE = (4, 16, 16, 3)
CLIPS = np.random.default_rng(0).integers(0, 256, (8, *SHAPE)).astype("uint8")


def network(seed, size=16, classes=5):
    keras.utils.set_random_seed(seed)
    shape = (4, size, size, 3)
    sizes = {
        "ratio": 1,  # which traces in half the time
        "stem_filters": 8,
        "head_filters": 8,
        "head_units": 7 if seed == 1 else 6,
        "dropout_rate": 0.0,
    }
    model = mt.MTNet((8,), (1,), classes=classes, input_shape=shape, **sizes)
    model.clip_spec = mt.ClipSpec(class_names=tuple("vwxyz")[:classes])
    return model


def test_loss():
    """Divergence of softened scores and distance of features, by their formulas in float64."""
    student, teacher = network(0), network(1)
    distiller = Distiller(student, teacher, temperature=3.0, feature_weight=0.5)
    y = {k: keras.ops.convert_to_numpy(v) for k, v in distiller(CLIPS, training=False).items()}
    head = teacher.get_layer("predictions").input
    scores, features = keras.Model(teacher.inputs[0], [teacher.output, head])(CLIPS, training=False)

    def soften(p):
        powers = np.asarray(p, "float64") ** (1 / 3)
        return powers / powers.sum(-1, keepdims=True)

    p, q = soften(scores), soften(y["scores"])
    a, b = np.asarray(features, "float64"), y["features"].astype("float64")
    cosine = (a * b).sum(-1) / np.linalg.norm(a, axis=-1) / np.linalg.norm(b, axis=-1)
    losses = 9 * (p * np.log(p / q)).sum(-1) + 0.5 * (1 - cosine)
    assert float(distiller.compute_loss(CLIPS, None, y)) == pytest.approx(losses.mean(), rel=1e-4)
    weights = np.array([2, 0, 0, 2, 1, 1, 1, 1], "float32")
    found = float(distiller.compute_loss(CLIPS, None, y, weights))
    assert found == pytest.approx((weights * losses).mean(), rel=1e-4)


def test_student_learns_and_teacher_does_not():
    student, teacher = network(0), network(1)
    before = teacher.get_weights()
    distiller = Distiller(student, teacher)
    assert len(distiller.weights) == len(student.weights) + 1  # the projection
    distiller.compile(keras.optimizers.Adam(3e-3))
    history = distiller.fit(CLIPS, np.zeros(8), epochs=25, batch_size=8, verbose=0).history
    assert history["loss"][-1] < 0.5 * history["loss"][0]
    for now, then in zip(teacher.get_weights(), before, strict=True):
        np.testing.assert_array_equal(now, then)


def test_student_of_smaller_clips():
    student, teacher = network(0), network(1, size=32)
    distiller = Distiller(student, teacher, shrink=2)
    clips = CLIPS.repeat(2, axis=2).repeat(2, axis=3)
    scores = distiller(clips, training=False)["scores"]
    np.testing.assert_allclose(scores, student(CLIPS, training=False), atol=1e-5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"temperature": 0}, "temperature=0"),
        ({"shrink": 0}, "shrink=0"),
        ({"feature_weight": -1}, "feature_weight=-1"),
    ],
)
def test_refuses(options, message):
    with pytest.raises(ValueError, match=message):
        Distiller(network(0), network(1), **options)


def test_refuses_other_classes():
    with pytest.raises(ValueError, match="a student of 3 and a teacher of 5 classes"):
        Distiller(network(0, classes=3), network(1))


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("distill") / "videos"
    mt.data.draw_dataset(root, groups=3, clips_per_group=1, frames=6, size=(48, 32))
    return root


def test_continues_where_it_stopped(root, tmp_path, monkeypatch):
    videos = mt.data.read_split("folder", root)
    options = {"epochs": 3, "batch_size": 4, "stride": 1, "checkpoint_steps": 1, "verbose": 0}
    keras.utils.set_random_seed(0)
    whole = distill(network(0), network(1), videos, tmp_path / "whole", **options)

    end = StopOnNaN.on_epoch_begin

    def stop(self, epoch, logs=None):
        end(self, epoch, logs)
        if epoch == 2:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(StopOnNaN, "on_epoch_begin", stop)
        distill(network(0), network(1), videos, tmp_path / "parts", **options)
    keras.utils.set_random_seed(7)
    parts = distill(network(3), network(1), videos, tmp_path / "parts", **options)
    one, two = mt.load_model(whole), mt.load_model(parts)
    for a, b in zip(one.get_weights(), two.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)
    rows = (tmp_path / "parts" / "history.csv").read_text().splitlines()
    assert [row.split(",")[0] for row in rows] == ["epoch", "0", "1", "2"]
    assert two.clip_spec.class_names == tuple("vwxyz") and two.clip_spec.size == 16


def test_command(root, tmp_path, capsys):
    network(1).save(tmp_path / "teacher.keras")
    words = ["distill", f"--teacher={tmp_path / 'teacher.keras'}"]
    words += [f"--root={root}", f"--output={tmp_path / 'out'}", "--model=MTNet", "--epochs=1"]
    words += ["--stage_filters=8", "--stage_depths=1", "--frames=4", "--size=16", "--stride=1"]
    with pytest.raises(SystemExit) as end:
        main(words)
    told = capsys.readouterr()
    assert not end.value.code, told.err
    assert str(tmp_path / "out" / "model.keras") in told.out
    assert mt.load_model(tmp_path / "out" / "model.keras").clip_spec.class_names == tuple("vwxyz")


def test_precomputed_teacher_is_the_teacher(root, tmp_path):
    """Its clips come again after `rounds` epochs; until then nothing else changes."""
    videos = mt.data.read_split("folder", root)
    options = {"batch_size": 4, "stride": 1, "augment": "randaugment", "verbose": 0}
    histories = []
    for name, own in {"live": {}, "stored": {"rounds": 2}}.items():
        distill(network(0), network(1), videos, tmp_path / name, epochs=2, **options, **own)
        histories.append((tmp_path / name / "history.csv").read_text().splitlines())
    for live, stored in zip(*histories, strict=True):
        if live[0] != "e":
            live, stored = ([float(x) for x in row.split(",")[:3]] for row in (live, stored))
            np.testing.assert_allclose(stored, live, rtol=2e-3)

    # Another student takes the file; its epochs repeat.
    path = tmp_path / "stored" / "teacher.npz"
    distill(network(2), path, videos, tmp_path / "other", epochs=3, **options)
    scores = TeacherScores.load(path)
    assert scores.log_scores.shape == (2 * 16, 5) and scores.class_names == tuple("vwxyz")
    data = mt.data.clips(videos, 4, training=True, size=16, batch_size=4, label_mode="number")
    data.position.period = 2
    numbers = [[int(n) for _, batch in data for n in batch] for _ in range(4)]
    assert numbers == [list(range(16)), list(range(16, 32))] * 2
    with pytest.raises(ValueError, match="seed was 0 there and is 1 here"):
        distill(network(2), path, videos, tmp_path / "wrong", seed=1, **options)
    assert not (tmp_path / "wrong").exists()


def test_precomputing_continues(root, tmp_path):
    videos = mt.data.read_split("folder", root)
    options = {"frames": 4, "size": 16, "batch_size": 4}
    one, two = tmp_path / "one.npz", tmp_path / "two.npz"
    precompute_teacher(network(1), videos, one, 2, **options)
    precompute_teacher(network(1), videos, two, 1, **options)
    before = TeacherScores.load(two)
    precompute_teacher(network(1), videos, two, 2, **options)
    a, b = TeacherScores.load(one), TeacherScores.load(two)
    np.testing.assert_array_equal(b.features[:16], before.features)
    np.testing.assert_array_equal(a.features, b.features)
    np.testing.assert_array_equal(a.log_scores, b.log_scores)
    with pytest.raises(ValueError, match="size was 16 there and is 32 here"):
        precompute_teacher(network(1, size=32), videos, two, frames=4, size=32, batch_size=4)
    (tmp_path / "bad.npz").write_bytes(b"no archive")
    with pytest.raises(ValueError, match="holds no scores of precompute_teacher"):
        TeacherScores.load(tmp_path / "bad.npz")
