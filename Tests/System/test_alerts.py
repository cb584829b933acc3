"""The alert rules and the dashboard that come along: they are in order, name what there is, and the
alerts fire when they should."""

import json
import re

import pytest

from harness.admin import ROOT, Admin, promtool
from harness.waiting import wait_until

RULES = ROOT / "packaging/prometheus/millstream.rules.yml"
DASHBOARD = ROOT / "packaging/grafana/millstream.json"
# What Grafana puts in for its variables.
VARIABLES = {"$instance": ".*", "$__rate_interval": "5m"}

# For each alert a server that is in trouble: series as they come, one sample a minute.
TROUBLES = {
    "MillstreamDown": {'up{job="millstream", instance="a"}': "0x30"},
    "MillstreamLoopHangs": {'millstream_loop_up{instance="a", loop="1"}': "0x30"},
    "MillstreamPostgresAway": {
        'millstream_postgres_session_ready{instance="a", loop="0", session="read"}': "0x30"
    },
    "MillstreamPostgresUnsteady": {
        'millstream_postgres_reconnects_total{instance="a", loop="0", session="read"}': "0+1x30"
    },
    "MillstreamStoreCannotBeRead": {'millstream_store_available{instance="a", store="native"}': "0x30"},
    "MillstreamWakeUpsLost": {
        'millstream_safety_finds_total{instance="a", loop="0"}': "0+1x30"
    },
    "MillstreamNotificationQueueFills": {
        'millstream_notification_queue_usage_ratio{instance="a"}': "0.3x30"
    },
    "MillstreamNearlyFull": {
        'millstream_connections{instance="a", loop="0", state="live"}': "500x30",
        'millstream_connections{instance="a", loop="1", state="live"}': "450x30",
        'millstream_max_connections{instance="a"}': "1000x30",
    },
    "MillstreamRefusesClients": {
        'millstream_refusals_total{instance="a", loop="0", reason="address"}': "0+300x30",
        'millstream_refusals_total{instance="a", loop="0", reason="draining"}': "0+300x30",
        'millstream_refusals_total{instance="a", loop="0", reason="unavailable"}': "0+300x30",
    },
    "MillstreamApplicationDoesNotSay": {
        'millstream_authorization_failures_total{instance="a", loop="0"}': "0+30x30",
        'millstream_refusals_total{instance="a", loop="0", reason="unavailable"}': "0+300x30",
    },
    "MillstreamTokenKeysAway": {
        'millstream_token_key_failures_total{instance="a", loop="0"}': "0+1x30"
    },
    "MillstreamReloadFailed": {'millstream_last_reload_successful{instance="a"}': "0x30"},
    "MillstreamDescriptorsRunOut": {
        'millstream_open_descriptors{instance="a"}': "980x30",
        'millstream_max_descriptors{instance="a"}': "1000x30",
    },
    "MillstreamLoopLate": {
        'millstream_loop_lag_seconds_bucket{instance="a", loop="0", le="0.1"}': "0+1x30",
        'millstream_loop_lag_seconds_bucket{instance="a", loop="0", le="0.25"}': "0+100x30",
        'millstream_loop_lag_seconds_bucket{instance="a", loop="0", le="+Inf"}': "0+100x30",
    },
    "MillstreamBroadcastsSlow": {
        'millstream_broadcast_to_socket_seconds_bucket{instance="a", le="1"}': "0+1x30",
        'millstream_broadcast_to_socket_seconds_bucket{instance="a", le="2.5"}': "0+100x30",
        'millstream_broadcast_to_socket_seconds_bucket{instance="a", le="+Inf"}': "0+100x30",
    },
    "MillstreamClientsTooSlow": {
        'millstream_connections_closed_total{instance="a", reason="write_deadline"}': "0+300x30",
        'millstream_connections_closed_total{instance="a", reason="client_gone"}': "0+300x30",
    },
    "MillstreamTransactionsHoldMessagesBack": {
        'millstream_holes_given_up_total{instance="a", loop="0"}': "0+1x30"
    },
    "MillstreamBroadcastsDropped": {
        'millstream_invalid_notifications_total{instance="a", loop="0"}': "0+1x30"
    },
}


def alerts():
    """Names of all alerts."""
    return re.findall(r"- alert: (\w+)", RULES.read_text())


def queries():
    """All queries of the dashboard, as Prometheus gets them."""
    dashboard = json.loads(DASHBOARD.read_text())
    found = [each["expr"] for each in dashboard["annotations"]["list"]]
    found += [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    for name, value in VARIABLES.items():
        found = [query.replace(name, value) for query in found]
    return found


def named(text):
    """The metrics in a text; a histogram by its own name."""
    names = set(re.findall(r"\bmillstream_\w+", text))
    return {re.sub(r"_seconds_(bucket|sum|count)$", "_seconds", name) for name in names}


def test_rules_are_in_order():
    assert "SUCCESS" in promtool("check", "rules", str(RULES))


def test_queries_of_the_dashboard_are_in_order(tmp_path):
    rules = [{"record": f"query:{n}", "expr": query} for n, query in enumerate(queries())]
    file = tmp_path / "queries.yml"
    # JSON is YAML.
    file.write_text(json.dumps({"groups": [{"name": "dashboard", "rules": rules}]}))
    promtool("check", "rules", str(file))
    assert not any("$" in query for query in queries())


def test_every_metric_that_is_named_is_there(serve, full_database):
    admin = Admin(serve(full_database, admin="127.0.0.1:0"))

    def families():
        return set(re.findall(r"^# TYPE (\S+) ", admin.text(), re.MULTILINE))

    # It comes with the first answer.
    wait_until(lambda: "millstream_notification_queue_usage_ratio" in families(), "the usage")
    for text in (RULES.read_text(), *queries()):
        assert named(text) <= families()
    assert families() == named(RULES.read_text()) | named(DASHBOARD.read_text()), "all are of use"


@pytest.mark.parametrize("alert", alerts())
def test_alert_fires(alert, tmp_path):
    """Of this trouble this alert is said to fire, and no other."""
    lines = ["rule_files:", f"  - {RULES}", "tests:", "  - interval: 1m", "    input_series:"]
    for series, values in TROUBLES[alert].items():
        lines += [f"      - series: '{series}'", f"        values: '{values}'"]
    lines.append("    promql_expr_test:")
    for other in alerts():
        firing = f'count(ALERTS{{alertname="{other}", alertstate="firing"}}) or vector(0)'
        lines += [f"      - expr: '{firing}'", "        eval_time: 25m", "        exp_samples:"]
        lines += ["          - labels: '{}'", f"            value: {int(other == alert)}"]
    file = tmp_path / "test.yml"
    file.write_text("\n".join(lines) + "\n")
    promtool("test", "rules", str(file))
