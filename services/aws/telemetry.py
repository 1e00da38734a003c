"""CloudWatch metrics that scaling and alarms read."""

from __future__ import annotations

from collections.abc import Mapping

from services.aws.session import Client, translated

NAMESPACE = "Atelier"


class Metrics:
    """Numbers published under the studio's namespace."""

    def __init__(self, client: Client) -> None:
        self._client = client

    @translated("CloudWatch")
    def by_endpoint(self, name: str, counts: Mapping[str, int]) -> None:
        """Publishes a count for each endpoint. One AWS call; raises Unavailable."""
        data = [
            {
                "MetricName": name,
                "Dimensions": [{"Name": "Endpoint", "Value": endpoint}],
                "Value": count,
                "Unit": "Count",
            }
            for endpoint, count in counts.items()
        ]
        self._client.put_metric_data(Namespace=NAMESPACE, MetricData=data)
