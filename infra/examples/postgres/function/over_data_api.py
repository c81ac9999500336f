"""The table over the Data API of Aurora: no VPC, no connections, no password in the function."""

from typing import Any

from botocore.exceptions import ClientError

from profiles import UPSERT, RefusedError

# The database answered, or the request itself is wrong. Everything else may pass.
_REFUSALS = {"BadRequestException", "DatabaseErrorException", "UnsupportedResultException"}


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
            code = error.response["Error"]["Code"]
            if code in _REFUSALS:
                raise RefusedError(code) from None  # its text quotes the event
            raise
        return bool(response["numberOfRecordsUpdated"] > 0)
