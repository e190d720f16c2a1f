"""``discover assimilate``."""

import numpy as np
import pandas as pd

from discover import cli
from discover.assimilation.twins import lorenz63


def a_run(tmp_path):
    law, rng = lorenz63(), np.random.default_rng(0)
    times = np.arange(0, 10, 0.1)
    truth = np.asarray(law.simulate([1.5, -1.5, 25.5], times))
    table = pd.DataFrame({"t": times, "x": truth[:, 0], "y": truth[:, 1]})
    table[["x", "y"]] += rng.normal(size=(100, 2))
    table.loc[5:9, "y"] = np.nan
    table.to_csv(tmp_path / "seen.csv", index=False)
    law.save(tmp_path / "law.json")
    return truth, [str(tmp_path / "law.json"), str(tmp_path / "seen.csv"), "--time", "t"]


def test_a_state_that_is_not_measured_is_tracked(tmp_path, capsys):
    truth, files = a_run(tmp_path)
    out = tmp_path / "track.csv"
    options = ["--error", "1", "--start", "z=20+-6", "--out", str(out)]
    assert cli.main(["assimilate", *files, *options]) == 0
    found = pd.read_csv(out)
    assert list(found) == ["t", "x", "x_sd", "y", "y_sd", "z", "z_sd"]
    error = (found["z"] - truth[:, 2])[20:]
    assert np.sqrt((error**2).mean()) < 1.5
    assert "100 analyses of 3 states" in capsys.readouterr().err


def test_a_coefficient_is_estimated_with_the_state(tmp_path, capsys):
    _, files = a_run(tmp_path)
    options = ["--error", "x=1,y=1", "--parameter", "rho=y:x", "--start", "z=20+-6,rho=25+-3"]
    assert cli.main(["assimilate", *files, *options]) == 0
    last = capsys.readouterr().out.splitlines()
    rho = float(last[-1].split(",")[last[0].split(",").index("rho")])
    assert abs(rho / 28 - 1) < 0.03


def test_what_is_missing_is_asked_for(tmp_path, capsys):
    _, files = a_run(tmp_path)
    assert cli.main(["assimilate", *files, "--error", "1"]) == 2
    assert "z is not in the first row" in capsys.readouterr().err
    assert cli.main(["assimilate", *files, "--error", "1", "--start", "z=20"]) == 2
    assert "how sure z is" in capsys.readouterr().err
    assert cli.main(["assimilate", *files, "--error", "x=1", "--start", "z=20+-5"]) == 2
    assert "must give each of x, y" in capsys.readouterr().err
    assert cli.main(["assimilate", *files, "--error", "1", "--parameter", "rho"]) == 2
    assert "must be like rho=y:x" in capsys.readouterr().err
