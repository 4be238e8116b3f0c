"""The API through HTTP: what the documentation promises, and what nobody may have."""

import json
import socket
import urllib.error
import urllib.request
import zipfile

import numpy as np
import pytest
from PIL import Image

import pixalign
from networks import network
from pixalign.errors import InputError
from pixalign.predicting import Predictor

pytest.importorskip("gradio", reason="gradio is not installed: pip install 'pixalign[app]'")
import gradio_client
import httpx

from pixalign.app.page import launch
from pixalign.app.service import Limits, Service


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("api") / "tiny"
    pixalign.save(network("sfnet"), folder)
    return folder


@pytest.fixture(scope="module")
def server(model):
    service = Service([str(model)], Limits(upload=200_000, pixels=20_000))
    server = launch(service, port=free_port())
    yield server
    server.close()
    service.close()


@pytest.fixture(scope="module")
def client(server):
    return gradio_client.Client(server.address, verbose=False)


@pytest.fixture
def photo(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 255, (70, 90, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "photo.png")
    return tmp_path / "photo.png"


def post(server, endpoint, data):
    """What the second request of a call answers: the events as text."""
    call = f"{server.address}gradio_api/call/{endpoint}"
    request = urllib.request.Request(
        call, json.dumps({"data": data}).encode(), {"Content-Type": "application/json"}, method="POST"
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        event = json.load(answer)["event_id"]
    with urllib.request.urlopen(f"{call}/{event}", timeout=60) as answer:
        return answer.read().decode()


def test_ids_of_the_api_are_the_predictors(client, model, photo):
    file, told = client.predict(gradio_client.handle_file(photo), api_name="/segment")
    expected = Predictor(str(model))(photo)
    np.testing.assert_array_equal(np.asarray(Image.open(file)), expected.ids)
    assert (told["width"], told["height"]) == (90, 70)
    assert told["classes"] == expected.classes
    assert sum(told["percent"].values()) == pytest.approx(100)


def test_overlay_and_probabilities_are_files(client, model, photo):
    expected = Predictor(str(model))(photo, probabilities=True)
    file = client.predict(gradio_client.handle_file(photo), "", "", 1.0, api_name="/overlay")
    np.testing.assert_array_equal(np.asarray(Image.open(file)), np.asarray(expected.overlay(1.0)))
    file = client.predict(gradio_client.handle_file(photo), api_name="/probabilities")
    found = np.load(file)["probabilities"]
    assert (found.dtype, found.shape) == (np.float16, (5, 70, 90))
    np.testing.assert_allclose(found, expected.probabilities, atol=1e-3)


def test_a_pixel_is_told_with_its_geometry(client, photo):
    told = client.predict(gradio_client.handle_file(photo), 3, 4, api_name="/pixel")
    assert told["pixel"] == [3, 4]
    assert sum(told["probabilities"].values()) == pytest.approx(1, abs=1e-4)
    assert "1/32 to 1/16" in told["geometry"][0]["what"]


def test_a_model_and_itself_differ_nowhere(client, photo):
    told, file = client.predict(gradio_client.handle_file(photo), "", "", "", "pytorch", api_name="/compare")
    assert told["differ_percent"] == 0
    assert Image.open(file).size == (90, 70)


def test_a_batch_comes_as_a_zip(client, photo):
    file, failed = client.predict([gradio_client.handle_file(photo)], api_name="/batch")
    assert failed == []
    with zipfile.ZipFile(file) as archive:
        assert {"photo.png", "photo_overlay.jpg", "areas.csv"} == set(archive.namelist())


def test_the_models_are_listed_with_their_back_ends(client):
    (backends,) = client.predict(api_name="/models").values()
    assert backends[:2] == ["pytorch", "fused"]


def test_the_pages_own_events_are_not_part_of_the_api(client):
    names = set(client.view_api(return_format="dict")["named_endpoints"])
    assert names == {"/segment", "/overlay", "/probabilities", "/pixel", "/compare", "/batch", "/models"}


def test_errors_come_as_sentences(client, photo, tmp_path):
    with pytest.raises(gradio_client.exceptions.AppError, match="Model 'nope' is not offered here: choose one of"):
        client.predict(gradio_client.handle_file(photo), "nope", api_name="/segment")
    (tmp_path / "text.png").write_text("no image")
    with pytest.raises(gradio_client.exceptions.AppError, match=r"text.png: is not an image in JPEG"):
        client.predict(gradio_client.handle_file(tmp_path / "text.png"), api_name="/segment")
    Image.new("RGB", (200, 200)).save(tmp_path / "large.png")
    with pytest.raises(gradio_client.exceptions.AppError, match=r"200 x 200 pixels are more than 20,000"):
        client.predict(gradio_client.handle_file(tmp_path / "large.png"), api_name="/segment")


def test_a_file_above_the_limit_is_not_taken(server, client, tmp_path):
    noise = np.random.default_rng(0).integers(0, 255, (300, 300, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "heavy.png")
    with pytest.raises(ValueError, match="exceeds the maximum file size of 200000 bytes"):
        client.predict(gradio_client.handle_file(tmp_path / "heavy.png"), api_name="/segment")
    file = {"files": (tmp_path / "heavy.png").read_bytes()}  # a program need not ask for the limit first
    assert httpx.post(f"{server.address}gradio_api/upload", files=file).status_code == 413


@pytest.mark.parametrize(
    "path", ["/etc/passwd", "http://127.0.0.1:9/x.png", "https://example.com/x.png", "../../etc/passwd"]
)
@pytest.mark.parametrize("typed", [True, False])
def test_neither_the_servers_files_nor_other_servers_are_read(server, path, typed):
    payload = {"path": path, "url": path} | ({"meta": {"_type": "gradio.FileData"}} if typed else {})
    answer = post(server, "segment", [payload, "", ""])
    assert "event: error" in answer
    assert "root:" not in answer


def test_files_outside_the_servers_folder_are_not_served(server, model):
    for path in ("/etc/passwd", str(model / "config.json"), f"{server.folder}/../x"):
        with pytest.raises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(f"{server.address}gradio_api/file={path}", timeout=60)
        assert caught.value.code in (403, 404)


def test_the_page_names_no_other_server(server):
    with urllib.request.urlopen(server.address, timeout=60) as answer:
        page = answer.read().decode()
    assert "fonts.googleapis.com" not in page
    with urllib.request.urlopen(f"{server.address}theme.css", timeout=60) as answer:
        theme = answer.read().decode()
    assert "url(http" not in theme
    assert "@import" not in theme


def test_a_port_in_use_is_told(server, model):
    service = Service([str(model)])
    port = int(server.address.rstrip("/").rsplit(":", 1)[1])
    with pytest.raises(InputError, match=rf"127.0.0.1:{port}: cannot be listened at .* choose another --port"):
        launch(service, port=port)
    service.close()
