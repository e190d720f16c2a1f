"""Film: an episode under a policy, as a moving picture."""

from __future__ import annotations

from pathlib import Path

import gymnasium
import numpy as np

from discover.control.plant import Plant
from discover.control.policy import actor
from discover.files import replacing
from discover.symbolic import SymbolicModel

__all__ = ["film"]

_WIDEST = 480
_FEWEST, _MOST = 10, 25  # frames per second


def film(
    policy: SymbolicModel, env: str, path: str | Path, *, seed: int = 0, n_steps: int | None = None
) -> float:
    """Play an episode and write it as an animated GIF.

    Parameters
    ----------
    policy : SymbolicModel
        Of kind "direct", from observations to actions.
    env : str
        The id of an environment that renders "rgb_array".
    path : path
    seed : int, default=0
        Of the episode.
    n_steps : int, optional
        By default the whole episode.

    Returns
    -------
    float
        The return of what was filmed.

    Raises
    ------
    ValueError
        If the environment draws no pictures.
    """
    try:
        made = gymnasium.make(env, render_mode="rgb_array")
    except (gymnasium.error.Error, ImportError, TypeError) as error:
        raise ValueError(
            f"film: env must be an id known to gymnasium that renders 'rgb_array'; got {env!r}. "
            f"{error}"
        ) from None
    plant = Plant(made, seed=seed)
    rate = float(made.metadata.get("render_fps", 30))
    every = max(1, round(rate / _MOST))
    frames: list[np.ndarray] = []

    def acting(seen: np.ndarray) -> np.ndarray:
        if len(taken) % every == 0:
            frames.append(np.asarray(made.render()))
        taken.append(1)
        return perform(seen)

    taken, perform = list[int](), actor(policy, plant.box)
    episode = plant.run(acting, n_steps or plant.horizon, purpose="evaluate")
    frames.append(np.asarray(made.render()))
    made.close()
    _write(frames, Path(path), max(rate / every, _FEWEST))
    return float(episode.rewards.sum())


def _write(frames: list[np.ndarray], path: Path, rate: float) -> None:
    from PIL import Image

    pictures = []
    for frame in frames:
        picture = Image.fromarray(frame)
        if picture.width > _WIDEST:
            size = (_WIDEST, round(picture.height * _WIDEST / picture.width))
            picture = picture.resize(size)
        pictures.append(picture.quantize(64))
    with replacing(path) as draft:
        pictures[0].save(
            draft, format="GIF", save_all=True, append_images=pictures[1:],
            duration=round(1000.0 / rate), loop=0,
        )  # fmt: skip
