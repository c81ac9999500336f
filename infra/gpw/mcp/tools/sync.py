"""The tool about sync."""

from typing import Annotated, Any

from pydantic import Field

from gpw.mcp.answers import fitting, ident
from gpw.mcp.tools.base import Tools
from gpw.operations.gone import gone
from gpw.operations.sync import in_step, no_sync

NOTES = 500  # about missing profiles, that are read: one page, and 5 requests for their rows
LISTED = 50


class SyncTools(Tools):
    """The tool about sync."""

    def sync(
        self,
        *,
        list_gone: Annotated[
            bool, Field(description="Also list profiles that GetProfile no longer has.")
        ] = False,
    ) -> dict[str, Any]:
        """Show whether the profiles here are in step with GetProfile's list, as of the last sweep.

        A sweep compares them, and finds the profiles whose webhooks never arrived. `last.behind`
        are those that it caught up with, `gone` counts the profiles that are here and no longer at
        GetProfile. It starts no sweep and asks GetProfile nothing: newer changes are not in it.
        """
        target = self.target
        found = in_step(target)
        if found is None:
            raise no_sync(target)
        shown = {"well": found.well, "found": found.text(), "fix": found.fix, **found.document()}
        if list_gone:
            shown |= self._gone()
        return shown

    def _gone(self) -> dict[str, Any]:
        found = gone(self.target, NOTES)
        self.call.check()
        rows = fitting(
            {
                "tenant": ident(key.tenant_id),
                "profile": ident(key.profile_id),
                "missing_since": since,
            }
            for key, since in list(found.profiles.items())[:LISTED]
        )
        if found.whole and len(rows) == len(found.profiles):
            return {"gone_profiles": rows, "stopped": None}
        stopped = f"after {len(rows)} profiles; gpw sync --gone --json lists all"
        return {"gone_profiles": rows, "stopped": stopped}
