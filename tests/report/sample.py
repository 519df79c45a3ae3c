"""A rich report with every kind of exhibit, and hostile text wherever a release can put text."""

from __future__ import annotations

from typing import Any

from apograph.findings import (
    Bearing,
    Conclusion,
    Exhibit,
    Finding,
    Location,
    Measure,
    Message,
    ReleaseInfo,
    Report,
    Strength,
    Unexamined,
)

HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "</style><script>alert(2)</script>",
    "</title><svg onload=alert(3)>",
    "javascript:alert(4)",
    "\x1b[2J\x1b]8;;http://evil.example\x07link\x1b]8;;\x07",
    "\u202egpj.exe\u2066",
    "\ud800lone\udfff",
    "{{ 7 * 7 }}{% raw %}",
    "[link=http://evil.example]x[/link][bold]",
    "a\nb\r\n\tc\x00",
    "zero\u200bwidth\ufeff",
    "x" * 2000,
)


def hostile(n: int) -> str:
    """One of the hostile strings, by turns."""
    return HOSTILE[n % len(HOSTILE)]


def exhibits() -> dict[str, dict[str, Any]]:
    """Fair data for every kind of exhibit (``docs/exhibits.md``)."""
    return {**_code(), **_tensors(), **_numbers(), **_history(), **_cells()}


def _code() -> dict[str, dict[str, Any]]:
    """Two pieces of code that answer each other."""
    left = [
        "def get_abs_pos(abs_pos, tgt_size):",
        "    src_size = int(math.sqrt(abs_pos.size(0)))",
        "    dtype = abs_pos.dtype",
        "    return F.interpolate(",
        "        abs_pos.float().reshape(1, src_size, src_size, -1).permute(0, 3, 1, 2),",
        "        size=(tgt_size[0], tgt_size[1]),",
        '        mode="bicubic",',
        "    ).permute(0, 2, 3, 1).flatten(0, 2).to(dtype=dtype)",
    ]
    right = [
        "def resize_table(table, target):",
        "    # resize",
        "    side = int(math.sqrt(table.size(0)))",
        "    dtype = table.dtype",
        "    table = table.float().reshape(1, side, side, -1).permute(0, 3, 1, 2)",
        '    return F.interpolate(table, size=(target[0], target[1]), mode="bicubic")'
        ".permute(0, 2, 3, 1).flatten(0, 2).to(dtype=dtype)",
    ]
    return {
        "code_pair": {
            "left": {
                "side": "reference",
                "path": "resampler.py",
                "revision": "1a2b3c4d5e",
                "start": 21,
                "lines": left,
            },
            "right": {
                "side": "candidate",
                "path": "projection.py",
                "revision": None,
                "start": 7,
                "lines": right,
            },
            "pairs": [[21, 7], [22, 9], [23, 10], [25, 11], [28, 12]],
            "renamed": [
                ["get_abs_pos", "resize_table"],
                ["abs_pos", "table"],
                ["tgt_size", "target"],
                ["src_size", "side"],
            ],
            "explained_left": [23],
            "explained_right": [10],
            "similarity": 0.93,
            "consistency": 1.0,
        },
    }


def _tensors() -> dict[str, dict[str, Any]]:
    """Tensors under other names."""
    return {
        "rename_map": {
            "rules": [
                {
                    "from": "vpm.*",
                    "to": "vision.*",
                    "count": 437,
                    "examples": [
                        [
                            "vpm.encoder.layers.0.self_attn.q_proj.weight",
                            "vision.encoder.layers.0.self_attn.q_proj.weight",
                        ]
                    ],
                    "base": 0,
                },
                {
                    "from": "resampler.*",
                    "to": "projector.*",
                    "count": 13,
                    "examples": [["resampler.query", "projector.query"]],
                    "base": 0,
                },
                {
                    "from": "llm.*",
                    "to": "llm.*",
                    "count": 291,
                    "examples": [["llm.lm_head.weight", "llm.lm_head.weight"]],
                    "base": 291,
                },
            ],
            "unmatched": {"reference": ["resampler.pos_embed"], "candidate": []},
            "ordered": True,
            "totals": {"reference": 742, "candidate": 741, "matched": 741},
        },
    }


def _numbers() -> dict[str, dict[str, Any]]:
    """Measured values."""
    return {
        "overlap": {
            "n": 1000,
            "a": 236,
            "b": 194,
            "shared": 182,
            "identical": 118,
            "expected": 45.784,
            "labels": ["MiniCPM-Llama3-V 2.5", "Llama3-V"],
        },
        "heatmap": {
            "rows": ["layers.0", "layers.1"],
            "columns": ["mlp", {"key": "cli.error.byte", "params": {"n": 7}}],
            "values": [[1.0, 0.5], [0.75, None]],
            "low": 0.5,
            "high": 1.0,
        },
        "histogram": {
            "edges": [-2.0, -1.0, 0.0, 1.0, 2.0],
            "counts": [2, 7, 6, 1],
            "law": {"name": "Gaussian", "values": [2.2, 5.5, 5.5, 2.2]},
        },
        "qq": {"points": [[-1.0, -1.1], [0.0, 0.1], [1.0, 1.3]], "x": "Gaussian", "y": "residual"},
        "matrix": {
            "labels": ["a", "b", "c"],
            "values": [[None, 0.9, 0.1], [0.9, None, None], [0.1, None, None]],
            "low": 0.0,
            "high": 1.0,
        },
    }


def _history() -> dict[str, dict[str, Any]]:
    """What happened when."""
    return {
        "timeline": {
            "events": [
                {
                    "time": 1712880000,
                    "side": "reference",
                    "label": "first commit",
                    "kind": "commit",
                    "revision": "aa" * 20,
                },
                {
                    "time": 1716076800,
                    "side": "reference",
                    "label": "tokenizer_config.json",
                    "kind": "match",
                    "revision": "bb" * 20,
                },
                {
                    "time": 1716768000,
                    "side": "candidate",
                    "label": "first commit",
                    "kind": "commit",
                    "revision": "cc" * 20,
                },
                {"time": 1716854400, "side": "candidate", "label": "names the reference", "kind": "mention"},
                {
                    "time": 1717632000,
                    "side": "reference",
                    "label": "tokenizer_config.json",
                    "kind": "change",
                },
                {"time": 1717718400, "side": "candidate", "label": "deletes the test", "kind": "deletion"},
            ],
            "interval": {"start": 1716076800, "end": 1717632000, "label": "tokenizer_config.json"},
            "note": "UTC",
        },
    }


def _cells() -> dict[str, dict[str, Any]]:
    """Values in words."""
    return {
        "table": {
            "columns": ["name", "reference", "candidate"],
            "rows": [
                ["query_num", 96, 64],
                ["hidden_act", "silu", "silu"],
                ["rope", None, True],
                ["eps", 1e-6, 1e-6],
            ],
        },
        "list": {"items": ["<image>", "</image>", "<slice>", "</slice>"], "more": 3},
    }


def _poison(value: Any, n: int = 0) -> Any:
    if isinstance(value, str):
        return hostile(len(value) + n) if value not in ("reference", "candidate") else value
    if isinstance(value, list):
        return [_poison(item, i) for i, item in enumerate(value)]
    if isinstance(value, dict):
        return {key: _poison(item, n + i) for i, (key, item) in enumerate(value.items())}
    return value


def _finding(
    id: str, bearing: Bearing, exhibit: list[Exhibit], text: str = "resampler.py", arrow: Any = None
) -> Finding:
    return Finding(
        id=id,
        channel=id.split(".")[0],
        message=Message("report.refused.shape", {"where": text}),
        bearing=bearing,
        measures=(
            Measure("similarity", 0.9312, "", 12, (0.88, 0.97)),
            Measure("matched", 741),
            Measure("digest", text, "bytes"),
            Measure("nothing", None),
            *(Measure(f"explain.{name}", n, n=11) for n, name in enumerate(("beyond", "base", "claimed"), 1)),
        ),
        exhibits=tuple(exhibit),
        locations=(
            Location("reference", text, "ab" * 20, 21, 28),
            Location("candidate", "projection.py", None, 7),
        ),
        alternatives=(Message("report.refused.shape", {"where": text}),),
        limits=(Message("report.refused.shape", {"where": text}),),
        arrow=arrow,
    )


def _release(role: str, ref: str, **changes: Any) -> ReleaseInfo:
    fields: dict[str, Any] = {
        "kind": "git",
        "revision": "0123456789abcdef" * 2 + "01234567",
        "digest": "5e" * 32,
        "files": 47,
        "size": 17_061_498_368,
        "tensors": 741,
        "first_date": "2024-04-12T00:00:00Z",
        "revision_date": "2024-05-27T09:30:00Z",
        "note": None,
    }
    return ReleaseInfo(role=role, ref=ref, **{**fields, **changes})


def report(poisoned: bool = False, copies: int = 1) -> Report:
    """The sample: fair, or with hostile text in every free place; ``copies`` repeats the findings."""
    bad = hostile if poisoned else lambda n: ""
    shown = {kind: _poison(data) if poisoned else data for kind, data in exhibits().items()}
    caption = Message("report.refused.shape", {"where": bad(0) or "resampler.py"})

    def exhibit(kind: str) -> list[Exhibit]:
        return [Exhibit(kind, shown[kind], caption)]

    findings: list[Finding] = []
    for n in range(copies):
        detail = f":{n}{bad(1)}" if n or poisoned else ""
        findings += [
            _finding(
                f"files.equal{detail}",
                Bearing.DISTINCTIVE,
                exhibit("list"),
                bad(1) or "tokenizer.json",
                "reference",
            ),
            _finding(f"config.shared{detail}", Bearing.CONTEXT, exhibit("table"), bad(2) or "config.json"),
            _finding(f"names.rules{detail}", Bearing.SUPPORTING, exhibit("rename_map"), bad(3) or "index"),
            _finding(
                f"code.functions{detail}", Bearing.DISTINCTIVE, exhibit("code_pair"), bad(4) or "resampler.py"
            ),
            _finding(f"history.dating{detail}", Bearing.DISTINCTIVE, exhibit("timeline"), bad(5) or "19 May"),
            _finding(f"claims.apart{detail}", Bearing.AGAINST, [], bad(6) or "a claim"),
        ]
    return Report(
        schema_version="1",
        tool="apograph 0.1.0",
        created="2026-11-22T10:00:00Z",
        arguments=("compare", bad(7) or "reference.git", bad(8) or "candidate.git"),
        settings={"only": bad(9) or "files,code", "limit": 7, "offline": True},
        releases=(
            _release("reference", bad(0) or "minicpm/MiniCPM-Llama3-V-2_5"),
            _release("candidate", bad(1) or "someone/model", tensors=None, revision=bad(5) or None),
            _release("base", bad(2) or "minicpm/MiniCPM-V-2", first_date=bad(3) or None),
            _release(
                "claimed",
                bad(4) or "some/other",
                note=Message("report.refused.shape", {"where": bad(5) or "d0d857d"}),
            ),
        ),
        findings=tuple(findings),
        unexamined=(
            Unexamined("code", Message("report.all_examined"), "candidate", bad(6) or "weights.bin"),
            Unexamined(
                "names",
                Message("report.refused.shape", {"where": bad(7)}),
                "reference",
                "x.safetensors",
                True,
                2,
            ),
        ),
        conclusion=Conclusion(
            "copy or derivative",
            Message("report.file", {"reason": "files, code, " + (bad(8) or "history")}),
            basis=tuple(f.id for f in findings if f.bearing is Bearing.DISTINCTIVE),
            direction="known",
            source="reference",
            direction_basis=Message("report.refused.version", {"version": bad(9) or "2", "known": "1"}),
            strength=Strength("descriptive"),
            notes=(
                Message("report.refused.none"),
                Message("report.refused.shape", {"where": bad(10) or "x"}),
            ),
        ),
    )
