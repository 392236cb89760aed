import command
import pytest
from hypothesis import settings

settings.register_profile("shared machine", deadline=None)
settings.load_profile("shared machine")


@pytest.fixture(autouse=True)
def no_process_is_left_running():
    yield
    for process in command.started:
        process.kill()
        process.wait()
    command.started.clear()
