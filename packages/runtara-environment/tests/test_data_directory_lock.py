import os

import pytest
from runtara_environment.data_directory_lock import LOCK_NAME, DataDirectoryLock
from runtara_sdk.errors import ConfigurationError


def test_the_second_environment_is_told_who_has_the_directory(tmp_path):
    lock = DataDirectoryLock.acquire(tmp_path / "data")
    with pytest.raises(ConfigurationError, match=f"process {os.getpid()} on .*DATA_DIR of its own"):
        DataDirectoryLock.acquire(tmp_path / "data")
    lock.release()
    DataDirectoryLock.acquire(tmp_path / "data").release()


def test_what_a_dead_holder_left_holds_nobody_up(tmp_path):
    (tmp_path / LOCK_NAME).write_text("garbage that is longer than what the next one writes" * 20)
    lock = DataDirectoryLock.acquire(tmp_path)
    with pytest.raises(ConfigurationError, match=f"process {os.getpid()}"):
        DataDirectoryLock.acquire(tmp_path)
    lock.release()
