#!/usr/bin/env bash
# Checks the manifests of deploy/kubernetes against Kubernetes' own schemas, unknown fields included: a line for each file.
#
#   scripts/scale/manifests.sh          # the newest Kubernetes that the package kubernetes-validate knows
#   scripts/scale/manifests.sh 1.33     # another
#
# Of an MPIJob, which is no kind of Kubernetes' own, only the pod templates are checked.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

python=$(scripts/scale/setup.sh)
exec "$python" - "${1:-}" deploy/kubernetes/*.yaml << 'PY'
import sys

import yaml
from kubernetes_validate import utils as schemas


def checkable(resource):
    """What of a resource has a schema."""
    if resource["kind"] != "MPIJob":
        return [resource]
    replicas = resource["spec"]["mpiReplicaSpecs"]
    return [{"apiVersion": "v1", "kind": "PodTemplate", "template": replicas[role]["template"]} for role in replicas]


def check(path, version):
    """What a file holds; ValueError with what is wrong with it."""
    with open(path, encoding="utf-8") as file:
        resources = [resource for resource in yaml.safe_load_all(file) if resource]
    if not resources:
        raise ValueError("holds no resource")
    for resource in resources:
        if not {"apiVersion", "kind"} <= resource.keys():
            raise ValueError("a resource names no apiVersion or no kind")
        for part in checkable(resource):
            try:
                schemas.validate(part, version, strict=True)
            except schemas.ValidationError as error:
                place = ".".join(map(str, error.path))
                raise ValueError(f"{resource['kind']}: {place}: {error.message}") from error
            except (schemas.SchemaNotFoundError, schemas.InvalidSchemaError) as error:
                raise ValueError(error.message) from error
    kinds = [resource["kind"] for resource in resources]
    return ", ".join("MPIJob (its pod templates)" if kind == "MPIJob" else kind for kind in kinds)


known = list(dict.fromkeys(map(schemas.major_minor, schemas.all_versions())))  # each is there twice, strict and not
version, paths = sys.argv[1] or known[-1], sys.argv[2:]
if version not in known:
    sys.exit(f"manifests.sh: no schemas of Kubernetes {version}, only of {', '.join(known)}")
failed = False
for path in paths:
    try:
        print(f"{path}: good for Kubernetes {version}: {check(path, version)}")
    except (OSError, ValueError, KeyError, yaml.YAMLError) as error:
        failed = True
        line = " ".join(str(error).split())
        print(f"{path}: error: {line}")
sys.exit(failed)
PY
