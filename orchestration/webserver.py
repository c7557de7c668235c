"""Dagster's web server, closed to the pages of other sites: `python -m orchestration.webserver`.

It takes the options of `dagster-webserver`. Dagster answers whoever asks: any page that the operator's browser opens
could launch or delete runs through it. `SameSite` refuses those, and a link (`GET /graphql?query=mutation ...`) too.
"""

from typing import TYPE_CHECKING

from serving.same_site import SAFE_METHODS, SameSite

if TYPE_CHECKING:
    from starlette.middleware import Middleware
    from starlette.types import Scope


class SameSiteGraphql(SameSite):
    """`SameSite` before a GraphQL server, which a link could otherwise ask to change something."""

    def refuse(self, scope: "Scope") -> str | None:
        """Return why a request is refused, None when it is not."""
        is_read = scope["type"] == "http" and scope["method"] in SAFE_METHODS
        if is_read and scope["path"].rstrip("/") == "/graphql" and scope["query_string"]:
            return "GraphQL is asked by POST here: a link must not be able to change anything."
        return super().refuse(scope)


def main() -> None:
    """Run `dagster-webserver` behind `SameSiteGraphql`."""
    from dagster_webserver.cli import main as run_webserver
    from dagster_webserver.webserver import DagsterWebserver
    from starlette.middleware import Middleware

    class GuardedWebserver(DagsterWebserver):  # type: ignore[type-arg]
        def build_middleware(self) -> "list[Middleware]":
            return [Middleware(SameSiteGraphql), *super().build_middleware()]

    # the command makes a DagsterWebserver by this name and offers no other way in
    import dagster_webserver.app

    dagster_webserver.app.DagsterWebserver = GuardedWebserver  # type: ignore[attr-defined]
    run_webserver()  # type: ignore[no-untyped-call]


if __name__ == "__main__":
    main()
