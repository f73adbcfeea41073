"""A batch on a real Dask scheduler with a worker: the same results, and no connection but the one to the scheduler."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import batch_slides
import psutil
import pytest
from dask_cluster import DaskCluster
from program import Run, run
from test_many_slides import POISON, SCALE

from edgeleuk import __version__
from edgeleuk.errors import ClusterError, ModelAlteredError
from edgeleuk.models import registry
from edgeleuk.programme import batch_cluster
from edgeleuk.programme.batch_fetch import fetched
from edgeleuk.programme.batch_models import ModelCache, Shipment
from edgeleuk.results.slide_result import identify

Counted = tuple[Run, Path, set[str], list[psutil.Process]]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaskCluster]:
    """A scheduler with a worker that has no model, and whose counting processes die of poison."""
    folder = tmp_path_factory.mktemp("cluster")
    (folder / "sitecustomize.py").write_text(POISON)
    path = os.pathsep.join((str(folder), os.environ.get("PYTHONPATH", "")))
    with DaskCluster(folder, 1, EDGELEUK_MODELS=str(folder), PYTHONPATH=path) as started:
        started.wait_for(1)
        yield started


@pytest.fixture(scope="module")
def counted(cluster: DaskCluster, tmp_path_factory: pytest.TempPathFactory) -> Counted:
    """A table of slides, counted on the cluster: what it said, its folder, all ends of its connections, workers before."""
    workers = cluster.worker_processes()
    folder = tmp_path_factory.mktemp("counted")
    first, second = (each / "field-0.jpg" for each in batch_slides.make(folder / "slides", 2))
    (folder / "poison.jpg").write_bytes(first.read_bytes())
    rows = (
        "slide,picture,site",
        f"a,{first},north",
        f"a,{second.as_uri()},south",
        "poisoned,poison.jpg,north",
    )
    (folder / "table.csv").write_text("\n".join(rows) + "\n")
    ends, over = set[str](), threading.Event()

    def watch() -> None:
        while not over.wait(0.02):
            for each in psutil.Process().net_connections("inet"):
                ends.add(
                    each.status
                    if each.status == psutil.CONN_LISTEN
                    else f"tcp://{each.raddr.ip}:{each.raddr.port}"
                )

    watching = threading.Thread(target=watch)
    watching.start()
    try:
        options = ("--out", folder / "out", "--scheduler", cluster.address, "--json", *SCALE)
        done = run("batch", folder / "table.csv", *options)
    finally:
        over.set()
        watching.join()
    return done, folder, ends, workers


def test_a_cluster_gives_the_results_of_analyze(counted: Counted, tmp_path: Path) -> None:
    """Also of a picture that was fetched from an address, which the result names."""
    done, folder, *_ = counted
    assert done.returncode == 1, done.stderr
    summary = json.loads(done.stdout)
    assert (summary["counted"], summary["failed"], summary["retried"]) == (2, 1, 3)
    found = [json.loads(path.read_text()) for path in (folder / "out").glob("results/*/*.json")]
    by_site = {each["result"]["site"]: batch_slides.essence(each) for each in found}
    for site, path in zip(("north", "south"), sorted((folder / "slides").rglob("*-0.jpg")), strict=True):
        who = ("--slide", "a", "--site", site, "--no-keep", "--threads", 1)
        run("analyze", path, *who, "--out", tmp_path / site, "--json", *SCALE)
        text = (tmp_path / site / "results.json").read_text()
        text = text.replace(str(path), path.as_uri()) if site == "south" else text
        assert json.dumps(by_site[site]) == json.dumps(batch_slides.essence(json.loads(text)))
    assert summary["bytes_fetched"] == path.stat().st_size


def test_a_poisoned_slide_does_not_end_its_worker(counted: Counted, cluster: DaskCluster) -> None:
    """It ends counting processes alone, and becomes a row."""
    rows = {(row["site"], row["slide"]): row for row in batch_slides.rows(counted[1] / "out")}
    assert rows["north", "poisoned"]["exit_code"] == "1"
    assert len(rows) == 3
    assert cluster.worker_processes() == counted[3]


def test_a_worker_without_the_model_gets_it(counted: Counted) -> None:
    """Once, as bytes; the user is told."""
    assert counted[0].stderr.count("sending the model to worker tcp://127.0.0.1:") == 1


def test_only_the_scheduler_is_connected_to(counted: Counted, cluster: DaskCluster) -> None:
    """And nothing is listened to: results come through the scheduler."""
    assert counted[2] == {cluster.address}


def test_a_worker_of_another_version_is_named(cluster: DaskCluster, tmp_path: Path) -> None:
    """And nothing is counted; where there is no edgeleuk, or an older one, that is said."""
    (tmp_path / "edgeleuk").mkdir()
    (tmp_path / "edgeleuk" / "__init__.py").write_text("__version__ = '0.0.9'\n")
    (tmp_path / "slides" / "a").mkdir(parents=True)
    cluster.environment["PYTHONPATH"] = str(tmp_path)
    cluster.start_worker()
    cluster.wait_for(2)
    done = run("batch", tmp_path / "slides", "--out", tmp_path / "out", "--scheduler", cluster.address)
    assert done.returncode == 12
    assert f"cannot run edgeleuk {__version__}" in done.stderr
    assert "worker tcp://127.0.0.1:" in done.stderr


def test_an_absent_scheduler_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """With its address; what is no address is a mistake of the command line."""
    (tmp_path / "slides" / "a").mkdir(parents=True)
    monkeypatch.setattr(batch_cluster, "CONNECT_S", 0.2)
    for address, code, said in (
        ("tcp://127.0.0.1:9", 12, "the scheduler tcp://127.0.0.1:9 does not answer"),
        ("nonsense://x", 2, "is no address of a scheduler"),
        ("host", 2, "is no address of a scheduler"),
    ):
        done = run("batch", tmp_path / "slides", "--out", tmp_path / "out", "--scheduler", address)
        assert done.returncode == code, done.stderr
        assert said in done.stderr


def test_addresses_need_a_cluster(tmp_path: Path) -> None:
    """A table alone opens no connection."""
    (tmp_path / "table.csv").write_text("slide,picture\n1,s3://bucket/1.jpg\n")
    done = run("batch", tmp_path / "table.csv", "--out", tmp_path / "out")
    assert done.returncode == 2
    assert "names the address s3://bucket/1.jpg" in done.stderr


def test_a_folder_at_an_address_is_fetched_and_removed(tmp_path: Path) -> None:
    """Its pictures alone; what cannot be fetched is an error of that picture."""
    for name in ("1.jpg", "2.png", "notes.txt"):
        (tmp_path / name).write_bytes(b"content")
    with fetched([f"file://{tmp_path}/", f"file://{tmp_path}/absent.jpg", "/data/3.jpg"]) as found:
        files = [Path(each) for each in found.paths]
        assert [each.name for each in files] == ["1.jpg", "2.png", "3.jpg"]
        assert found.size == 14
        assert found.named({"path": [f"{files[0]} is empty"]}) == {
            "path": [f"file://{tmp_path}/1.jpg is empty"]
        }
        assert "absent.jpg cannot be fetched" in str(found.failed[0])
    assert not files[0].exists()


def test_a_worker_without_the_library_for_an_address_is_no_failure_of_the_slide() -> None:
    """It would be one of every slide; the batch ends, and names the worker."""
    with pytest.raises(ClusterError, match="lacks a library for hdfs://"), fetched(["hdfs://host/1.jpg"]):
        pass


def test_a_shipped_model_is_verified(model: registry.Model, tmp_path: Path) -> None:
    """By the hash of its manifest and those in it; a name outside of its folder is refused."""
    shipment = Shipment.of(model, identify(model))
    cache = ModelCache()
    folder = Path(cache.take(shipment, str(tmp_path)))
    assert [*registry.load_folder(folder).files.values()] == [*model.files.values()]
    for name in ("model.json", "reader.onnx", "../outside"):
        content = shipment.files.get(name, b"") + b" "
        with pytest.raises(ModelAlteredError):
            ModelCache().take(Shipment(shipment.identity, shipment.files | {name: content}), str(tmp_path))
    assert not (tmp_path.parent / "outside").exists()
