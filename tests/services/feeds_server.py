"""Google Trends, Hacker News, Wikimedia and Reddit on this machine, with what they refuse."""

import base64
from datetime import datetime, timedelta
from email.utils import format_datetime
from urllib.parse import unquote
from xml.sax.saxutils import escape

from tests.services.local_http import LocalServer, Reply, Request, as_json

REDDIT_ID, REDDIT_SECRET = "app-id", "app-hush-hush"
TOKEN = "token-hush-hush"
SUMMARY = (
    "The common octopus is a mollusc of the order Octopoda. It has three hearts and blue blood."
    " It lives for one to two years."
)


class FeedsServer(LocalServer):
    """All feeds on one port. `days_late` delays Wikimedia's figures, `now` is the feeds' clock."""

    def __init__(self, now: datetime) -> None:
        super().__init__()
        self.now = now
        self.days_late = 1
        self.parallel = 0

    @property
    def google_url(self) -> str:
        return f"{self.root}/trending/rss?geo=US"

    @property
    def hackernews_url(self) -> str:
        return f"{self.root}/v0"

    @property
    def wikimedia_url(self) -> str:
        return f"{self.root}/api/rest_v1"

    def answer(self, request: Request) -> Reply:
        agent = request.headers.get("user-agent", "")
        if "ytempire" not in agent:
            return Reply(403, b"Please set an identifying User-Agent", "text/plain")
        path = request.path
        if path == "/trending/rss":
            return self._google(request)
        if path == "/v0/topstories.json":
            return as_json([101, 102, 103, 104])
        if path.startswith("/v0/item/"):
            return self._story(path.removeprefix("/v0/item/").removesuffix(".json"))
        if path.startswith("/api/rest_v1/metrics/pageviews/top/"):
            return self._page_views(path.removeprefix("/api/rest_v1/metrics/pageviews/top/"))
        if path.startswith("/api/rest_v1/page/summary/"):
            return self._summary(unquote(path.removeprefix("/api/rest_v1/page/summary/")))
        if path == "/api/v1/access_token":
            return self._token(request)
        if path == "/r/popular/hot":
            return self._posts(request)
        return Reply(404, b"not found", "text/plain")

    def _google(self, request: Request) -> Reply:
        if "geo" not in request.query:
            return Reply(400, b"geo is missing", "text/plain")
        day = format_datetime(self.now - timedelta(hours=3))
        items = [
            ("octopus", "2M+", (
                ("Octopus opens a jar at the aquarium", "https://news.example/octopus-jar",
                 "An octopus opened a jar from the inside &amp; ate the crab."),
                ("Why octopuses have three hearts", "https://news.example/hearts",
                 "Two of the three hearts of an octopus serve its gills."),
            )),
            ("rain <b>today</b>", "5000+", (("Rain", "https://news.example/rain", ""),)),
            ("OCTOPUS!", "200+", ()),
        ]  # fmt: skip
        news = "<ht:news_item><ht:news_item_title>{}</ht:news_item_title><ht:news_item_url>{}</ht:news_item_url><ht:news_item_snippet>{}</ht:news_item_snippet></ht:news_item>"  # noqa: E501
        body = "".join(
            f"<item><title>{escape(title)}</title><ht:approx_traffic>{traffic}</ht:approx_traffic>"
            f"<pubDate>{day}</pubDate>"
            + "".join(news.format(*map(escape, told)) for told in reports)
            + "</item>"
            for title, traffic, reports in items
        )
        feed = (
            '<?xml version="1.0" encoding="UTF-8"?>'
            '<rss xmlns:ht="https://trends.google.com/trending/rss" version="2.0">'
            f"<channel><title>Daily Search Trends</title>{body}</channel></rss>"
        )
        return Reply(200, feed.encode(), "application/xml; charset=utf-8")

    def _story(self, number: str) -> Reply:
        posted = int(self.now.timestamp()) - 7200
        stories = {
            "101": {"id": 101, "type": "story", "by": "a", "title": "A database in a browser",
                    "url": "https://example.org/db", "score": 420, "descendants": 99,
                    "time": posted},
            "102": {"id": 102, "type": "job", "by": "b", "title": "We hire", "time": posted},
            "103": {"id": 103, "type": "story", "by": "c", "title": "Ask HN: how do you sleep?",
                    "score": 12, "descendants": 3, "time": posted},
        }  # fmt: skip
        return as_json(stories.get(number))  # an unknown item is null, as there

    def _page_views(self, where: str) -> Reply:
        project, access, day = where.split("/", 2)
        asked = datetime.strptime(day, "%Y/%m/%d").replace(tzinfo=self.now.tzinfo)
        if access != "all-access" or asked > self.now - timedelta(days=self.days_late):
            return as_json({"type": "about:blank", "title": "Not found.", "status": 404}, 404)
        articles = [
            ("Main_Page", 5_000_000), ("Special:Search", 900_000), ("Octopus", 800_000),
            ("Dune:_Part_Two", 300_000), ("Bad/Title?", 20_000), ("Wikipedia:Featured", 9_000),
        ]  # fmt: skip
        listed = [
            {"article": name, "views": views, "rank": rank}
            for rank, (name, views) in enumerate(articles, start=1)
        ]
        return as_json({"items": [{"project": project, "access": access, "articles": listed}]})

    def _summary(self, article: str) -> Reply:
        if article != "Octopus":
            return as_json({"status": 404, "title": "Not found."}, 404)
        return as_json(
            {
                "type": "standard",
                "title": "Octopus",
                "extract": SUMMARY,
                "content_urls": {"desktop": {"page": "https://en.wikipedia.org/wiki/Octopus"}},
            }
        )

    def _token(self, request: Request) -> Reply:
        wanted = base64.b64encode(f"{REDDIT_ID}:{REDDIT_SECRET}".encode()).decode()
        if request.headers.get("authorization") != f"Basic {wanted}":
            return as_json({"message": "Unauthorized", "error": 401}, 401)
        if request.method != "POST" or request.body != b"grant_type=client_credentials":
            return as_json({"error": "unsupported_grant_type"}, 400)
        return as_json({"access_token": TOKEN, "token_type": "bearer", "expires_in": 86400})

    def _posts(self, request: Request) -> Reply:
        if request.headers.get("authorization") != f"Bearer {TOKEN}":
            return as_json({"message": "Forbidden", "error": 403}, 403)
        posted = self.now.timestamp() - 3600
        posts = [
            {"title": "A cat learned to open doors", "permalink": "/r/cats/1/", "ups": 40_000,
             "num_comments": 900, "created_utc": posted, "over_18": False, "stickied": False},
            {"title": "Not for everyone", "permalink": "/r/x/2/", "ups": 1, "over_18": True},
        ]  # fmt: skip
        children = [{"kind": "t3", "data": post} for post in posts]
        return as_json({"kind": "Listing", "data": {"children": children}})
