"""The cart-pole of the DeepMind control suite in plain MuJoCo, written out from its facts."""

from __future__ import annotations

from typing import Any

__all__ = ["MODEL", "load_mujoco"]

# Tassa et al., "dm_control: Software and tasks for continuous control", Software Impacts 6 (2020).
# The tolerance is 0 so that each constraint is solved to rounding; MuJoCo's default of 1e-8 stops
# its solver earlier, which chaos then makes as large as 3e-5 in some episodes of 1,000 steps.
MODEL = """
<mujoco>
  <option timestep="0.01" integrator="RK4" tolerance="0" ls_tolerance="1e-10">
    <flag contact="disable"/>
  </option>
  <worldbody>
    <body pos="0 0 1">
      <joint name="slider" type="slide" axis="1 0 0" damping="5e-4"
             limited="true" range="-1.8 1.8" solreflimit="0.08 1"/>
      <geom type="box" size="0.2 0.15 0.1" mass="1"/>
      <body>
        <joint name="hinge" type="hinge" axis="0 1 0" damping="2e-6"/>
        <geom type="capsule" fromto="0 0 0 0 0 1" size="0.045" mass="0.1"/>
      </body>
    </body>
  </worldbody>
  <actuator><motor joint="slider" gear="10" ctrllimited="true" ctrlrange="-1 1"/></actuator>
</mujoco>
"""


def load_mujoco() -> tuple[Any, Any, Any]:
    """Return the module mujoco, the compiled model and its data.

    Raises
    ------
    ImportError
        If mujoco is not installed.
    """
    import mujoco

    model = mujoco.MjModel.from_xml_string(MODEL)
    return mujoco, model, mujoco.MjData(model)
