"""What `keras-mtnet benchmark` tells of a machine: what it is, how fast, whether it is right."""
