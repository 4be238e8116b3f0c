"""Make a bundled model of a finished run: half precision, figures measured on the file as shipped.

    python benchmarks/bundle.py runs/camvid-default/last default --data.name camvid --data.root DIR

The weights of the last epoch are taken, not those that were best on val, so that val stays a measurement.
"""

from jsonargparse import ArgumentParser
from rich.console import Console

from pixalign.data import open_data
from pixalign.evaluating import evaluate, result_table
from pixalign.weights import BUNDLED, load, save

TERMS = {"camvid": "CamVid's own (Brostow, Fauqueur, Cipolla 2009); read them before commercial use"}


def main() -> None:
    parser = ArgumentParser()
    parser.add_argument("model", help="model folder of the run")
    parser.add_argument("name", help="name of the bundled model")
    parser.add_argument("--data.name", required=True)
    parser.add_argument("--data.root", required=True)
    parser.add_argument("--data.split", default="val")
    args = parser.parse_args()
    model = load(args.model)
    model.config.license = "Apache-2.0"
    model.config.data["terms"] = TERMS.get(args.data.name, "not stated")
    model.config.metrics = []
    folder = save(model, BUNDLED / args.name, half=True)
    shipped = load(folder)
    result = evaluate(shipped, open_data(args.data.name, args.data.root, args.data.split))
    save(model, folder, metrics=[result], half=True)
    Console().print(result_table(result))
    print(f"{folder}: {(folder / 'model.safetensors').stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
