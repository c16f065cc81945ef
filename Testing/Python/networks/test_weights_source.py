"""Files of pretrained weights from elsewhere: downloads from a server on this machine, the cache, and paths."""

from __future__ import annotations

from pathlib import Path

import pytest
from AttentionSegLib.errors import Cancelled, InputError, OutputError
from AttentionSegLib.networks.weights_source import local_weights
from weights_server import CONTENT, SHA256, Server


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
