"""MLflow's pages, in the version that is installed, answer no other site's page and no foreign name."""

import pytest
from starlette.testclient import TestClient

OWN = "http://127.0.0.1:5000"
CREATE = '{"name": "made by another site"}'


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> TestClient:
    home = tmp_path_factory.mktemp("registry")
    with pytest.MonkeyPatch.context() as patch:
        for name in ("FILE_STORE", "REGISTRY_STORE"):
            patch.setenv(f"_MLFLOW_SERVER_{name}", f"sqlite:///{home / 'mlflow.db'}")
        patch.setenv("_MLFLOW_SERVER_ARTIFACT_ROOT", str(home))
        for name in ("DISABLE_SECURITY_MIDDLEWARE", "ALLOWED_HOSTS", "CORS_ALLOWED_ORIGINS"):
            patch.delenv(f"MLFLOW_SERVER_{name}", raising=False)
        from mlflow.server.fastapi_app import app

        return TestClient(app, base_url=OWN)


@pytest.mark.parametrize("path", ["/api/2.0/mlflow/experiments/create", "/ajax-api/2.0/mlflow/experiments/create"])
@pytest.mark.parametrize(
    "headers", [{"Origin": "https://evil.example"}, {"Origin": "null"}, {"Host": "evil.example"}], ids=str
)
def test_another_site_and_another_name_change_nothing(path: str, headers: dict[str, str], client: TestClient) -> None:
    for kind in ("application/json", "text/plain"):  # a browser sends the second without asking first
        assert client.post(path, content=CREATE, headers={"Content-Type": kind, **headers}).status_code == 403
    assert client.get("/", headers={"Host": "evil.example"}).status_code == 403
