"""Which tests run in one process, because they share what takes long to make or must not meet.

pytest-xdist's own way (`--dist loadgroup`) silently does nothing with pytest 9.2: it writes the
group into the ids of tests, which can no longer be changed (pytest-xdist's issue 1386).
"""

from xdist.scheduler import LoadScopeScheduling  # type: ignore[import-untyped]

# Each of the first four shares a local cloud and a deployment: about 15 seconds of a processor.
# They are about equally long.
GROUPS = {
    "operator": {"test_gpw.py", "test_runbook.py", "test_sync.py", "test_verify.py"},
    "console": {
        *("test_console.py", "test_hydration.py", "test_listen.py", "test_mcp.py"),
        "test_policies.py",
    },
    "events": {
        *("test_hostile_http.py", "test_least_privilege.py", "test_rotation.py"),
        *("test_sam_local.py", "test_storm.py", "test_workflows.py"),
    },
    "examples": {"test_your_code_page.py"},
    "domain": {"test_domain.py", "test_release_archive.py"},
    "postgres": {"test_postgres_example.py"},  # one server
    "wheel": {"test_wheel.py"},  # built once
    "artifact": {"test_artifact.py"},
    "release": {"test_release.py"},
    "cloudformation": {"test_cloudformation.py", "test_iam.py"},  # they evaluate the same
}
DEPLOYED = ("operator", "console", "events", "examples")
# It looks at what the others left behind, in each of the groups with a deployment.
IN_EACH = "test_canary.py"


def group_of(test: str) -> str | None:
    """The group of a test, by pytest's id of it; None for a test that may run anywhere."""
    path, _, name = test.partition("::")
    file = path.rpartition("/")[2]
    if file == IN_EACH:
        parameters = name.partition("[")[2].removesuffix("]").split("-")
        return next(group for group in DEPLOYED if group in parameters)
    return next((group for group, files in GROUPS.items() if file in files), None)


class GroupScheduling(LoadScopeScheduling):  # type: ignore[misc]
    """Hands out whole groups, the largest first, and then the other tests one by one."""

    def _split_scope(self, nodeid: str) -> str:
        return group_of(nodeid) or nodeid
