"""The onboarding journey by a generated client, type-checked before it runs.

RAMPART_URL and RAMPART_TOKEN say where the platform is and who asks; KUBECONFIG is the file of a cluster to onboard.
"""

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from rampart_client import AuthenticatedClient
from rampart_client.api.clusters import list_clusters
from rampart_client.api.connectors import create_connector
from rampart_client.api.findings import list_findings
from rampart_client.api.preflights import get_preflight
from rampart_client.api.recommendations import list_recommendations
from rampart_client.api.scans import get_scan, start_scan
from rampart_client.models import (
    AtListFinding,
    AtListFindingItemsItem,
    CreateConnector,
    KubernetesSource,
    KubernetesSourceProvider,
    Problem,
)

NAME = "from-python"
T = TypeVar("T")


def good(answer: T | Problem | None) -> T:
    assert answer is not None, "the answer is none that the document knows"
    assert not isinstance(answer, Problem), f"{answer.code}: {answer.detail}"
    return answer


def ended(ask: Callable[[], T], status: Callable[[T], str]) -> T:
    for _ in range(600):
        answer = ask()
        if status(answer) not in ("queued", "running"):
            return answer
        time.sleep(0.2)
    raise AssertionError("it does not end")


client = AuthenticatedClient(base_url=os.environ["RAMPART_URL"], token=os.environ["RAMPART_TOKEN"])

source = KubernetesSource(
    provider=KubernetesSourceProvider.KUBERNETES,
    kubeconfig=Path(os.environ["KUBECONFIG"]).read_text(),
    cluster_name=NAME,
)
connector = good(create_connector.sync(client=client, body=CreateConnector(name=NAME, source=source)))

preflight = ended(
    lambda: good(get_preflight.sync(NAME, connector.preflight.id, client=client)),
    lambda preflight: preflight.status,
)
assert preflight.status == "succeeded" and preflight.checks, preflight

asked = good(start_scan.sync(NAME, client=client))
scan = ended(lambda: good(get_scan.sync(asked.id, client=client)), lambda scan: scan.status)
assert scan.status == "succeeded", scan

clusters = good(list_clusters.sync(client=client, limit=100)).items
assert any(cluster.id for cluster in clusters), clusters

findings: list[AtListFindingItemsItem] = []
for _ in range(600):
    page = list_findings.sync(client=client, limit=10)
    assert isinstance(page, AtListFinding), page
    findings = page.items
    if findings:
        break
    time.sleep(0.2)
assert findings and findings[0].control_id, findings

recommendations = good(list_recommendations.sync(client=client, limit=10)).items
assert recommendations and recommendations[0].title, recommendations

missing = get_scan.sync(connector.id, client=client)
assert isinstance(missing, Problem) and missing.status == 404, missing
print(f"{len(clusters)} clusters, {len(findings)} findings, {len(recommendations)} recommendations")
