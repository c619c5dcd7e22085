"""Which clips come when: seeds, epochs, and where an iteration begins."""

import gc
import threading
import time

import keras
import numpy as np
from clip_batches import SMALL, assert_same, take

from keras_mtnet.data import clips, sampling


def test_same_seed_gives_the_same_batches_whatever_the_parallelism(videos):
    runs = [
        take(clips(videos, training=True, seed=1, parallel_calls=calls, **SMALL), 6)
        for calls in (1, 2, 7)
    ]
    assert_same(runs[0], runs[1])
    assert_same(runs[0], runs[2])
    other = take(clips(videos, training=True, seed=2, **SMALL), 1)
    assert (other[0][0] != runs[0][0][0]).any()


def test_epochs_are_shuffled_passes_in_full_batches_of_known_number(videos):
    dataset = clips(videos, training=True, **SMALL)
    assert len(dataset) == 6  # 32 videos in batches of 6
    assert [each.shape for each in dataset.element_spec] == [(None, 4, 32, 32, 3), (None,)]
    epochs = [[y for _, y in dataset.as_numpy_iterator()] for _ in range(3)]
    assert all(len(y) == 6 for labels in epochs for y in labels)
    stream = np.concatenate([y for labels in epochs for y in labels])
    passes = [stream[start : start + 32] for start in (0, 32, 64)]
    assert all(np.bincount(labels).tolist() == [4] * 8 for labels in passes)
    assert passes[0].tolist() != passes[1].tolist()
    for labels, order in zip(
        passes, (sampling.epoch_order(0, e, 32) for e in range(3)), strict=True
    ):
        assert labels.tolist() == [videos[place].label for place in order]


def test_only_whole_iterations_use_up_an_epoch(videos):
    dataset = clips(videos, training=True, **SMALL)
    first = take(dataset, 2)
    assert dataset.position.epoch == 0
    assert_same(first, take(dataset, 2))
    whole = take(dataset, 6)  # exactly its length; Keras never asks for more
    assert_same(first, whole[:2])
    assert dataset.position.epoch == 1
    assert (take(dataset, 1)[0][0] != first[0][0]).any()
    dataset.position.epoch = 0
    assert_same(take(dataset, 2), first)
    for _ in dataset:
        pass
    assert dataset.position.epoch == 1


def test_skipped_batches_are_zeros_that_cost_nothing(videos, monkeypatch):
    options = {"training": True, "augment": "paper", **SMALL}
    whole = take(clips(videos, **options), 6)
    dataset = clips(videos, **options)
    dataset.position.skip = 4
    before = iter(dataset)
    next(before)
    assert dataset.position.skip == 0
    dataset.position.skip = 4
    next(before)  # an older iterator takes nothing of it
    batches = take(dataset, 6)
    assert not any(x.any() for x, _ in batches[:4])
    assert [x.shape for x, _ in batches] == [x.shape for x, _ in whole]
    assert_same(batches[4:], whole[4:])
    assert (dataset.position.epoch, dataset.position.skip) == (1, 0)


def test_the_videos_of_a_batch_are_named(videos):
    dataset = clips(videos, training=True, seed=3, **SMALL)
    labels = {video.name: video.label for video in videos}
    for epoch in range(2):
        for step, (_, y) in enumerate(take(dataset, 6)):
            names = dataset.batch_names(epoch, step)
            assert [labels[name] for name in names] == y.tolist()


def test_fit_reads_one_epoch_per_epoch(videos, recwarn):
    """Keras makes an iterator too many at the end of each epoch."""
    dataset = clips(videos, training=True, **SMALL)
    seen = []
    model = keras.Sequential([keras.layers.GlobalAveragePooling3D(), keras.layers.Dense(8)])
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    note = keras.callbacks.LambdaCallback(
        on_epoch_begin=lambda epoch, logs: seen.append(dataset.position.epoch)
    )
    valid = clips(videos[:5], **SMALL)
    model.fit(dataset, validation_data=valid, epochs=3, verbose=0, callbacks=[note])
    assert seen == [0, 1, 2] and dataset.position.epoch == 3
    assert int(model.optimizer.iterations) == 18
    assert not [w for w in recwarn if "ran out of data" in str(w.message)]


def test_data_sets_that_are_gone_leave_no_threads(videos):
    def reading():
        return sum(thread.name.startswith("read") for thread in threading.enumerate())

    gc.collect()
    before = reading()
    take(clips(videos, training=True, parallel_calls=3, **SMALL), 2)
    gc.collect()
    for _ in range(500):  # they finish what they have begun
        if reading() <= before:
            break
        time.sleep(0.02)
    assert reading() <= before


def test_what_is_made_of_a_data_set_outlives_it(videos):
    batches = iter(clips(videos, training=True, **SMALL).map(lambda x, y: y))
    gc.collect()
    assert len(list(batches)) == 6
