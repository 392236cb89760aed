"""Pages in a headless Chromium, for the tests: the result of a script in a page, and the console."""

import base64
import json
import re
import shutil
import subprocess

import pytest

from support.pictures.page import sha256

NAMES = ("chromium", "chromium-browser", "google-chrome")
CHROMIUM = next((name for name in NAMES if shutil.which(name)), None)
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here; apt-get install chromium")
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
FLAGS += ["--disable-component-update", "--disable-sync", "--disable-dev-shm-usage", "--enable-logging=stderr"]


def result_of(page, script, folder, flags=()):
    """Opens a page with one more script, which may call finish(value) once.

    Args:
      page: str, the HTML. Its content security policy allows only scripts that it names, so the script is added to it.
      script: str of JavaScript.
      folder: pathlib.Path of an empty folder.
      flags: more flags for Chromium.

    Returns:
      value: the argument of finish(), or None.
      console: list of str, the lines of the console.
    """
    script = f"{{\n{FINISH}\n{script}\n}}"
    page = page.replace("script-src ", f"script-src {sha256(script)} ")
    page = page.replace("</body>", f"<script>{script}</script></body>")
    path = folder / "page.html"
    path.write_text(page, encoding="utf-8")
    options = [f"--user-data-dir={folder / 'profile'}", "--virtual-time-budget=60000", "--dump-dom", *flags]
    process = subprocess.run(
        [CHROMIUM, *FLAGS, *options, path.as_uri()], capture_output=True, text=True, encoding="utf-8", timeout=300
    )
    found = re.search(r'<pre id="result">([^<]*)</pre>', process.stdout)
    value = json.loads(base64.b64decode(found[1])) if found else None
    return value, re.findall(r"CONSOLE\S* (.*)", process.stderr)


FINISH = """
const finish = (value) => {
  const bytes = new TextEncoder().encode(JSON.stringify(value));
  const result = document.createElement("pre");
  result.id = "result";
  result.textContent = btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(""));
  document.body.append(result);
};
"""
