from __future__ import annotations

import pytest
from plimsoll.settings import SettingsError, load

STORE = {
    "PLIMSOLL_STORE_ENDPOINT": "http://store:7070/",
    "PLIMSOLL_STORE_ACCESS_KEY_ID": "root",
    "PLIMSOLL_STORE_SECRET_ACCESS_KEY": "very-secret",
}


def test_the_store_alone_is_enough_and_the_rest_has_defaults() -> None:
    install = load(STORE)

    assert install.facts.namespaces == ()
    assert install.facts.namespace == "plimsoll-system"
    assert install.store.managed is True
    assert install.store.endpoint == "http://store:7070"
    assert install.store.public_endpoint == install.store.admin_endpoint == install.store.endpoint
    assert install.log_level == "info"


def test_what_is_set_is_taken() -> None:
    install = load(
        STORE
        | {
            "PLIMSOLL_NAMESPACES": "team-a, team-b,,team-a",
            "PLIMSOLL_POD": "operator-0",
            "PLIMSOLL_STORE_MODE": "external",
            "PLIMSOLL_STORE_PUBLIC_ENDPOINT": "https://s3.example.org",
            "PLIMSOLL_SERVING_IMAGE": "example.org/serving:1",
            "PLIMSOLL_SERVING_IMAGE_OPENVINO": "example.org/serving:openvino",
            "PLIMSOLL_SERVING_IMAGE_CUDA": "example.org/serving:cuda",
        }
    )

    assert install.facts.namespaces == ("team-a", "team-b")
    assert install.identity == "operator-0"
    assert install.store.managed is False
    assert install.store.public_endpoint == "https://s3.example.org"
    assert install.facts.serving_image == "example.org/serving:1"
    assert install.facts.serving_image_openvino == "example.org/serving:openvino"
    assert install.facts.serving_image_cuda == "example.org/serving:cuda"


def test_two_processes_outside_a_pod_are_never_taken_for_one() -> None:
    assert load(STORE).identity != load(STORE).identity


@pytest.mark.parametrize(
    ("variable", "value", "remedy"),
    [
        ("PLIMSOLL_STORE_ENDPOINT", "", "give the store's URL"),
        ("PLIMSOLL_STORE_ENDPOINT", "store:7070", "http or https URL"),
        ("PLIMSOLL_STORE_PUBLIC_ENDPOINT", "http://user:word@store", "without credentials"),
        ("PLIMSOLL_STORE_ACCESS_KEY_ID", "", "give the store's key id"),
        ("PLIMSOLL_STORE_MODE", "none", "managed, external"),
        ("PLIMSOLL_IMAGE_PULL_POLICY", "Sometimes", "Always, IfNotPresent, Never"),
        ("PLIMSOLL_LOG_LEVEL", "loud", "debug, info, warning, error"),
        ("PLIMSOLL_NAMESPACES", "Team A", "names separated by commas"),
        ("PLIMSOLL_NAMESPACE", "-x", "lower-case letters"),
        ("PLIMSOLL_WORKERS", "0", "from 1 to 64"),
        ("PLIMSOLL_HTTP_PORT", "http", "from 1 to 65535"),
    ],
)
def test_a_wrong_value_is_refused_with_the_variable_and_the_remedy(variable: str, value: str, remedy: str) -> None:
    with pytest.raises(SettingsError, match=remedy) as refused:
        load(STORE | {variable: value})

    assert str(refused.value).startswith(variable)
    assert "very-secret" not in str(refused.value)


def test_the_secret_key_is_not_in_the_printed_settings() -> None:
    assert "very-secret" not in repr(load(STORE))


def test_evidence_comes_from_nowhere_else_unless_it_is_set() -> None:
    facts = load(STORE).facts
    assert (facts.prometheus_url, facts.allow_custom_queries, facts.allowed_hosts) == ("", False, ())


def test_where_evidence_may_come_from_is_taken() -> None:
    install = load(
        STORE
        | {
            "PLIMSOLL_PROMETHEUS_URL": "http://prometheus.monitoring.svc:9090/",
            "PLIMSOLL_PROMETHEUS_TOKEN_FILE": "/etc/token",
            "PLIMSOLL_PROMETHEUS_NAMESPACE_PARAMETER": "namespace",
            "PLIMSOLL_ALLOW_CUSTOM_QUERIES": "true",
            "PLIMSOLL_ALLOWED_HOSTS": "*.example.org, http://plain.example.net",
        }
    )
    assert install.facts.prometheus_url == "http://prometheus.monitoring.svc:9090"
    assert install.facts.allow_custom_queries and install.facts.prometheus_namespace_parameter == "namespace"
    assert install.facts.allowed_hosts == ("*.example.org", "http://plain.example.net")
    assert install.credentials.token_file == "/etc/token"


@pytest.mark.parametrize(
    ("variables", "remedy"),
    [
        ({"PLIMSOLL_ALLOWED_HOSTS": "https://x/y"}, "give names such as"),
        (
            {"PLIMSOLL_PROMETHEUS_URL": "http://p", "PLIMSOLL_ALLOW_CUSTOM_QUERIES": "true"},
            "put a proxy that enforces a namespace before it",
        ),
    ],
)
def test_settings_that_would_open_too_much_are_refused(variables: dict[str, str], remedy: str) -> None:
    with pytest.raises(SettingsError, match=remedy):
        load(STORE | variables)
