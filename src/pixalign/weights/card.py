"""The model card: README.md of a model folder, with the front matter that the Hugging Face Hub reads."""

import json
from typing import Any

from pixalign.text import markdown_table, points


def model_card(config: dict[str, Any], name: str) -> str:
    """Return the card in Markdown.

    Args:
        config: content of config.json; "license", "data" ({name, terms, ...}) and "metrics" may be absent.
        name: what `pixalign.load` is given: a Hub id or a folder.
    """
    arguments = config["arguments"]
    data = config.get("data", {})
    license = config.get("license")
    title = f"{config['architecture']} with {arguments['encoder']}"
    lines = [
        "---",
        f"license: {license.lower() if license else 'unknown'}",
        "library_name: pixalign",
        "pipeline_tag: image-segmentation",
        "tags:",
        *(f"- {tag}" for tag in ("semantic-segmentation", "feature-alignment", config["architecture"])),
        "---",
        "",
        f"# {name}: {title}",
        "",
        f"Semantic segmentation into {len(config['classes'])} classes, a pixalign model "
        f"(written by pixalign {config['pixalign']}, timm {config.get('timm')}).",
        "",
        "```python",
        "import pixalign",
        "",
        f'result = pixalign.Predictor("{name}")("image.jpg")',
        'result.overlay().save("overlay.png")',
        "```",
        "",
        "## Figures",
        "",
        *_figures(config.get("metrics") or []),
        "",
        "## Classes",
        "",
        "| id | class | color |",
        "|---:|---|---|",
        *(
            f"| {i} | {label} | `#{red:02x}{green:02x}{blue:02x}` |"
            for i, (label, (red, green, blue)) in enumerate(zip(config["classes"], config["colors"]))
        ),
        "",
        "Images are RGB, divided by 255, then normalized with mean "
        f"{_numbers(config['mean'])} and standard deviation {_numbers(config['std'])}.",
        "",
        "## Data and license",
        "",
        f"Trained on: {data.get('name', 'not stated')}. Terms of that data: {data.get('terms', 'not stated')}.",
        f"License of the weights: {license or 'not stated'}.",
        "",
        "Arguments of the network:",
        "",
        "```json",
        json.dumps(arguments, indent=1, ensure_ascii=False),
        "```",
    ]
    return "\n".join(lines) + "\n"


def _figures(metrics: list[dict[str, Any]]) -> list[str]:
    """A table of mIoU and one of IoU by class, each column headed by the data that it was measured on."""
    if not metrics:
        return ["None recorded."]
    figures = [
        (
            f"{entry.get('data', 'not stated')} {entry.get('split', '')}".strip(),
            str(entry.get("images", "")),
            points(entry.get("miou")),
            points(entry.get("pixel_accuracy")),
        )
        for entry in metrics
    ]
    rows = markdown_table(("measured on", "images", "mIoU %", "pixel accuracy %"), figures)
    detailed = [entry for entry in metrics if entry.get("iou")]
    if detailed:
        shares = ((label, *(points(e["iou"].get(label)) for e in detailed)) for label in detailed[0]["iou"])
        rows += ["", "IoU % by class:", ""]
        rows += markdown_table(("class", *(str(e.get("data")) for e in detailed)), shares)
    return rows


def _numbers(values: list[float]) -> str:
    return "(" + ", ".join(f"{v:g}" for v in values) + ")"
