"""The wheel and the source distribution, built and installed as a user gets them."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]


def python(*words: str, cwd: Path, interpreter: str = sys.executable) -> str:
    """Run Python with these arguments; its standard output."""
    found = subprocess.run(
        [interpreter, *words], cwd=cwd, capture_output=True, text=True, timeout=240, check=False
    )
    assert found.returncode == 0, found.stderr + found.stdout
    return found.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with the sdist, and the wheel that is built from it."""
    folder = tmp_path_factory.mktemp("dist")
    python("-m", "build", "--no-isolation", "--outdir", str(folder), str(ROOT), cwd=folder)
    return folder


def test_the_wheel_holds_the_packages_under_one_name(built: Path):
    (wheel,) = built.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.split("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"medinst_eval"}
    for wanted in (
        "medinst_eval/py.typed",
        "medinst_eval/metrics/base.py",
        "medinst_eval/tasks/ner.yaml",
        "medinst_eval/tasks/suites/mmlu-medicine.yaml",
        "medinst_eval/published/medinst32_published.csv",
        "medinst_eval/demo/data/unseen_tests/MedQA_test.json",
    ):
        assert names.count(wanted) == 1, wanted


def test_the_source_distribution_holds_what_its_readers_need(built: Path):
    (sdist,) = built.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"README.md", "LICENSE", "pyproject.toml", "metrics/base.py", "tasks/ner.yaml"} <= names
    kept = ("results/published", "results/README.md")
    assert not [n for n in names if n.startswith("results/") and not n.startswith(kept)]


def test_an_installed_wheel_works_far_from_the_checkout(built: Path, tmp_path: Path):
    (wheel,) = built.glob("*.whl")
    python("-m", "venv", "--without-pip", str(tmp_path / "env"), cwd=tmp_path)
    interpreter = str(tmp_path / "env" / "bin" / "python")
    site = Path(
        python("-c", "import sysconfig; print(sysconfig.get_path('purelib'))",
               cwd=tmp_path, interpreter=interpreter).strip()
    )  # fmt: skip
    python(
        "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target", str(site),
        str(wheel), cwd=tmp_path,
    )  # fmt: skip
    # The dependencies are those of this environment: a path entry, so that no checkout that is
    # installed in it as editable comes along.
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    where = python(
        "-c", "import medinst_eval.metrics, medinst_eval.tasks as t;"
        "print(t.__file__, len(t.load_cards()), medinst_eval.metrics.get('entity_f1').name)",
        cwd=tmp_path, interpreter=interpreter,
    )  # fmt: skip
    assert where.startswith(str(site))
    assert where.endswith("32 entity_f1\n")
    shown = python(
        "-m", "medinst_eval", "--backend", "baseline", "--model", "gold", "--data", "demo",
        "--tasks", "NER", "--resamples", "20", cwd=tmp_path, interpreter=interpreter,
    )  # fmt: skip
    assert "100.00 entity_f1" in shown
    gone = subprocess.run(
        [interpreter, "-c", "import metrics"], cwd=tmp_path, capture_output=True, check=False
    )
    assert gone.returncode != 0


EXTRAS = ("", "transformers", "bertscore", "evaluate", "ray", "report")
FREE = (
    r"\b(MIT|BSD|Apache|PSFL?|Python Software Foundation|MPL|ISC|Zlib)\b"
    r"|Permission is hereby granted, free of charge"
)


def installed(extras: Sequence[str]) -> dict[str, metadata.Distribution]:
    """Everything that the package and its extras ask for, and what that asks for, and so on."""
    todo = [("medinst-eval", extra) for extra in extras]
    found: dict[str, metadata.Distribution] = {}
    for name, extra in todo:  # grows while it is read
        found[name] = metadata.distribution(name)
        for text in found[name].requires or ():
            wanted = Requirement(text)
            if wanted.marker is not None and not wanted.marker.evaluate({"extra": extra}):
                continue
            version = metadata.version(wanted.name)
            assert wanted.specifier.contains(version, prereleases=True), (
                f"{name}: {text}, {version}"
            )
            one = canonicalize_name(wanted.name)
            todo += [(one, e) for e in ("", *wanted.extras) if (one, e) not in todo]
    return found


def licence(of: metadata.Distribution) -> str:
    """What a distribution says of its licence, in one of the places where it may.

    Of a long text the head: what follows may speak of libraries that a wheel brings along, such as
    SciPy's Fortran runtime, whose licence excepts such use.
    """
    said = [of.metadata.get("License-Expression", ""), of.metadata.get("License", "")[:500]]
    said += [c for c in of.metadata.get_all("Classifier") or () if c.startswith("License ::")]
    if not "".join(said):
        own = [f for f in of.files or () if f.parts[0].endswith(".dist-info")]
        files = [f for f in own if f.name.upper().startswith("LICEN") and "_vendor" not in f.parts]
        said += [file.read_text() for file in files]
    return "\n".join(said)


def test_what_is_installed_fits_together_and_is_free_to_use():
    if importlib.util.find_spec("ray") is None:
        pytest.skip("an extra is not installed: Ray")
    for name, distribution in installed(EXTRAS).items():
        text = licence(distribution)
        assert re.search(FREE, text), f"{name}: {text[:200]!r}"
        assert not re.search(r"\b[AL]?GPL", text), name
