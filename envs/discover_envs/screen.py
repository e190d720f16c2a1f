"""Screen: a window that shows the pictures of an environment at their own pace."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np

__all__ = ["Screen"]


class Screen:
    """A window of pygame, opened with the first picture.

    Parameters
    ----------
    title : str
    rate : int
        Pictures per second of the clock on the wall.
    """

    def __init__(self, title: str, rate: int) -> None:
        self.title, self.rate = title, rate
        self._window: Any = None

    def show(self, pixels: np.ndarray) -> None:
        """Show a picture, shape (height, width, 3), uint8, when it is due.

        Raises
        ------
        gymnasium.error.DependencyNotInstalled
            Without pygame.
        """
        try:
            import pygame
        except ImportError:
            raise gymnasium.error.DependencyNotInstalled(
                "render_mode 'human' needs pygame; run `pip install pygame-ce`."
            ) from None
        if self._window is None:
            pygame.display.init()
            self._window = pygame.display.set_mode(pixels.shape[1::-1])
            self._clock = pygame.time.Clock()
            pygame.display.set_caption(self.title)
        picture = pygame.surfarray.make_surface(pixels.swapaxes(0, 1))
        self._window.blit(picture, (0, 0))
        pygame.event.pump()  # a window that never listens is taken for dead
        pygame.display.flip()
        self._wait()

    def _wait(self) -> None:
        self._clock.tick(self.rate)

    def close(self) -> None:
        """Close the window, if there is one."""
        if self._window is not None:
            import pygame

            pygame.display.quit()
            self._window = None
