"""Control with formulas: surrogates, policies and agents, from few real steps."""

from discover.control.agents import Agent, CMAAgent, Search
from discover.control.coordinates import Coordinates, Drift, detect_coordinates
from discover.control.dynamics import DynamicsLearner, LearnedDynamics
from discover.control.environments import SurrogateEnv, SurrogateVectorEnv
from discover.control.harvest import HarvestPlanner
from discover.control.plant import Plant
from discover.control.policy import ActionBox, PolicyForm, act
from discover.control.reward import RewardLearner, given_outcome
from discover.control.surrogate import Surrogate
from discover.control.training import SINDyRL
from discover.control.transitions import Episode, Transitions

__all__ = [
    "ActionBox",
    "Agent",
    "CMAAgent",
    "Coordinates",
    "Drift",
    "DynamicsLearner",
    "Episode",
    "HarvestPlanner",
    "LearnedDynamics",
    "Plant",
    "PolicyForm",
    "RewardLearner",
    "SINDyRL",
    "Search",
    "Surrogate",
    "SurrogateEnv",
    "SurrogateVectorEnv",
    "Transitions",
    "act",
    "detect_coordinates",
    "given_outcome",
]
