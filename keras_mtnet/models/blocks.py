"""Networks of plain layers as networks of blocks, of which those alike share a function."""

import re
from collections import Counter
from typing import Any

import keras
from keras import tree

from keras_mtnet.layers.stateless_block import StatelessBlock, settings

# How layers of one block are named: "stage1_block2", "stage1_block2_conv1", "stage1_slow_block2".
NAME = re.compile(r"stage\d+(_[a-z]+)?_block\d+(?=_|$)")
Groups = dict[str, list[Any]]  # layers by block in the order of their calls; others stand alone


class Block(StatelessBlock, keras.Model):
    """A part of a network of layers, each of which is called once, with tensors or lists of them.

    Args:
        taken: tensors of the network that the part computes from.
        left: tensors that it computes.
    """

    def __init__(self, taken: list[Any], left: list[Any], name: str):
        super().__init__(taken, left, name=name)
        self.taken, self.left = taken, left
        numbers = {id(x): number for number, x in enumerate(taken)}
        self.wiring = []  # by number, what each layer takes
        for layer in _called(self):
            self.wiring.append([numbers[id(x)] for x in tree.flatten(layer.input)])
            for y in tree.flatten(layer.output):
                numbers[id(y)] = len(numbers)
        self.wiring.append([numbers[id(y)] for y in left])

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        if self._is_function(inputs, training):
            return self._call_function(inputs, training)
        return super().call(inputs, training=training, mask=mask)

    def description(self, shapes: Any) -> Any:
        return list(self.wiring), [settings(layer) for layer in _called(self)]

    def kind(self) -> str:
        """What it has in common with those alike."""
        return repr((self.description(None), [(x.shape, x.dtype) for x in self.taken]))


def in_blocks(network: keras.Model) -> keras.Model | None:
    """The same network on the same weights, but of blocks, where two are alike, and other layers.

    Returns:
        None for a network without blocks alike, or with something that cannot be called again:
        operations that are no layers, layers that are called twice or on tensors of another model.
    """
    groups: Groups = {}
    for layer in _called(network):
        found = NAME.match(layer.name)
        groups.setdefault(found[0] if found else layer.name, []).append(layer)
    takers = {id(x): {"outputs"} for x in tree.flatten(network.output)}
    for name, layers in groups.items():
        for x in _ends(layers, "input"):
            takers.setdefault(id(x), set()).add(name)
    made = [*tree.flatten(network.input), *_ends(_called(network), "output")]
    if takers.keys() - set(map(id, made)):
        return None
    blocks = _blocks_alike(groups, takers)
    try:
        return _connected(network, groups, blocks) if blocks else None
    except KeyError:  # layers outside of a block that wait for a part of it, and it for them
        return None


def _blocks_alike(groups: Groups, takers: dict[int, set[str]]) -> dict[str, Block]:
    """By name, each block that is like another; `takers` has who takes which tensor."""
    blocks = {}
    for name, layers in groups.items():
        if len(layers) > 1:
            made = {id(y): y for y in _ends(layers, "output")}
            taken = {id(x): x for x in _ends(layers, "input") if id(x) not in made}
            left = [y for key, y in made.items() if takers.get(key, set()) - {name}]
            blocks[name] = Block(list(taken.values()), left, name)
    kinds = {name: block.kind() for name, block in blocks.items()}
    counts = Counter(kinds.values())
    return {name: block for name, block in blocks.items() if counts[kinds[name]] > 1}


def _connected(network: keras.Model, groups: Groups, blocks: dict[str, Block]) -> keras.Model:
    """The network once more, with blocks in place of their layers."""
    tensors = {id(x): x for x in tree.flatten(network.input)}

    def current(old: Any) -> Any:
        return tree.map_structure(lambda x: tensors[id(x)], old)

    for name, layers in groups.items():
        if name in blocks:
            calls = [(blocks[name], blocks[name].taken, blocks[name].left)]
        else:
            calls = [(layer, layer.input, layer.output) for layer in layers]
        for called, taken, left in calls:
            made = tree.flatten(called(current(taken)))
            tensors.update(zip(map(id, tree.flatten(left)), made, strict=True))
    return keras.Model(network.input, current(network.output), name=network.name)


def _called(network: keras.Model) -> list[Any]:
    return [each for each in network.layers if not isinstance(each, keras.layers.InputLayer)]


def _ends(layers: list[Any], end: str) -> list[Any]:
    """The tensors that the layers take ("input") or make ("output")."""
    return [x for layer in layers for x in tree.flatten(getattr(layer, end))]
