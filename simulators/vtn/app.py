"""The VTN's web server: every path of OpenADR 3.1 for objects, tokens and notifiers."""

from __future__ import annotations

import asyncio
import contextlib
import json
from http import HTTPStatus
from typing import Any

from aiohttp import web

from simulators.vtn.access import Client, OAuthError, Role, Tokens, basic
from simulators.vtn.notices import Messenger, Notice, topics_of
from simulators.vtn.shapes import REQUESTS, ShapeError, without_nulls
from simulators.vtn.shelf import KINDS, WRITERS, Shelf

MOST_PAGE = 50
CLIENT: web.RequestKey[Client] = web.RequestKey("client", Client)
REFERENCES = {
    "events": (("programID", "programs"),),
    "reports": (("eventID", "events"),),
    "resources": (("venID", "vens"),),
}
"""Members that must name an object that is there (400 otherwise)."""
Body = dict[str, Any]


class Vtn:
    """One VTN on a loopback port; `broker` switches its MQTT notifier on."""

    def __init__(
        self,
        clients: tuple[Client, ...],
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        token_lasts_s: float = 3_600.0,
        broker: tuple[str, int] | None = None,
    ) -> None:
        self.host = host
        self.port = port
        self.shelf = Shelf()
        self.tokens = Tokens(clients, token_lasts_s)
        self.calls: list[tuple[str, str, int]] = []
        """(method, path, status) of every answer."""
        self.down = False
        """True: 503 to everything."""
        self.delay_s = 0.0
        self._broker = broker
        self._messenger = Messenger(broker)
        self._courier: asyncio.Task[None] | None = None
        self._runner: web.AppRunner | None = None

    @property
    def url(self) -> str:
        """Base address."""
        return f"http://{self.host}:{self.port}"

    async def start(self) -> None:
        """Listen; a port of 0 becomes the one that was found."""
        app = web.Application(middlewares=[self._guard])
        app.router.add_get("/auth/server", self._auth_server)
        app.router.add_post("/auth/token", self._auth_token)
        app.router.add_get("/notifiers", self._notifiers)
        app.router.add_get("/notifiers/mqtt/topics/vens/{ven}/{kind}", self._ven_topics)
        app.router.add_get("/notifiers/mqtt/topics/{kind}", self._topics)
        for path in KINDS:
            app.router.add_get(f"/{path}", self._search)
            app.router.add_post(f"/{path}", self._create)
            for method in ("GET", "PUT", "DELETE"):
                app.router.add_route(method, f"/{path}/{{number}}", self._single)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        await web.TCPSite(self._runner, self.host, self.port).start()
        self.port = int(self._runner.addresses[0][1])
        self._courier = asyncio.create_task(self._messenger.run())

    async def stop(self) -> None:
        """Close the port."""
        if self._courier is not None:
            self._courier.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._courier
        if self._runner is not None:
            await self._runner.cleanup()

    def put(self, path: str, body: Body, client: Client | None = None) -> Body:
        """Store an object as the business logic would, with its notice.  Raises ShapeError."""
        REQUESTS[path](body, path[:-1])
        made = self.shelf.add(path, body, client or Client(client_id="bl", secret="-", role=Role.BL))  # noqa: S106 - unused
        self._tell("CREATE", path, made)
        return made

    def change(self, path: str, number: str, body: Body) -> Body:
        """Replace an object as the business logic would.  Raises ShapeError."""
        REQUESTS[path](body, path[:-1])
        made = self.shelf.replace(path, number, body)
        self._tell("UPDATE", path, made)
        return made

    def remove(self, path: str, number: str) -> Body:
        """Delete an object as the business logic would."""
        gone = self.shelf.objects[path].pop(number)
        self._tell("DELETE", path, gone)
        return gone

    @web.middleware
    async def _guard(self, request: web.Request, handler: Any) -> web.StreamResponse:
        """Faults, then who it is, then the answer; every refusal is a `problem`."""
        await asyncio.sleep(self.delay_s)
        try:
            if self.down:
                raise web.HTTPServiceUnavailable(text="switched off")
            if not request.path.startswith("/auth/"):
                client = self.tokens.client(request.headers.get("Authorization"))
                if client is None:
                    raise web.HTTPUnauthorized(text="no valid bearer token")
                request[CLIENT] = client
            answer: web.StreamResponse = await handler(request)
        except ShapeError as error:
            answer = _problem(HTTPStatus.BAD_REQUEST, str(error))
        except OAuthError as error:
            answer = web.json_response({"error": error.error, "error_description": str(error)}, status=error.status)
        except web.HTTPException as error:
            answer = _problem(error.status, error.text or error.reason)
        self.calls.append((request.method, request.path, answer.status))
        return answer

    async def _auth_server(self, request: web.Request) -> web.Response:
        return web.json_response({"tokenURL": f"http://{request.host}/auth/token"})

    async def _auth_token(self, request: web.Request) -> web.Response:
        form = {k: v for k, v in (await request.post()).items() if isinstance(v, str)}
        return web.json_response(self.tokens.grant({**basic(request.headers.get("Authorization")), **form}))

    async def _notifiers(self, request: web.Request) -> web.Response:
        del request
        if self._broker is None:
            return web.json_response({"WEBHOOK": True})
        uri = f"mqtt://{self._broker[0]}:{self._broker[1]}"
        binding = {"URIS": [uri], "serialization": "JSON", "authentication": {"method": "ANONYMOUS"}}
        return web.json_response({"WEBHOOK": True, "MQTT": binding})

    async def _ven_topics(self, request: web.Request) -> web.Response:
        ven, kind = request.match_info["ven"], request.match_info["kind"]
        item = self.shelf.objects["vens"].get(ven)
        if item is None or kind not in ("events", "programs", "resources") or self._broker is None:
            raise web.HTTPNotFound(text=f"no topics of {kind} for VEN {ven}")
        if not self.shelf.seen_by("vens", item, request[CLIENT]):
            raise web.HTTPForbidden(text=f"VEN {ven} is another client's")
        return web.json_response(topics_of(f"vtn/vens/{ven}/{kind}"))

    async def _topics(self, request: web.Request) -> web.Response:
        kind = request.match_info["kind"]
        if kind not in KINDS or self._broker is None:
            raise web.HTTPNotFound(text=f"no topics of {kind}")
        if request[CLIENT].role is not Role.BL:
            raise web.HTTPForbidden(text="a VEN asks for its own topics")
        return web.json_response(topics_of(f"vtn/{kind}"))

    async def _search(self, request: web.Request) -> web.Response:
        path = request.path.strip("/")
        skip = _count(request, "skip", 0, 2**31)
        limit = _count(request, "limit", MOST_PAGE, MOST_PAGE)
        targets = set(request.query.getall("targets", []))
        found = self.shelf.search(path, request.query, request[CLIENT], targets)
        return web.json_response(found[skip : skip + limit])

    async def _create(self, request: web.Request) -> web.Response:
        path = request.path.strip("/")
        client: Client = request[CLIENT]
        body = await self._body(request, path)
        made = self.shelf.add(path, body, client)
        self._tell("CREATE", path, made)
        return web.json_response(made, status=HTTPStatus.CREATED)

    async def _single(self, request: web.Request) -> web.Response:
        path, number = request.path.strip("/").split("/")
        client: Client = request[CLIENT]
        item = self.shelf.objects[path].get(number)
        if item is None or not self.shelf.seen_by(path, item, client):
            raise web.HTTPNotFound(text=f"{path}/{number}")
        if request.method == "GET":
            return web.json_response(item)
        if client.role not in WRITERS[path]:
            raise web.HTTPForbidden(text=f"{client.role} may not write {path}")
        if request.method == "DELETE":
            return web.json_response(self.remove(path, number))
        body = await self._body(request, path, number)
        made = self.shelf.replace(path, number, body)
        self._tell("UPDATE", path, made)
        return web.json_response(made)

    async def _body(self, request: web.Request, path: str, number: str = "") -> Body:
        """A body that may be stored.  Raises the refusal that it deserves."""
        client: Client = request[CLIENT]
        if client.role not in WRITERS[path]:
            raise web.HTTPForbidden(text=f"{client.role} may not write {path}")
        try:
            body = without_nulls(await request.json())
        except (json.JSONDecodeError, UnicodeDecodeError) as error:
            raise web.HTTPBadRequest(text="expected JSON") from error
        REQUESTS[path](body, path[:-1])
        if self.shelf.taken(path, body, number):
            raise web.HTTPConflict(text=f"{path}: the name is taken")
        for member, shelf in REFERENCES.get(path, ()):
            if body[member] not in self.shelf.objects[shelf]:
                raise web.HTTPBadRequest(text=f"{member}: no such object")
        return dict(body)

    def _tell(self, operation: str, path: str, item: Body) -> None:
        topics = [f"vtn/{path}/{operation.lower()}"]
        if path in ("programs", "events"):
            for ven in self.shelf.objects["vens"].values():
                reader = Client(client_id=str(ven.get("clientID")), secret="-", role=Role.VEN)  # noqa: S106 - unused
                if self.shelf.seen_by(path, item, reader):
                    topics.append(f"vtn/vens/{ven['id']}/{path}/{operation.lower()}")
        callbacks = [
            (str(part["callbackUrl"]), part.get("bearerToken"))
            for subscription in self.shelf.objects["subscriptions"].values()
            for part in subscription["objectOperations"]
            if KINDS[path] in part["objects"] and operation in part["operations"]
        ]
        self._messenger.tell(Notice(operation=operation, item=item, venue=tuple(topics), callbacks=tuple(callbacks)))


def _count(request: web.Request, name: str, default: int, most: int) -> int:
    text = request.query.get(name, str(default))
    if not text.isdigit() or int(text) > most:
        raise web.HTTPBadRequest(text=f"{name}: expected 0 to {most}")
    return int(text)


def _problem(status: int, detail: str) -> web.Response:
    body = {"title": HTTPStatus(status).phrase, "status": status, "detail": detail}
    return web.json_response(body, status=status, content_type="application/problem+json")
