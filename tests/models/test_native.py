"""A server compiled for this processor: kept if it says what the shipped one says and is quicker, and else thrown away.

`pip` and the server are small programs of the test's own; what compiling really gives is measured by hand.
"""

import json
import os
import sys
import textwrap
from importlib.metadata import version
from pathlib import Path
from tempfile import mkdtemp

import pytest

from tale_core.errors import NativeBuildError
from tale_core.models.embedded import native
from tale_core.models.embedded.catalog import embedded_model
from tale_core.models.embedded.run_folder import RunFolder
from tale_core.settings import Settings

SERVER = """
import http.server, json, math, threading
SHARE, RATE = {share}, {rate}

class Nothing:
    def __getattr__(self, name):
        value = Nothing()
        setattr(self, name, value)
        return value

class Answers(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        tops = [{{"id": i, "logprob": math.log(part)}} for i, part in enumerate((SHARE, 1 - SHARE))]
        body = json.dumps({{"completion_probabilities": [{{"top_logprobs": tops}}],
                           "timings": {{"predicted_per_second": RATE, "prompt_per_second": 10 * RATE}}}}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass

CommonParams = Nothing

class Server:
    def __init__(self, _):
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answers)
        self.listening_address = "http://127.0.0.1:%d" % server.server_port
        threading.Thread(target=server.serve_forever, daemon=True).start()
"""
PIP = """
import pathlib, sys
at = sys.argv.index
wanted = pathlib.Path(sys.argv[at("-r") + 1]).read_text()
assert "--require-hashes" in sys.argv and "--hash=sha256:" in wanted, wanted
print("[  7%] Building CXX object a.o")
print("[ 93%] Building CXX object z.o")
print("{words}")
if {code}:
    sys.exit({code})
site = pathlib.Path(sys.argv[at("--target") + 1])
site.mkdir()
(site / "xllamacpp.py").write_text({server!r})
"""


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(cache_dir=tmp_path / "cache", data_dir=tmp_path / "data")


def _build(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, *, share: float = 0.75, rate: float = 30.0, code: int = 0
) -> tuple[native.NativeBuild, list[tuple[str, float | None]]]:
    """Against a shipped server that says one token with 0.7 and writes 20 tokens a second."""
    settings.cache_dir.mkdir(parents=True, exist_ok=True)
    # A folder a build: Python takes a file of the same second and the same size for the one it has compiled.
    fakes = Path(mkdtemp(prefix="fakes-", dir=settings.cache_dir))
    (fakes / "xllamacpp.py").write_text(SERVER.format(share=0.7, rate=20.0))
    (fakes / "pip.py").write_text(PIP.format(code=code, words="the end", server=SERVER.format(share=share, rate=rate)))
    monkeypatch.setenv("PYTHONPATH", str(fakes))
    cmake = fakes / "cmake"
    cmake.touch(mode=0o700)
    monkeypatch.setenv("PATH", str(fakes), prepend=os.pathsep)
    monkeypatch.setenv("CXX", "any")
    said: list[tuple[str, float | None]] = []
    return native.build(settings, Path("model.gguf"), 2, lambda words, part: said.append((words, part)), turns=1), said


@pytest.mark.skipif(sys.platform == "win32", reason="compiles with cmake and a Unix compiler")
class TestABuild:
    def test_that_agrees_and_is_quicker_is_kept_and_gets_a_server_of_its_own_and_one_that_is_no_good_leaves_it_in_place(
        self, settings: Settings, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        model = embedded_model("smollm2-135m")
        before = RunFolder.of(model, settings).path
        assert native.site(settings) is None
        built, said = _build(settings, monkeypatch)
        assert native.current(settings) == built
        assert (built.version, built.largest_difference, built.tokens_per_s) == (
            version("xllamacpp"),
            0.05,
            (20.0, 30.0),
        )
        assert built.places == 12
        assert [part for _, part in said if part is not None] == [0.07, 0.93]
        site = native.site(settings)
        assert site
        assert (Path(site) / "xllamacpp.py").is_file()
        assert RunFolder.of(model, settings).path != before
        for made, words in (
            ({"share": 0.3}, "something else"),
            ({"rate": 19.0}, "not quicker"),
            ({"code": 3}, "could not be compiled (code 3)"),
        ):
            with pytest.raises(NativeBuildError) as e:
                _build(settings, monkeypatch, **made)  # type: ignore[arg-type]
            assert words in str(e.value)
            assert native.current(settings) == built, "one that is no good takes the place of one that is"
            assert [one.name for one in native.folder(settings).parent.iterdir()] == [native.folder(settings).name]
        # On another processor it is not used: it may hold instructions that this one does not know.
        monkeypatch.setattr(native, "processor", lambda: "another")
        assert native.site(settings) is None
        monkeypatch.undo()
        assert native.remove(settings)
        assert not native.remove(settings)
        assert RunFolder.of(model, settings).path == before

    def test_needs_a_compiler_and_cmake_and_says_so(self, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PATH", str(settings.cache_dir))
        monkeypatch.delenv("CXX", raising=False)
        with pytest.raises(NativeBuildError, match=r"cmake, C\+\+"):
            native.build(settings, Path("model.gguf"), 2, lambda *_: None)
        assert not native.folder(settings).parent.exists()


def test_the_source_is_the_locked_one_of_the_pinned_version() -> None:
    lock = (Path(__file__).parents[2] / "requirements.lock").read_text()
    block = lock.split(f"xllamacpp=={version('xllamacpp')}", 1)[1].split("\n    # via", 1)[0]
    assert native.SOURCE_SHA256[version("xllamacpp")] in block


def test_a_damaged_record_is_no_build(settings: Settings) -> None:
    record = native.folder(settings) / "build.json"
    record.parent.mkdir(parents=True)
    for text in ("{", "[]", "{}", json.dumps({"tokens_per_s": 1}), textwrap.dedent("null")):
        record.write_text(text)
        assert native.site(settings) is None
