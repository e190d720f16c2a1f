"""Control with formulas: surrogates, policies and agents, from few real steps."""

from discover.control.actor_critic import PPOAgent, SACAgent
from discover.control.agents import Agent, CMAAgent, Search
from discover.control.coordinates import Coordinates, Drift, detect_coordinates
from discover.control.distillation import Distillation
from discover.control.dynamics import DynamicsLearner, LearnedDynamics
from discover.control.environments import SurrogateEnv, SurrogateVectorEnv
from discover.control.film import film
from discover.control.gradient import GradientAgent
from discover.control.harvest import HarvestPlanner
from discover.control.memory import KnownPlant, PlantMemory, RecallingPolicy
from discover.control.modes import Modes
from discover.control.mppi import MPPIAgent, Planner
from discover.control.outcome import given_outcome
from discover.control.plant import Plant
from discover.control.policy import ActionBox, PolicyForm, act
from discover.control.presets import PRESETS, Preset
from discover.control.pruning import Pruning
from discover.control.recorded import RecordedPlant, read_transitions, transitions_of
from discover.control.reward import RewardLearner
from discover.control.sb3 import to_sb3
from discover.control.sparse import PolicyPath, SparsePolicy
from discover.control.stability import ClosedLoop, closed_loop
from discover.control.stops import Stops, detect_stops
from discover.control.surrogate import Surrogate
from discover.control.symmetry import Symmetry
from discover.control.termination import learn_termination
from discover.control.tracking import TensorBoardTracker, Tracker, WandbTracker, make_tracker
from discover.control.training import SINDyRL
from discover.control.transitions import Episode, Transitions
from discover.control.trust import (
    DisagreementMap,
    HorizonErrors,
    LearningCurve,
    disagreement_map,
    horizon_errors,
    learning_curve,
)

__all__ = [
    "PRESETS",
    "ActionBox",
    "Agent",
    "CMAAgent",
    "ClosedLoop",
    "Coordinates",
    "DisagreementMap",
    "Distillation",
    "Drift",
    "DynamicsLearner",
    "Episode",
    "GradientAgent",
    "HarvestPlanner",
    "HorizonErrors",
    "KnownPlant",
    "LearnedDynamics",
    "LearningCurve",
    "MPPIAgent",
    "Modes",
    "PPOAgent",
    "Planner",
    "Plant",
    "PlantMemory",
    "PolicyForm",
    "PolicyPath",
    "Preset",
    "Pruning",
    "RecallingPolicy",
    "RecordedPlant",
    "RewardLearner",
    "SACAgent",
    "SINDyRL",
    "Search",
    "SparsePolicy",
    "Stops",
    "Surrogate",
    "SurrogateEnv",
    "SurrogateVectorEnv",
    "Symmetry",
    "TensorBoardTracker",
    "Tracker",
    "Transitions",
    "WandbTracker",
    "act",
    "closed_loop",
    "detect_coordinates",
    "detect_stops",
    "disagreement_map",
    "film",
    "given_outcome",
    "horizon_errors",
    "learn_termination",
    "learning_curve",
    "make_tracker",
    "read_transitions",
    "to_sb3",
    "transitions_of",
]
