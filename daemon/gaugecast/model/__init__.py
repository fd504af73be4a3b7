"""The model: its manifest and its weights, in a format that cannot run code (ground layer)."""

from gaugecast.model.detection import Detection
from gaugecast.model.layers import Layer
from gaugecast.model.manifest import Manifest, Recipe
from gaugecast.model.weights import Model, load_model, pack_weights, save_model, seal_model, unpack_weights

__all__ = [
    "Detection",
    "Layer",
    "Manifest",
    "Model",
    "Recipe",
    "load_model",
    "pack_weights",
    "save_model",
    "seal_model",
    "unpack_weights",
]
