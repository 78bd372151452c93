"""The review page as HTML: self-contained, without scripts, every word of a run escaped."""

import base64
import hashlib
from collections.abc import Iterator
from datetime import UTC, datetime
from html import escape
from pathlib import Path
from string import Template
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from pipeline.domain import Cut, Section, Sentence
from workers.runs.preview_links import Grant
from workers.runs.review import Review

_PAGES = Path(__file__).parent / "pages"
_PAGE = Template((_PAGES / "preview.html").read_text(encoding="utf-8"))
_CSS = (_PAGES / "preview.css").read_text(encoding="utf-8")
_CSS_HASH = base64.b64encode(hashlib.sha256(_CSS.encode()).digest()).decode()
WAYS_ON = {
    "": "The run ends",
    "script": "The script is written again",
    "voice": "The script is spoken again",
    "render": "The film is drawn again",
    "trend_pick": "Another topic is picked",
}
HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": (
        f"default-src 'none'; img-src 'self'; media-src 'self'; style-src 'sha256-{_CSS_HASH}';"
        " form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "X-Robots-Tag": "noindex, nofollow",
    "Cross-Origin-Resource-Policy": "same-origin",
}


def message_page(title: str, *paragraphs: str) -> str:
    """A page that only says something."""
    said = "".join(f'<p class="say">{escape(text)}</p>' for text in paragraphs)
    return _page(title, f'<main class="card message"><h1>{escape(title)}</h1>{said}</main>')


def review_page(review: Review, grant: Grant, *, base: str) -> str:
    """The page of a run. `base` is the last part of its own address, which its links begin with."""
    run = review.overview.run
    title = run.title or "Untitled"
    cut = review.cut
    tall = " tall" if cut is not None and cut.format.vertical else ""
    return _page(
        f"Review: {title}",
        f"""<header><p class="by"><b dir="auto">{escape(review.channel.name)}</b>
<span class="pill {escape(run.status)}">{escape(run.status)}</span></p>
<h1 dir="auto">{escape(title)}</h1></header>
<div class="grid{tall}">
<main>{_screen(cut, review, base)}{_about(review)}</main>
<aside class="side">{_decision(review, grant, base)}{_facts(review)}{_thumbnail(cut, base)}</aside>
</div>
{_words(review)}""",
    )


def _page(title: str, body: str) -> str:
    return _PAGE.substitute(title=escape(title), css=_CSS, body=body)


def _screen(cut: Cut | None, review: Review, base: str) -> str:
    if cut is None:
        return '<div class="card"><p class="say">The film is not made yet.</p></div>'
    language = escape(review.script.language if review.script else review.channel.language)
    return f"""<div class="card screen">
<video controls preload="metadata" playsinline poster="{base}/thumbnail">
<source src="{base}/video" type="{escape(cut.video.media_type)}">
<track kind="captions" src="{base}/captions" srclang="{language}" label="{language}"></video>
</div>"""


def _about(review: Review) -> str:
    if review.script is None:
        return ""
    tags = "".join(f'<li dir="auto">{escape(tag)}</li>' for tag in review.script.tags)
    return f"""<section class="card about"><h2>Description</h2>
<p class="blurb" dir="auto">{escape(review.description)}</p>
<ul class="tags">{tags}</ul></section>"""


def _decision(review: Review, grant: Grant, base: str) -> str:
    run = review.overview.run
    if not review.awaits_decision or review.cut is None:
        said = f'<p class="say">{escape(_where_it_stands(review))}</p>'
        if run.error_message:
            said += f'<p class="say" dir="auto">{escape(run.error_message)}</p>'
        return f'<section class="card decision"><h2>Decision</h2>{said}</section>'
    shown = f'<input type="hidden" name="cut" value="{escape(review.cut.video.sha256)}">'
    return f"""<section class="card decision"><h2>Decision</h2>
<form method="post" action="{base}/approve">{shown}<button>Approve and publish</button></form>
<details><summary>Turn it down …</summary><form method="post" action="{base}/reject">{shown}
<label for="reason">What is wrong with it?</label>
<textarea id="reason" name="reason" required maxlength="2000"></textarea>
<label for="to_step">What happens then?</label>
<select id="to_step" name="to_step">{_ways()}</select>
<button class="no">Turn it down</button></form></details>
<p class="note">Nothing has left the house yet. This link is good until
{grant.expires_at:%d %B %Y, %H:%M} UTC, for this run only.</p></section>"""


def _ways() -> str:
    return "".join(f'<option value="{value}">{text}</option>' for value, text in WAYS_ON.items())


def _where_it_stands(review: Review) -> str:
    run = review.overview.run
    if review.execution.approved_at is not None:
        return f"Approved on {review.execution.approved_at:%d %B %Y, %H:%M} UTC."
    if run.status == "waiting":
        return "The run waits, but not for an approval."
    return f"There is nothing to decide: the run is {run.status}."


def _facts(review: Review) -> str:
    """Length, time of publication, and what it cost so far."""
    rows = []
    if review.cut is not None:
        film = review.cut
        rows.append(("Length", f"{_clock(film.duration)}"))
        rows.append(("Picture", f"{film.format.width} × {film.format.height}"))
    rows.append(("Language", escape(review.channel.language)))
    rows.append(("Goes out as", escape(review.channel.visibility)))
    rows.append(("When", _publication(review)))
    total = (
        f"<dt class='total'>Cost so far</dt><dd class='total'>${review.overview.run.cost:.4f}</dd>"
    )
    spent = "".join(
        f"<dt>{escape(line.service)}</dt><dd>${line.amount:.4f}"
        f"<small>{escape(line.operation)}</small></dd>"
        for line in review.overview.costs
        if line.amount
    )
    shown = "".join(f"<dt>{name}</dt><dd>{value}</dd>" for name, value in rows)
    return f'<section class="card"><dl>{shown}{spent}{total}</dl></section>'


def _publication(review: Review) -> str:
    at = review.execution.publish_at
    if at is None:
        return "as soon as it is approved"
    local = at.astimezone(ZoneInfo(review.channel.timezone))
    if at <= datetime.now(UTC):
        return f"at once (was planned for {local:%d %b, %H:%M})"
    zone = escape(review.channel.timezone)
    return f"{local:%d %b %Y, %H:%M}<small>{zone} ({at.astimezone(UTC):%H:%M} UTC)</small>"


def _thumbnail(cut: Cut | None, base: str) -> str:
    if cut is None:
        return ""
    return (
        f'<section class="card"><h2>Thumbnail</h2><img class="thumb" src="{base}/thumbnail"'
        ' alt="The thumbnail" width="1280" height="720"></section>'
    )


def _words(review: Review) -> str:
    if review.script is None:
        return ""
    source = review.topic.source_url if review.topic else None
    origin = f'<p class="note">Source of the topic: {_link(source)}</p>' if source else ""
    spoken = "".join(_section(section, review) for section in review.script.sections)
    return f"""<section class="card words"><h2>What is said, and the fact that each sentence rests
on</h2>{spoken}{origin}</section>"""


def _section(section: Section, review: Review) -> str:
    return f'<h3 dir="auto">{escape(section.heading)}</h3>' + "".join(_lines(section, review))


def _lines(section: Section, review: Review) -> Iterator[str]:
    for sentence in section.sentences:
        yield (
            f'<div class="line"><p dir="auto">{escape(sentence.text)}</p>'
            f"{_resting(sentence, review)}</div>"
        )


def _resting(sentence: Sentence, review: Review) -> str:
    facts = review.topic.facts if review.topic else ()
    if sentence.fact is None or not 0 <= sentence.fact < len(facts):
        return '<p class="fact glue">states no fact</p>'
    fact = facts[sentence.fact]
    url = review.fact_urls.get(fact)
    return f'<p class="fact" dir="auto">{escape(fact)}{" " + _link(url) if url else ""}</p>'


def _link(url: str) -> str:
    """A link to a source, or its text alone when it is no web address."""
    parts = urlsplit(url)
    if parts.scheme not in ("https", "http") or not parts.hostname:
        return escape(url)
    return (
        f'<a href="{escape(url)}" rel="noreferrer noopener nofollow">{escape(parts.hostname)}</a>'
    )


def _clock(seconds: float) -> str:
    whole = round(seconds)
    return f"{whole // 60}:{whole % 60:02}"
