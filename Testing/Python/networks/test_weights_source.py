"""Files of pretrained weights: downloads from a server on this machine, the cache, and files that are not what they should be."""

from __future__ import annotations

import hashlib
import io
import pickle
import tarfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import torch
from AttentionSegLib.errors import Cancelled, InputError, OutputError
from AttentionSegLib.networks.weights_source import local_weights, read_weights
from safetensors.torch import save_file

CONTENT = bytes(range(256)) * 2**12 * 2 + b"rest"
STATE = {"conv1.weight": torch.arange(6.0).half().reshape(1, 2, 3), "steps": torch.tensor(7)}
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Server:
    """Serves CONTENT at any path but a few odd ones, and remembers what it was asked for."""

    def __init__(self) -> None:
        self.requests: list[str] = []
        self.closing = threading.Event()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.requests.append(self.path)
                outer.answer(self)

            def log_message(self, *_: object) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.http.server_port}"
        threading.Thread(target=self.http.serve_forever, args=(0.01,), daemon=True).start()

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        if "silent" in handler.path:
            self.closing.wait()
            return
        if "missing" in handler.path:
            handler.send_error(404)
            return
        if handler.path.startswith("/moved/"):
            handler.send_response(302)
            handler.send_header("Location", handler.path.removeprefix("/moved"))
            handler.end_headers()
            return
        handler.send_response(200)
        if "no-length" not in handler.path:
            handler.send_header("Content-Length", str(len(CONTENT)))
        handler.end_headers()
        handler.wfile.write(CONTENT[:1000] if "cut" in handler.path else CONTENT)

    def close(self) -> None:
        self.closing.set()
        self.http.shutdown()
        self.http.server_close()


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("no_proxy", "*")
    server = Server()
    yield server
    server.close()


def files_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*"))


class TestDownload:
    def test_a_file_comes_once(self, server, tmp_path):
        url = f"{server.address}/weights/resnet.pth"
        path = local_weights(url, SHA256, tmp_path / "new" / "cache")
        assert path.read_bytes() == CONTENT
        assert local_weights(url, SHA256[:8], tmp_path / "new" / "cache") == path
        assert server.requests == ["/weights/resnet.pth"]
        assert len(files_in(path.parent)) == 1

    def test_what_is_cached_needs_no_network(self, server, tmp_path):
        url = f"{server.address}/resnet.pth"
        path = local_weights(url, SHA256, tmp_path)
        server.http.shutdown()
        server.http.server_close()
        assert local_weights(url, SHA256.upper(), tmp_path) == path

    def test_a_damaged_file_in_the_cache_is_replaced(self, server, tmp_path):
        path = local_weights(f"{server.address}/resnet.pth", SHA256, tmp_path)
        path.write_bytes(CONTENT[:-1])
        assert local_weights(f"{server.address}/resnet.pth", SHA256, tmp_path).read_bytes() == CONTENT

    def test_the_end_of_the_name_may_be_the_hash(self, server, tmp_path):
        local_weights(f"{server.address}/resnet18-{SHA256[:8]}.pth", folder=tmp_path)
        with pytest.raises(InputError, match="does not begin with 0123abcd"):
            local_weights(f"{server.address}/resnet18-0123abcd.pth", folder=tmp_path)

    @pytest.mark.parametrize("address", ["/moved/resnet.pth", "/no-length/resnet.pth", "/resnet.pth?download=true", "/RESNET.SAFETENSORS#top"])
    def test_other_addresses_give_the_file_too(self, server, tmp_path, address):
        path = local_weights(server.address + address, SHA256, tmp_path)
        assert path.read_bytes() == CONTENT
        assert path.name.lower().endswith(("resnet.pth", "resnet.safetensors"))

    def test_no_name_leads_out_of_the_folder(self, server, tmp_path):
        path = local_weights(f"{server.address}/..\\..\\resnet.pth", SHA256, tmp_path / "cache")
        assert path == tmp_path / "cache" / f"{SHA256[:8]}-resnet.pth"

    def test_without_a_folder_it_is_the_users_cache(self, server, tmp_path, monkeypatch):
        monkeypatch.setenv("ATTENTIONSEG_CACHE", str(tmp_path))
        path = local_weights(f"{server.address}/resnet.pth", SHA256)
        assert path.parent == tmp_path / "pretrained"

    def test_progress_ends_at_the_size(self, server, tmp_path):
        seen = []
        local_weights(f"{server.address}/resnet.pth", SHA256, tmp_path, lambda *told: seen.append(told))
        assert seen == [(2**20, len(CONTENT)), (2**21, len(CONTENT)), (len(CONTENT), len(CONTENT))]

    def test_progress_without_a_size(self, server, tmp_path):
        seen = []
        local_weights(f"{server.address}/no-length.pth", SHA256, tmp_path, lambda *told: seen.append(told))
        assert seen[-1] == (len(CONTENT), None)

    def test_cancelled_it_leaves_nothing_behind(self, server, tmp_path):
        seen = []
        with pytest.raises(Cancelled):
            local_weights(f"{server.address}/resnet.pth", SHA256, tmp_path, lambda done, _: seen.append(done), cancel=lambda: len(seen) == 1)
        assert seen == [2**20]
        assert files_in(tmp_path) == []


class TestNoDownload:
    def check(self, url: str, folder: Path, wrong: str, sha256: str | None = SHA256, timeout: float = 30) -> None:
        with pytest.raises(InputError, match="get the file by hand and give its path, or train from scratch") as raised:
            local_weights(url, sha256, folder, timeout=timeout)
        assert url in str(raised.value)
        assert wrong in str(raised.value)
        if folder.is_dir():
            assert files_in(folder) == []

    @pytest.mark.parametrize(("name", "wrong"), [("missing.pth", "404"), ("cut.pth", "broke off after 1000 of 2097156 bytes")])
    def test_a_bad_answer(self, server, tmp_path, name, wrong):
        self.check(f"{server.address}/{name}", tmp_path, wrong)

    def test_another_file_than_asked_for(self, server, tmp_path):
        self.check(f"{server.address}/resnet.pth", tmp_path, "does not begin with 000000000", sha256="0" * 64)

    def test_a_silent_server(self, server, tmp_path):
        self.check(f"{server.address}/silent.pth", tmp_path, "timed out", timeout=0.2)

    def test_nobody_there(self, server, tmp_path):
        server.http.shutdown()
        server.http.server_close()
        self.check(f"{server.address}/resnet.pth", tmp_path, "refused")

    def test_a_folder_that_cannot_be_made(self, server, tmp_path):
        (tmp_path / "file").write_text("")
        for folder in (tmp_path / "file", tmp_path / "file" / "cache"):
            with pytest.raises(OutputError, match=f"{folder}.* cannot be written"):
                local_weights(f"{server.address}/resnet.pth", SHA256, folder)

    @pytest.mark.parametrize("host", ["", "[::1", "exa mple", "localhost:abc", "ü" * 70])
    def test_no_host(self, tmp_path, host):
        self.check(f"http://{host}/resnet.pth", tmp_path, host)

    def test_without_a_network(self, tmp_path, monkeypatch):
        """The name has all that a download needs, as those of torchvision."""
        monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
        monkeypatch.setenv("no_proxy", "")
        self.check("https://download.pytorch.org/models/resnet18-f37072fd.pth", tmp_path, "cannot be downloaded", sha256=None)

    @pytest.mark.parametrize(("sha256", "shown"), [(None, "''"), ("abc", "'abc'"), ("not hexadecimal", "'not hexadecimal'"), ("0" * 65, "'000")])
    def test_a_url_needs_a_hash(self, server, tmp_path, sha256, shown):
        with pytest.raises(InputError, match=f"resnet.pth need their SHA-256, not {shown}"):
            local_weights(f"{server.address}/resnet.pth", sha256, tmp_path)
        assert server.requests == []


class TestLocalFile:
    def test_a_path_is_given_back(self, tmp_path):
        path = tmp_path / "resnet.pth"
        path.write_bytes(CONTENT)
        for source, sha256 in ((path, None), (str(path), SHA256), (path, SHA256[:10].upper())):
            assert local_weights(source, sha256) == path

    def test_another_hash_is_refused(self, tmp_path):
        path = tmp_path / "resnet.pth"
        path.write_bytes(CONTENT)
        with pytest.raises(InputError, match="SHA-256 that does not begin with 0123abcd"):
            local_weights(path, "0123abcd")

    def test_a_missing_file(self, tmp_path):
        with pytest.raises(InputError, match=r"none\.pth are not there"):
            local_weights(tmp_path / "none.pth")

    @pytest.mark.parametrize("source", ["resnet.zip", "resnet", "http://127.0.0.1/download", "http://127.0.0.1/", "ftp://127.0.0.1/resnet.onnx", ""])
    def test_an_unknown_kind(self, source):
        with pytest.raises(InputError, match=r"ends in \.safetensors, \.pth, \.pt"):
            local_weights(source, SHA256)


class RunsCode:
    """What a hostile pickle does: when it is opened, a file appears."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple:
        return Path.touch, (self.path,)


def tar_of(pickled: bytes) -> bytes:
    """The oldest format of torch."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name in ("storages", "tensors", "pickle"):
            info = tarfile.TarInfo(name)
            info.size = len(pickled)
            tar.addfile(info, io.BytesIO(pickled))
    return stream.getvalue()


class TestReading:
    @pytest.mark.parametrize("old", [False, True])
    @pytest.mark.parametrize("ending", [".pth", ".pt", ".PTH"])
    def test_what_torch_saved(self, tmp_path, ending, old):
        path = tmp_path / f"weights{ending}"
        torch.save({"epoch": 3, "name": "resnet", "state_dict": STATE}, path, _use_new_zipfile_serialization=not old)
        content = read_weights(path)
        assert content["epoch"] == 3
        torch.testing.assert_close(content["state_dict"], STATE, rtol=0, atol=0)

    def test_safetensors(self, tmp_path):
        path = tmp_path / "weights.safetensors"
        save_file(STATE, path)
        torch.testing.assert_close(read_weights(path), STATE, rtol=0, atol=0)

    @pytest.mark.parametrize("kind", ["zip", "old", "pickle", "tar"])
    def test_no_code_in_a_file_is_run(self, tmp_path, kind):
        path, trace = tmp_path / "weights.pth", tmp_path / "trace"
        pickled = pickle.dumps(RunsCode(trace), protocol=2)
        if kind in ("zip", "old"):
            torch.save({"state_dict": RunsCode(trace)}, path, _use_new_zipfile_serialization=kind == "zip")
        else:
            path.write_bytes(tar_of(pickled) if kind == "tar" else pickled)
        with pytest.raises(InputError, match=r"made by torch\.save"):
            read_weights(path)
        assert not trace.exists()

    @pytest.mark.parametrize("ending", [".pth", ".safetensors"])
    @pytest.mark.parametrize("content", [b"", b"{}", b"\x80\x02}q\x00.", b"PK\x03\x04 no zip", b"<html>Not found</html>", CONTENT], ids=range(6))
    def test_what_is_no_file_of_weights(self, tmp_path, ending, content):
        path = tmp_path / f"weights{ending}"
        path.write_bytes(content)
        with pytest.raises(InputError, match=f"weights{ending} cannot be read"):
            read_weights(path)

    @pytest.mark.parametrize("ending", [".pth", ".safetensors"])
    def test_half_a_file(self, tmp_path, ending):
        path = tmp_path / f"weights{ending}"
        save_file(STATE, path) if ending == ".safetensors" else torch.save(STATE, path)
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        with pytest.raises(InputError, match="cannot be read"):
            read_weights(path)

    @pytest.mark.parametrize("content", [torch.zeros(3), [torch.zeros(3)], 5, None], ids=str)
    def test_no_dictionary(self, tmp_path, content):
        path = tmp_path / "weights.pth"
        torch.save(content, path)
        with pytest.raises(InputError, match="not a dictionary of tensors"):
            read_weights(path)
