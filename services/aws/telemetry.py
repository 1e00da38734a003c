"""CloudWatch metrics that scaling and alarms read."""

from __future__ import annotations

from services.aws.session import Client, translated

NAMESPACE = "Atelier"


class Metrics:
    """Numbers published under the studio's namespace."""

    def __init__(self, client: Client) -> None:
        self._client = client

    @translated("CloudWatch")
    def count(self, name: str, value: int) -> None:
        """Publishes one count. One AWS call; raises Unavailable when CloudWatch is away."""
        self._client.put_metric_data(
            Namespace=NAMESPACE, MetricData=[{"MetricName": name, "Value": value, "Unit": "Count"}]
        )
