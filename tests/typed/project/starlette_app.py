"""An application of Starlette with one of FastAPI, which take users as a function and as a dependency."""

from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import Depends, FastAPI
from social_core.exceptions import SocialAuthBaseException
from social_core.storage import BaseStorage
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import Mount, Route

from social_bitbucket_server.login import error_page, reference
from social_bitbucket_server.starlette import BitbucketServer


async def show_error(request: Request, error: SocialAuthBaseException) -> Response:
    page = error_page(error, login_page=request.url.path)
    return PlainTextResponse(reference(error), page.status, page.headers)


def add_to_starlette(settings: Mapping[str, Any], storage: type[BaseStorage]) -> Starlette:
    bitbucket = BitbucketServer(settings, storage, show_error=show_error)

    async def home(request: Request) -> Response:
        user = await bitbucket.current_user(request)
        if user is None:
            return HTMLResponse(bitbucket.button(request, "Log in", integration="acme", next="/report"))
        return HTMLResponse(bitbucket.log_out_button(request))

    async def connect(request: Request) -> Response:
        return await bitbucket.connect(request, "acme")

    own = [Route("/", home), Route("/connect", connect, methods=["POST"])]
    return Starlette(routes=[*own, Mount("/auth", routes=bitbucket.routes)])


def add_to_fastapi(settings: Mapping[str, Any], storage: type[BaseStorage], remove: Any) -> FastAPI:
    def log_in(request: Request, user: Any) -> None:
        bitbucket.log_in(request, user)
        request.session["organization"] = request.path_params.get("integration")

    bitbucket = BitbucketServer(settings, storage, teardown=remove, log_in=log_in)
    app = FastAPI()
    app.routes.extend(bitbucket.routes)

    def report(user: Annotated[Any, Depends(bitbucket.user_or_login)]) -> str:
        return str(user.username)

    def me(user: Annotated[Any, Depends(bitbucket.user_or_401)]) -> str:
        return str(user.username)

    app.add_api_route("/report", report)
    app.add_api_route("/api/me", me)
    return app
