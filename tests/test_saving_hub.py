"""Folders as on the Hugging Face Hub, and a stand-in for it that speaks its language."""

import base64
import json
import sys
import threading
from hashlib import sha1
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import huggingface_hub
import pytest
import torch
from huggingface_hub import ModelCard
from saved import OWN, Net, Sizes, assert_same, parts
from torch import nn

from equiconv.errors import SavingError
from equiconv.groups import P4, HueShift
from equiconv.layers import GroupConv2d, GroupPool
from equiconv.models import CNN
from equiconv.saving import from_pretrained, push_to_hub, save_pretrained

COMMIT = "0" * 40


def net():
    return CNN(HueShift(3) * P4(), 2, kernel_sizes=(3, 3, 3)).eval()


class Hub(BaseHTTPRequestHandler):
    """Keep the files of one repository, and answer as the Hub does."""

    files: dict[str, bytes] = {}  # noqa: RUF012
    seen: list[str] = []  # noqa: RUF012
    refuses = False

    def place(self):
        return f"http://{self.headers['Host']}"

    def answer(self, body, status=200, **headers):
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        for key, text in headers.items():
            self.send_header(key.replace("_", "-"), text)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def do_GET(self):
        name = self.path.partition("?")[0].rpartition("/")[2]
        if "/resolve/" not in self.path or name not in self.files:
            self.answer({}, 404, X_Error_Code="EntryNotFound")
            return
        content = self.files[name]
        self.answer(content, X_Repo_Commit=COMMIT, ETag=f'"{sha1(content).hexdigest()}"')

    do_HEAD = do_GET  # noqa: N815

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
        self.seen.append(self.path)
        if self.refuses:
            self.answer({"error": "no"}, 403)
        elif self.path == "/api/repos/create":
            self.answer({"url": f"{self.place()}/somebody/net", "id": "somebody/net"})
        elif self.path == "/api/validate-yaml":
            self.answer({"errors": [], "warnings": []})
        elif "/preupload/" in self.path:
            asked = json.loads(body)["files"]
            known = [{"path": each["path"], "uploadMode": "regular", "shouldIgnore": False} for each in asked]
            self.answer({"files": known})
        else:
            for line in map(json.loads, body.splitlines()):
                if line["key"] == "file":
                    self.files[line["value"]["path"]] = base64.b64decode(line["value"]["content"])
            self.answer({"commitOid": COMMIT, "commitUrl": f"{self.place()}/somebody/net/commit/{COMMIT}"})

    def log_message(self, *args):
        pass


@pytest.fixture
def hub(monkeypatch):
    monkeypatch.setattr(Hub, "files", {})
    monkeypatch.setattr(Hub, "seen", [])
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    place = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", place)
    template = f"{place}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
    monkeypatch.setattr(huggingface_hub.constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield Hub
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_folder(tmp_path):
    module = net()
    save_pretrained(module, tmp_path / "deep" / "net")
    folder = tmp_path / "deep" / "net"
    assert sorted(path.name for path in folder.iterdir()) == ["README.md", "config.json", "model.safetensors"]
    assert_same(module, from_pretrained(folder), torch.randn(1, 3, 12, 12))
    assert_same(module, from_pretrained(str(folder)))
    assert json.loads((folder / "config.json").read_text()) == parts(folder / "model.safetensors")[0]
    card = ModelCard.load(folder / "README.md")
    assert card.data.library_name == "equiconv"
    assert card.data.tags == ["equivariance", "equiconv", "pytorch", "HueShift(3) * Cyclic(4)"]
    assert f"{sum(value.numel() for value in module.parameters()):,}" in card.text
    assert "`1 * (HueShift(3) * Cyclic(4)).image`" in card.text
    assert 'from_pretrained("net")' in card.text


def test_a_card_stays(tmp_path):
    (tmp_path / "README.md").write_text("mine")
    save_pretrained(nn.Sequential(GroupConv2d(P4().image, P4().regular, 3), GroupPool(P4().regular)), tmp_path)
    assert (tmp_path / "README.md").read_text() == "mine"
    (tmp_path / "README.md").unlink()
    save_pretrained(nn.Sequential(GroupConv2d(P4().image, P4().regular, 3), GroupPool(P4().regular)), tmp_path)
    assert "`1 * Cyclic(4).trivial`" in (tmp_path / "README.md").read_text()
    (tmp_path / "README.md").unlink()
    save_pretrained(nn.Linear(2, 2), tmp_path)
    text = (tmp_path / "README.md").read_text()
    assert "None" not in text
    assert "equivariant" not in text.split("---")[2]


def test_own_classes_in_a_folder(tmp_path):
    module = Net(P4(), Sizes(2))
    save_pretrained(module, tmp_path)
    assert_same(module, from_pretrained(tmp_path, known=OWN))
    with pytest.raises(SavingError, match=r"known=\[Net\]"):
        from_pretrained(tmp_path)
    with pytest.raises(SavingError, match="takes a module"):
        save_pretrained("net", tmp_path)


def test_the_card_of_the_folder_one_is_in(tmp_path, monkeypatch):
    folder = tmp_path / "my-net"
    folder.mkdir()
    monkeypatch.chdir(folder)
    save_pretrained(nn.Sequential(Net(P4(), Sizes(2))), ".")
    text = (folder / "README.md").read_text()
    assert 'from_pretrained("my-net", known=[Net, Sizes, doubled])' in text
    monkeypatch.chdir(tmp_path)
    code = text.split("```python")[1].split("```")[0]
    names = {each.__name__: each for each in OWN}
    exec(code, names)
    assert isinstance(names["net"][0], Net)


def test_only_names_of_repositories_go_to_the_hub(tmp_path, monkeypatch):
    def asked(*args):
        raise AssertionError("the Hub was asked")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("equiconv.saving.hub._hub", asked)
    save_pretrained(nn.Linear(2, 2), ".")
    for wrong in (
        Path("runs/best"),
        "/no/such",
        "./runs/best",
        "../best",
        "~/best",
        "a/b/c",
        "best",
        "",
        "a b/c",
        "a/",
    ):
        with pytest.raises(SavingError, match="no folder here"):
            from_pretrained(wrong)
    for file in ("model.safetensors", tmp_path / "model.safetensors"):
        with pytest.raises(SavingError, match=r"equiconv\.load reads"):
            from_pretrained(file)
    with pytest.raises(AssertionError, match="was asked"):
        from_pretrained("user/name")
    assert isinstance(from_pretrained("."), nn.Linear)


def test_up_and_down(hub, tmp_path):
    module = net()
    address = push_to_hub(module, "somebody/net", token="hf_none", private=True)
    assert address.endswith(f"/somebody/net/commit/{COMMIT}")
    assert sorted(hub.files) == ["README.md", "config.json", "model.safetensors"]
    assert hub.seen[0] == "/api/repos/create"
    loaded = from_pretrained("somebody/net", cache_dir=tmp_path, token="hf_none")
    assert_same(module, loaded, torch.randn(1, 3, 12, 12))
    hub.files["README.md"] = b"mine"
    with torch.no_grad():
        module.head.bias.fill_(2.0)
    push_to_hub(module, "somebody/net", token="hf_none")
    assert hub.files["README.md"] == b"mine"
    other = from_pretrained("somebody/net", cache_dir=tmp_path / "other", token="hf_none")
    assert_same(module, other)
    with pytest.raises(AssertionError):
        assert_same(module, loaded)


def test_errors_of_the_hub(hub, tmp_path, monkeypatch):
    with pytest.raises(OSError, match="404"):
        from_pretrained("somebody/else", cache_dir=tmp_path, token="hf_none")
    monkeypatch.setattr(Hub, "refuses", True)
    with pytest.raises(OSError, match="403"):
        push_to_hub(net(), "somebody/net", token="hf_none")
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(SavingError, match=r"install equiconv with its extra hub"):
        from_pretrained("somebody/net")
