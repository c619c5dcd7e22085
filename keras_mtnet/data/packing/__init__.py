"""Packed data sets: videos as JPEG frames in a few large files, with random access to any frame.

A packed set is a folder of shards. A shard is three files:

    shard-00003-of-00064.tfrecord   a SequenceExample for each video: context `clip/name`,
                                    `clip/label/index`, `image/height`, `image/width`, and the
                                    feature list `image/encoded` of JPEGs; any reader of TFRecords
                                    can use it
    shard-00003-of-00064.frames     where each frame lies in it, and its checksum: see
                                    `manifest.FRAME`
    shard-00003-of-00064.json       what the set is, what this shard holds and what could not be
                                    read; written last: a shard with it is finished

`manifest.json` is all the JSON files together. Whoever finishes the last shard writes it; while it
is not there, readers merge them themselves.
"""
