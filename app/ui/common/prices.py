"""The estimated price and time of a click, shown before it."""

from __future__ import annotations

from collections.abc import Sequence

from app.i18n.texts import number, tr
from app.i18n.wording import about, dollars, drafts, duration, pictures, sentence_case, steps
from services.records import Estimate, JobRequest


def price_words(estimate: Estimate, requests: Sequence[JobRequest] = ()) -> str:
    """The line under the button, as a markdown label (a dollar sign would start a formula).

    With the form's `requests`, the cost of waking a sleeping model is shown next to the option that decides
    whether to wake it. Without them, the line is for one job that runs immediately.
    """
    price = about(dollars(estimate.cost_usd))
    count = sum(request.count for request in requests)
    if requests and requests[0].draft is not None:
        few, prompts = steps(requests[0].steps or 0), len({request.prompt for request in requests})
        words = tr("{drafts} of {steps}, {price}", drafts=drafts(count), steps=few, price=price)
        if prompts > 1:
            words = tr(
                "{count} prompts x {each} = {all}", count=prompts, each=drafts(count // prompts), all=words
            )
    elif len(requests) <= 1:
        words = sentence_case(price)
    else:
        words = tr(
            "{count} prompts x {each} = {all}, {price}",
            count=number(len(requests)),
            each=pictures(requests[0].count),
            all=pictures(count),
            price=price,
        )
    words += f" · {about(duration(estimate.run_s + estimate.beyond_s))}"
    if not requests and estimate.cold_start_s >= 1:
        words += " · " + tr(
            "the model is asleep: waking it adds {time} and costs the studio {wake}, which you are not "
            "charged",
            time=about(duration(estimate.cold_start_s)),
            wake=about(dollars(estimate.wake_usd)),
        )
    return words.replace("$", "\\$")
