"""What takes seconds to import. Python's fork server imports it once, for all processes that running.py forks."""

import gc
import os
import signal

from support.tensorflow import startup

startup.set_environment()
os.environ.pop("MPLBACKEND", None)  # as process.run() does
with startup.silent_stderr():
    import matplotlib.backends.backend_agg
    import matplotlib.image
    import matplotlib.layout_engine
    import matplotlib.ticker  # noqa: F401
    import tensorflow.compat.v1  # noqa: F401

    import tests.in_fork  # noqa: F401
# To lay out a picture takes half of the time to draw it, and no test looks at the layout.
matplotlib.layout_engine.ConstrainedLayoutEngine.execute = lambda engine, figure: {}
signal.signal(signal.SIGINT, signal.SIG_DFL)  # in a fork, until in_fork.py sets it
gc.freeze()  # so that forks share the memory of all this
