"""Where small fleets, their readings and a pipeline were; they are in `gaugecast.testing`."""

from gaugecast.testing import SECOND as SECOND
from gaugecast.testing import T0 as T0
from gaugecast.testing import bodies_of as bodies_of
from gaugecast.testing import features_of as features_of
from gaugecast.testing import feed as feed
from gaugecast.testing import fleet_of as fleet_of
from gaugecast.testing import installed as installed
from gaugecast.testing import messages_of as messages_of
from gaugecast.testing import model_for as model_for
from gaugecast.testing import outputs_of as outputs_of
from gaugecast.testing import pipeline_of as pipeline_of
from gaugecast.testing import reading as reading
from gaugecast.testing import timer as timer
from gaugecast.testing import verdicts_of as verdicts_of
