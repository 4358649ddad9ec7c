"""A STAC API on this machine: item search with pages, by POST or by GET, as the specification has it."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlencode, urlsplit

import shapely
import shapely.geometry

CORE = "https://api.stacspec.org/v1.0.0/core"
CLASSES = [CORE, "https://api.stacspec.org/v1.0.0/item-search", "http://www.opengis.net/spec/cql2/1.0/conf/cql2-text"]
FILTER = ["https://api.stacspec.org/v1.0.0-rc.2/item-search#filter"]


class StacApi:
    """Serves Items; ``asked`` holds what each search asked for, ``method`` is how it wants to be asked.

    Parameters
    ----------
    items : list of dict
    page : int
        Items of a page.
    method : str
        ``POST`` or ``GET``.
    key : str, optional
        Wanted in the header ``X-Key``.
    classes : list of str
        What it says it conforms to.
    """

    def __init__(self, items, *, page=2, method="POST", key=None, classes=CLASSES + FILTER):
        self.items, self.page, self.method, self.key, self.classes = items, page, method, key, classes
        self.asked = []
        api = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                parts = urlsplit(self.path)
                body = {name: values[0] for name, values in parse_qs(parts.query).items()}
                for name in ("collections", "ids", "bbox"):
                    if name in body:
                        body[name] = body[name].split(",")
                if "bbox" in body:
                    body["bbox"] = [float(number) for number in body["bbox"]]
                if "intersects" in body:
                    body["intersects"] = json.loads(body["intersects"])
                self.answer(parts.path, body)

            def do_POST(self):
                self.answer(urlsplit(self.path).path, json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

            def answer(self, path, body):
                if api.key is not None and self.headers.get("X-Key") != api.key:
                    status, said = 401, {"code": "Unauthorized"}
                elif path == "/":
                    status, said = 200, api.landing()
                elif path == "/search":
                    status, said = 200, api.search(body)
                elif path.startswith("/collections/"):
                    status, said = 200, api.collection(path.split("/")[2])
                else:
                    status, said = 404, {"code": "NotFound"}
                data = json.dumps(said).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *words):
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}/"
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def close(self):
        """Stop."""
        self._server.shutdown()
        self._server.server_close()

    def landing(self):
        search = {"rel": "search", "href": self.url + "search", "type": "application/geo+json", "method": self.method}
        links = [{"rel": rel, "href": self.url, "type": "application/json"} for rel in ("self", "root")]
        return {
            "type": "Catalog",
            "stac_version": "1.0.0",
            "id": "api",
            "description": "Items of this machine.",
            "conformsTo": self.classes,
            "links": [*links, search],
        }

    def collection(self, name):
        own = f"{self.url}collections/{name}"
        return {
            "type": "Collection",
            "stac_version": "1.0.0",
            "id": name,
            "description": "One collection.",
            "license": "other",
            "extent": {"spatial": {"bbox": [[-180, -90, 180, 90]]}, "temporal": {"interval": [[None, None]]}},
            "links": [
                {"rel": "self", "href": own},
                {"rel": "root", "href": self.url},
                {"rel": "items", "href": own + "/items", "type": "application/geo+json"},
            ],
        }

    def search(self, body):
        """One page, with a link to the next."""
        self.asked.append(body)
        found = [item for item in self.items if self._meets(item, body)]
        first = int(body.get("token", 0))
        page = found[first : first + self.page]
        answer = {"type": "FeatureCollection", "features": page, "links": []}
        if first + self.page < len(found):
            following = {"token": first + self.page}
            link = {"rel": "next", "href": self.url + "search", "method": self.method}
            if self.method == "POST":
                link |= {"body": following, "merge": True}
            else:
                flat = {key: self._flat(value) for key, value in body.items()}
                link["href"] += "?" + urlencode(flat | following)
            answer["links"].append(link)
        return answer

    def _flat(self, value):
        if isinstance(value, list):
            return ",".join(map(str, value))
        return json.dumps(value) if isinstance(value, dict) else value

    def _meets(self, item, body):
        if "collections" in body and item["collection"] not in body["collections"]:
            return False
        if "ids" in body and item["id"] not in body["ids"]:
            return False
        shape = shapely.geometry.shape(item["geometry"])
        if "bbox" in body and not shape.intersects(shapely.box(*body["bbox"])):
            return False
        if "intersects" in body and not shape.intersects(shapely.geometry.shape(body["intersects"])):
            return False
        if "datetime" in body:
            first, _, last = body["datetime"].partition("/")
            time = item["properties"]["datetime"]
            if (first != ".." and time < first) or (last != ".." and time > last):
                return False
        return True
