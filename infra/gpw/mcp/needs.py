"""What the server asks AWS for: the permissions to grant, and the only calls that it can make."""

from gpw.operations import dead_letters, held_queue
from gpw.operations.gone import READ_GONE
from gpw.operations.log_counts import ACCESS_LOG
from gpw.operations.pause import MAPPINGS
from gpw.operations.sync import READ_STATE
from gpw.operations.tail import LOG_GROUPS, QUEUES
from gpw.stack import alarms
from gpw.stack.permissions import LIST_RULES, READ_HISTORY, STACK, Need, on

NEEDS = (
    *READ_HISTORY,
    *on("EventsTableName", "dynamodb:GetItem"),
    *on("ProfilesTableName", "dynamodb:GetItem"),
    *on("FullProfilesTableName", "dynamodb:GetItem"),
    *dead_letters.LOOK,
    *held_queue.LOOK,
    *READ_STATE,
    *READ_GONE,
    *alarms.ALARMS,
    *LIST_RULES,
    *on("EventBusName", "events:DescribeEventBus"),
    *on("*", "cloudwatch:GetMetricStatistics", "lambda:GetAccountSettings"),
    *on("*", "iam:SimulatePrincipalPolicy", "iam:GetRole"),
    *(Need("lambda:GetEventSourceMapping", one) for one in MAPPINGS.values()),
    *(Need("logs:FilterLogEvents", group) for group in (*LOG_GROUPS, ACCESS_LOG)),
    *(Need("sqs:GetQueueAttributes", queue) for queue in QUEUES.values()),
    *on("WebhookSecretArn", "secretsmanager:DescribeSecret"),
    *on("ProfileApiSecretArn", "secretsmanager:DescribeSecret"),
)
# Every command needs the first, which is declared for it. The others need no permission, or are
# done without.
_ALSO = (
    Need("cloudformation:DescribeStacks", STACK),
    *on("*", "sts:GetCallerIdentity", "iam:ListAccountAliases"),
)
ALLOWED = frozenset(need.action for need in (*NEEDS, *_ALSO))
