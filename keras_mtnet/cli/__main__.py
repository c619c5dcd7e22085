"""`python -m keras_mtnet.cli` is `keras-mtnet`."""

from keras_mtnet.cli import main

main()
