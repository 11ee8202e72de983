"""Options of the engine: what is refused, what is missing, what is not loaded."""

import subprocess
import sys

import pytest
from shell import ENVIRONMENT, Shell, assert_one_line


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["compress", "in", "-o", "out", "--workers", "2"], "--workers needs --engine ray"),
        (["compress", "in", "-o", "out", "--address", "x"], "--address needs --engine ray"),
        (["compress", "in", "-o", "out", "--block-size", "2"], "--block-size needs --engine ray"),
        (["compress", "in", "-o", "out", "--psnr-column"], "--psnr-column needs --engine ray"),
        (["decompress", "in", "-o", "out", "--column", "x"], "--column needs --engine ray"),
        (["anomaly", "score", "p", "in", "-o", "out"], "--output needs --engine ray"),
        (
            ["compress", "in", "-o", "out", "--engine", "ray", "-j", "1"],
            "--jobs is for one machine",
        ),
        (
            ["compress", "in", "-o", "out", "--engine", "ray", "--preserve"],
            "--preserve needs files",
        ),
        (
            ["features", "in", "-o", "out", "--engine", "ray", "-f"],
            "--force has nothing to replace",
        ),
        (["compress", "in", "--engine", "ray"], "needs -o"),
        (["compress", "in", "in", "-o", "out", "--engine", "ray"], "takes one INPUT"),
        (["compress", "-", "-o", "out", "--engine", "ray"], "no standard input or output"),
        (["compress", "in", "-o", "out", "--engine", "dask"], "'dask' is not"),
    ],
)
def test_wrong_usage(shell: Shell, arguments: list[str], reason: str) -> None:
    (shell.folder / "in").mkdir()
    assert_one_line(shell.run(*arguments), 2, reason)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["none", "none.png"])
def test_there_must_be_an_input(shell: Shell, name: str) -> None:
    result = shell.run("compress", name, "-o", "out", "--engine", "ray", "--workers", "1")
    assert_one_line(result, 1, f"there is no {name}")


def test_a_missing_engine_is_named(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray.data", None)
    (shell.folder / "in").mkdir()
    result = shell.run("compress", "in", "-o", "out", "--engine", "ray")
    assert_one_line(result, 1, "pip install 'aecodec[ray]'")


def test_other_commands_load_no_engine(shell: Shell) -> None:
    shell.picture("a.png")
    code = (
        "import sys\nfrom aecodec.cli import main\n"
        "try:\n    main(['compress', 'a.png', '-n'])\n"
        "finally:\n    assert not {'ray', 'pyarrow', 'fsspec'} & set(sys.modules)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=shell.folder, env=ENVIRONMENT, check=False,
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_a_ray_that_does_not_start_is_one_error(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    import ray

    def fail(**_about: object) -> None:
        raise Exception("The current node timed out\nduring startup.")  # as Ray does

    monkeypatch.setattr(ray, "init", fail)
    for name in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN"):
        monkeypatch.setenv(name, "")
    shell.picture("in.png")
    result = shell.run("compress", "in.png", "-o", "out", "--engine", "ray")
    reason = "Ray does not start on this machine: The current node timed out during startup."
    assert_one_line(result, 1, reason)
