"""That the TensorFlow peers of the benchmark still start, and do equal work."""

import json
import subprocess
import sys

import numpy as np
from running import ROOT

from benchmarks import work


def test_the_peers_have_equal_losses(tmp_path):
    work.make(tmp_path / "work.npz", batch_size=60, units=4)
    program = [sys.executable, "-m", "benchmarks.peer_tensorflow", tmp_path / "work.npz"]
    peers = [
        subprocess.run([*program, form], cwd=ROOT, input="", capture_output=True, text=True)
        for form in ("talk", "raw_rnn", "compiled")
    ]
    assert [peer.stderr for peer in peers] == [""] * 3
    talk, raw_rnn, compiled = (json.loads(peer.stdout)["losses"] for peer in peers)
    assert len(talk) == work.CHECKED_LOSSES
    np.testing.assert_allclose(raw_rnn, talk, rtol=1e-5)
    np.testing.assert_allclose(compiled, talk, rtol=1e-5)
