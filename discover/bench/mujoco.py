"""Two of gymnasium's MuJoCo worlds: a swimmer, and two poles on a cart."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

from discover.bench.control import Task, measure, measure_all, rows
from discover.bench.record import table_path
from discover.bench.rows import Row

__all__ = ["TASKS", "double_pendulum", "run", "swimmer"]

_SEEDS = range(10)


def _made(name: str) -> Any:
    from discover.control import Plant

    return Plant(name).env


# -- a swimmer of three links ----------------------------------------------------------

_ANGLES = ("th", "th_1", "th_2")
_RATES = ("w", "w_1", "w_2")
_JOINTS = {joint: (-1.5, 1.5) for joint in _ANGLES[1:]}
#: Velocity of the middle of the body when it is straight, along the first link and across.
_ALONG, _ACROSS = "(vx*cos(th) + vy*sin(th))", "(vy*cos(th) - vx*sin(th))"
_FORWARD = "0.5*(a*cos(th) - b*sin(th) + a_before*cos(th_before) - b_before*sin(th_before))"
_BENT = "max(0, sign(max(abs(th_1), abs(th_2)) - 1.5))"


def _swimming() -> Any:
    """Show the swimmer's velocity in the frame of its first link."""
    from discover_envs.wrappers import ComputedObservation

    seen = {name: name for name in _ANGLES} | {"a": _ALONG, "b": _ACROSS}
    names = (*_ANGLES, "vx", "vy", *_RATES)
    return ComputedObservation(_made("Swimmer-v5"), seen | {n: n for n in _RATES}, names)


def _swimming_terms() -> Any:
    """Return what accelerates three links in a fluid: drag, centrifugal forces, torques.

    All of it times harmonics of the joint angles, which stand for the inverse of the inertia.
    The links are 1 long, and each meets the fluid as its middle moves across it.
    """
    from discover.libraries import SymbolicLibrary

    head = "(a*cos(th_1) + (b + 0.5*w)*sin(th_1))"  # of the first joint, in the second link's frame
    side = "((b + 0.5*w)*cos(th_1) - a*sin(th_1))"
    spin, turn = "(w + w_1)", "(w + w_1 + w_2)"
    tail = f"(({side} - {spin})*cos(th_2) - {head}*sin(th_2) - 0.5*{turn})"
    across = ["(b + w)", "w", f"({side} - 0.5*{spin})", spin, tail, turn]
    drag = [f"{v}*abs({v})" for v in across]
    turning = ["w*w", "w*w_1", "w_1*w_1", "w*w_2", "w_1*w_2", "w_2*w_2"]
    arguments = ["th_1", "th_2", "(th_1 + th_2)", "(2*th_1)", "(2*th_2)", "(th_1 - th_2)"]
    waves = ["1"] + [f"{f}({x})" for x in arguments for f in ("sin", "cos")]
    shapes, forces = SymbolicLibrary(", ".join(waves)), [*drag, *turning, "u0", "u1"]
    return shapes * SymbolicLibrary(", ".join(forces)) + SymbolicLibrary("a*w, b*w")


def swimmer(env: Any) -> Any:
    """Swim along x; bending the joints to their limits, where no smooth law holds, is fined."""
    from discover.control import CMAAgent, DynamicsLearner, SINDyRL
    from discover.libraries import SymbolicLibrary

    dynamics = DynamicsLearner(
        _swimming_terms(), threshold=0.03, scheme="rk4", bounds=_JOINTS, n_members=3
    )
    return SINDyRL(
        env, CMAAgent(16, 20, members=2, extensions=0), dynamics=dynamics, bounds=_JOINTS,
        explore=4000, hold=(2, 6), patience=0.3, target=340.0,
        reward=f"{_FORWARD} - 0.0001*(u0**2 + u1**2) - 20*{_BENT}",
        policy_library=SymbolicLibrary("th, th_1, th_2, a, b, w, w_1, w_2"),
    )  # fmt: skip


# -- two poles on a cart ---------------------------------------------------------------

_POLES = ("x", "sin_th_1", "sin_th_2", "cos_th_1", "cos_th_2", "v", "w_1", "w_2")
_HEIGHT = "(0.6*cos_th_1 + 0.6*(cos_th_1*cos_th_2 - sin_th_1*sin_th_2))"
_ASIDE = "(x + 0.6*sin_th_1 + 0.6*(sin_th_1*cos_th_2 + cos_th_1*sin_th_2))"
_STANDING = f"10 - 0.01*{_ASIDE}**2 - ({_HEIGHT} - 2)**2 - 0.001*w_1**2 - 0.005*w_2**2"


def _balancing() -> Any:
    """Leave out the force of the rail's ends, which nothing that is seen explains."""
    from discover_envs.wrappers import PartialObservation

    return PartialObservation(_made("InvertedDoublePendulum-v5"), range(len(_POLES)))


def _balancing_terms() -> Any:
    """Return what accelerates linked poles, times harmonics of their angles."""
    from discover.libraries import SymbolicLibrary

    turns = ("th_1", "th_2", "(th_1 + th_2)", "(th_1 - th_2)", "(2*th_1)", "(2*th_2)")
    waves = ["1"] + [f"{f}({x})" for x in turns for f in ("cos", "sin")]
    forces = "1, v, w_1, w_2, w_1*w_1, w_1*w_2, w_2*w_2, u"
    return SymbolicLibrary(", ".join(waves)) * SymbolicLibrary(forces)


def double_pendulum(env: Any) -> Any:
    """Keep two poles up, from the few steps that they take to fall; the cart is to stay central."""
    from discover.control import CMAAgent, DynamicsLearner, SINDyRL
    from discover.libraries import SymbolicLibrary

    dynamics = DynamicsLearner(_balancing_terms(), threshold=1e-2, scheme="rk4", n_members=3)
    return SINDyRL(
        env, CMAAgent(12, 25, n_starts=32, members=2, restarts=0), dynamics=dynamics,
        observation_names=_POLES, explore=1500, hold=(1, 4), horizon=200, patience=1.0,
        target=1845.0, terminal=f"1 - {_HEIGHT}",
        reward=f"{_STANDING} - 0.5*x**2",
        policy_library=SymbolicLibrary("x, sin_th_1, sin_th_2, v, w_1, w_2"),
    )  # fmt: skip


#: What is learned, by name.
TASKS: dict[str, Task] = {
    "swimmer": Task(_swimming, swimmer, 100_000, 282.0, 282.0),
    "double pendulum": Task(_balancing, double_pendulum, 23_000, 9100.0, 9100.0, every=9100.0),
}


def run(quick: bool = False) -> list[Row]:
    """Measure both with ten seeds, or with `quick` the second with one.

    Raises
    ------
    ValueError
        If MuJoCo is not installed.
    """
    if find_spec("mujoco") is None or find_spec("imageio") is None:
        raise ValueError(
            "bench: mujoco needs gymnasium's MuJoCo worlds; pip install 'gymnasium[mujoco]'."
        )
    if quick:
        return rows([measure("double pendulum", 0, TASKS)], TASKS)
    path = table_path().with_name("control.csv")
    return rows(measure_all(list(TASKS), _SEEDS, path, lambda result: None, TASKS), TASKS)
