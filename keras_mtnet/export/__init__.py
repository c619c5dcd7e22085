"""Exports that other programs serve without Keras and without this package, and back."""

from keras_mtnet.export.comparison import Comparison, compare_export
from keras_mtnet.export.exported_model import ExportedModel
from keras_mtnet.export.litert import export_litert
from keras_mtnet.export.loading import is_export, load_export
from keras_mtnet.export.onnx_file import export_onnx
from keras_mtnet.export.savedmodel import export_savedmodel

__all__ = [
    "Comparison",
    "ExportedModel",
    "compare_export",
    "export_litert",
    "export_onnx",
    "export_savedmodel",
    "is_export",
    "load_export",
]
