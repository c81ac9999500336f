"""The table over the Data API of Aurora: no VPC, no connections, no password in the function."""

import re
from typing import Any

from botocore.exceptions import ClientError

from profiles import UPSERT, UnavailableError, error_of

# How the Data API ends the text of a database's error.
_SQLSTATE = re.compile(r"SQLState: ([0-9A-Z]{5})")


class DataApiProfiles:
    """The table of an Aurora cluster. client: a botocore client of `rds-data`."""

    def __init__(self, *, cluster_arn: str, database: str, secret_arn: str, client: Any) -> None:
        self._where = {
            "resourceArn": cluster_arn,
            "secretArn": secret_arn,
            "database": database,
        }
        self._client = client

    def apply(self, event: str) -> bool:
        parameter = {"name": "event", "typeHint": "JSON", "value": {"stringValue": event}}
        try:
            response = self._client.execute_statement(
                **self._where, sql=UPSERT, parameters=[parameter]
            )
        except ClientError as error:
            # Only the codes: the text can quote the event.
            told = error.response["Error"]
            if found := _SQLSTATE.search(told.get("Message", "")):
                raise error_of(found[1]) from None
            raise UnavailableError(told["Code"]) from None
        return bool(response["numberOfRecordsUpdated"] > 0)
