"""Stable Diffusion 1.x and 2.x, SD-Turbo, and pocket: the form that the others vary."""

from __future__ import annotations

from inference.pipelines.form import Form

FORM = Form()
