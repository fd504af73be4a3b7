"""Where models for tests were; they are in `gaugecast.testing`."""

from gaugecast.testing.models import draw_weights as draw_weights
from gaugecast.testing.models import random_model as random_model
