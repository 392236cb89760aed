import pytest
import running
from hypothesis import settings

settings.register_profile("shared machine", deadline=None)
settings.load_profile("shared machine")


@pytest.fixture(autouse=True)
def no_process_is_left_running():
    yield
    for process in running.started:
        process.kill()
        process.wait()
    running.started.clear()
