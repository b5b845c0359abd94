#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The plain manifests and the chart: well-formed, consistent in themselves and with each other."""
import glob
import json
import os
import re
import unittest

import jsonschema
import yaml

ROOT = os.path.normpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
PLAIN = os.path.join(ROOT, "deploy", "kubernetes")
CHART = os.path.join(ROOT, "charts", "bonsai")
CAPABILITIES = {"BPF", "NET_ADMIN", "PERFMON"}


class UniqueKeys(yaml.SafeLoader):
    """Refuses a key given twice, which YAML forbids and PyYAML forgives."""

    def construct_mapping(self, node, deep=False):
        keys = [self.construct_object(key) for key, _ in node.value]
        if len(keys) != len(set(keys)):
            raise yaml.constructor.ConstructorError(None, None, f"a key twice in {keys}", node.start_mark)
        return super().construct_mapping(node, deep)


def text(*parts):
    with open(os.path.join(*parts), encoding="utf-8") as file:
        return file.read()


def manifests():
    for path in sorted(glob.glob(os.path.join(PLAIN, "*.yaml"))):
        for document in yaml.load_all(text(path), UniqueKeys):
            yield os.path.basename(path), document


def one(kind):
    found = [document for _, document in manifests() if document["kind"] == kind]
    assert len(found) == 1, f"{len(found)} manifests of kind {kind}"
    return found[0]


class Plain(unittest.TestCase):
    def test_each_is_an_object_without_namespace(self):
        names = set()
        for path, document in manifests():
            self.assertTrue(document["apiVersion"] and document["kind"] and document["metadata"]["name"], path)
            self.assertNotIn("namespace", document["metadata"], path)
            name = (document["kind"], document["metadata"]["name"])
            self.assertNotIn(name, names)
            names.add(name)

    def test_config_map_values_are_strings(self):
        for key, value in one("ConfigMap")["data"].items():
            self.assertIsInstance(value, str, key)

    def test_daemon_set_names_what_exists(self):
        daemon_set = one("DaemonSet")
        template = daemon_set["spec"]["template"]
        pod = template["spec"]
        self.assertEqual(daemon_set["spec"]["selector"]["matchLabels"], template["metadata"]["labels"])
        self.assertEqual(pod["serviceAccountName"], one("ServiceAccount")["metadata"]["name"])
        volumes = {volume["name"]: volume for volume in pod["volumes"]}
        self.assertEqual(volumes["config"]["configMap"]["name"], one("ConfigMap")["metadata"]["name"])
        container, = pod["containers"]
        self.assertEqual({mount["name"] for mount in container["volumeMounts"]}, set(volumes))
        mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
        self.assertIn("--config-dir=" + mounts["config"], container["args"])
        self.assertIn("--bpf-root=" + mounts["bpffs"] + "/bonsai", container["args"])
        port = one("ConfigMap")["data"]["metrics-address"].rsplit(":", 1)[1]
        self.assertEqual(str(container["ports"][0]["containerPort"]), port)
        self.assertEqual(template["metadata"]["annotations"]["prometheus.io/port"], port)
        for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
            self.assertEqual(container[probe]["httpGet"]["port"], container["ports"][0]["name"])

    def test_container_is_confined(self):
        pod = one("DaemonSet")["spec"]["template"]["spec"]
        self.assertTrue(pod["hostNetwork"])
        for word in ("hostPID", "hostIPC"):
            self.assertNotIn(word, pod)
        context = pod["containers"][0]["securityContext"]
        self.assertFalse(context["privileged"] or context["allowPrivilegeEscalation"])
        self.assertTrue(context["readOnlyRootFilesystem"])
        self.assertEqual(context["capabilities"]["drop"], ["ALL"])
        self.assertEqual(set(context["capabilities"]["add"]), CAPABILITIES)

    def test_role_only_reads(self):
        for rule in one("ClusterRole")["rules"]:
            self.assertLessEqual(set(rule["verbs"]), {"get", "list", "watch"})
            self.assertNotIn("secrets", rule["resources"])


class Chart(unittest.TestCase):
    values = yaml.load(text(CHART, "values.yaml"), UniqueKeys)
    schema = json.loads(text(CHART, "values.schema.json"))
    templates = sorted(glob.glob(os.path.join(CHART, "templates", "**", "*.*"), recursive=True))

    def test_values_keep_the_schema(self):
        jsonschema.Draft7Validator.check_schema(self.schema)
        jsonschema.validate(self.values, self.schema)

    def test_schema_refuses_bad_values(self):
        for change in ({"config": {**self.values["config"], "enable-ipv4": "yes"}},
                       {"config": {**self.values["config"], "no-such-setting": True}},
                       {"config": {**self.values["config"], "ct-entries": 1}}, {"imagee": {}}):
            with self.assertRaises(jsonschema.ValidationError, msg=str(change)):
                jsonschema.validate({**self.values, **change}, self.schema)

    def test_values_are_those_of_the_plain_manifests(self):
        plain = one("ConfigMap")["data"]
        chart = {key: ",".join(value) if isinstance(value, list) else
                 str(value).lower() if isinstance(value, bool) else str(value)
                 for key, value in self.values["config"].items()}
        self.assertEqual(chart, plain)

    def test_templates_use_values_that_exist_and_all_of_them(self):
        used = set()
        for path in self.templates:
            for name in re.findall(r"\.Values\.(\w+(?:\.\w+)*)", text(path)):
                node = self.values
                for part in name.split("."):
                    self.assertIn(part, node, f"{path}: .Values.{name}")
                    node = node[part]
                used.add(name.split(".")[0])
        self.assertEqual(used, set(self.values))

    def test_template_actions_are_balanced(self):
        for path in self.templates:
            self.assertEqual(text(path).count("{{"), text(path).count("}}"), path)
            opened = re.findall(r"{{-? *(?:if|with|range|define) ", text(path))
            self.assertEqual(len(opened), len(re.findall(r"{{-? *end *-?}}", text(path))), path)

    def test_versions_agree(self):
        chart = yaml.safe_load(text(CHART, "Chart.yaml"))
        version = re.search(r"project\(bonsai VERSION (\S+)", text(ROOT, "CMakeLists.txt")).group(1)
        self.assertEqual([chart["version"], chart["appVersion"]], [version, version])
        image = one("DaemonSet")["spec"]["template"]["spec"]["containers"][0]["image"]
        self.assertEqual(image.split(":")[-1], version)

    def test_pod_is_that_of_the_plain_manifests(self):
        """Capabilities, arguments and mounts stand in both; a change of one is a change of the other."""
        chart = text(CHART, "templates", "daemonset.yaml")
        container = one("DaemonSet")["spec"]["template"]["spec"]["containers"][0]
        for argument in container["args"]:
            self.assertIn(f"- {argument}\n", chart)
        for mount in container["volumeMounts"]:
            self.assertIn(f"mountPath: {mount['mountPath']}\n", chart)
        added = container["securityContext"]["capabilities"]["add"]
        self.assertIn(f"add: [{', '.join(added)}]\n", chart)


if __name__ == "__main__":
    unittest.main()
