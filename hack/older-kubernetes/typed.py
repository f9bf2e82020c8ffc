"""Has the API server check the types of all expressions of ValidatingAdmissionPolicies.

usage: typed.py copies < LIST       prints copies without a binding whose resource rules name versions, and whose
                                    variables are validations, too: Kubernetes checks no types for a rule with a
                                    wildcard, and none of variables
       typed.py warnings < LIST     prints the warnings, and exits with 1 if there is one
"""

import json
import re
import sys

PREFIX = "typed."


def escaped(expression):
    """An expression with the field namespace of an object as types name it. In Kubernetes 1.30, a reserved word is escaped where
    types are known; where an expression is evaluated, none are, and the field has its own name.
    """
    return re.sub(r"\b((?:object|oldObject)(?:\.\w+)*)\.namespace\b", r"\1.__namespace__", expression)


def version(group):
    """The version of a group that the copies are about."""
    return "v1alpha1" if group == "bailiff.dev" else "v1"


def copy(policy):
    spec = policy["spec"]
    for rule in spec["matchConstraints"]["resourceRules"]:
        if "*" in rule["apiGroups"] or any("*" in resource for resource in rule["resources"]):
            raise SystemExit(f"{policy['metadata']['name']} has a rule for all groups or resources")
        if "*" in rule["apiVersions"]:
            rule["apiVersions"] = sorted({version(group) for group in rule["apiGroups"]})
    for variable in spec.get("variables", []):
        variable["expression"] = escaped(variable["expression"])
        spec["validations"].append({"expression": f"size([dyn({variable['expression']})]) == 1"})
    for validation in spec["validations"]:
        validation["expression"] = escaped(validation["expression"])
    return {
        "apiVersion": policy["apiVersion"],
        "kind": policy["kind"],
        "metadata": {"name": PREFIX + policy["metadata"]["name"]},
        "spec": spec,
    }


policies = json.load(sys.stdin)["items"]
if sys.argv[1] == "copies":
    # Rendered policies read fields of later versions of Kubernetes, behind has(): a type of 1.30 lacks them.
    ours = [policy for policy in policies if not policy["metadata"]["name"].startswith((PREFIX, "bailiff-image."))]
    print(json.dumps({"apiVersion": "v1", "kind": "List", "items": [copy(policy) for policy in ours]}))
else:
    found = False
    for policy in policies:
        for warning in policy["status"].get("typeChecking", {}).get("expressionWarnings", []):
            print(policy["metadata"]["name"], warning["fieldRef"], warning["warning"])
            found = True
    sys.exit(1 if found else 0)
