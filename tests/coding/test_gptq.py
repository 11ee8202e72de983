"""Joint rounding: whole numbers whose products are nearer than those of the nearest ones."""

import numpy as np
import pytest

from aecodec.coding.gptq import error_factor, round_jointly


def test_correlated_inputs_gain_by_joint_rounding() -> None:
    random = np.random.default_rng(0)
    inputs = random.normal(size=(5000, 3)) @ random.normal(size=(3, 12))
    inputs += 0.1 * random.normal(size=inputs.shape)
    moments = inputs.T @ inputs / len(inputs)
    wanted = random.normal(0, 3, (7, 12))
    rounded, losses = round_jointly(wanted, error_factor(moments))
    np.testing.assert_array_equal(rounded, np.round(rounded))

    def errors(found: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> list[float]:
        missing = found - wanted
        return [float(row @ moments @ row) for row in missing]

    assert sum(errors(rounded)) < 0.5 * sum(errors(np.round(wanted)))
    assert errors(rounded) == pytest.approx(losses.tolist())


def test_independent_inputs_are_rounded_to_the_nearest() -> None:
    wanted = np.array([[0.4, -1.6, 2.5], [7.0, 0.5, -0.5]])
    rounded, losses = round_jointly(wanted, error_factor(np.eye(3)))
    np.testing.assert_array_equal(rounded, [[0, -2, 3], [7, 1, 0]])
    np.testing.assert_allclose(losses, [0.16 + 0.16 + 0.25, 0.5])
