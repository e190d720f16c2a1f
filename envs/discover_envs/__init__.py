"""Ground-truth gymnasium environments: the real world that `discover` learns from.

Nothing in `discover` except its command line and its benchmarks imports this package;
methods receive an environment as an argument, as they would receive a laboratory. Importing
it registers the environments: ``gymnasium.make("discover/CartPoleSwingup-v0")``.
"""

from __future__ import annotations

from gymnasium.envs.registration import make, make_vec, register, registry

__all__ = ["ENVIRONMENTS", "make", "make_vec", "register_all"]

#: Module and steps of an episode, by the name of the environment.
ENVIRONMENTS = {
    "CartPoleSwingup": ("cartpole", 1000),
    "PendulumSwingup": ("pendulum", 200),
    "AcrobotSwingup": ("acrobot", 1000),
    "LorenzControl": ("lorenz", 1000),
    "Lorenz96Control": ("lorenz96", 400),
    "KuramotoSivashinsky": ("kuramoto_sivashinsky", 400),
    "CylinderWakeMeanField": ("wake", 1000),
    "FisheryTippingPoint": ("fishery", 50),
    "FisheryUncertain": ("fishery_uncertain", 100),
    "ChemostatWashout": ("chemostat", 1000),
}


def register_all() -> None:
    """Make the environments known to gymnasium, single and as batches; once is enough."""
    for name, (module, steps) in ENVIRONMENTS.items():
        if f"discover/{name}-v0" not in registry:
            register(
                id=f"discover/{name}-v0",
                entry_point=f"discover_envs.{module}:{name}",
                vector_entry_point=f"discover_envs.{module}:{name}Vector",
                max_episode_steps=steps,
            )


register_all()
