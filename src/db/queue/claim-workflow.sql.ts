import { prepareStatement } from '../prepared-statement';
import { CLAIM_PARAMETERS, CLAIM_PROGRESS, CLAIM_ROWS, NO_PROGRESS } from './claim.sql';

/** The claim of the workflow path: what starting a workflow needs to know. */
export const claimWorkflowStatement = prepareStatement(
  'claim',
  CLAIM_PARAMETERS,
  `${CLAIM_ROWS}
-- A row for each delivery.
select claimed.delivery_id, claimed.tenant_id, claimed.webhook_id, claimed.event_type, claimed.attempt, claimed.trigger,
  claimed.asked_by,
  (select webhooks.host from webhooks where webhooks.id = claimed.webhook_id) host,
  (select passing.cap from passing where passing.webhook_id = claimed.webhook_id limit 1) cap,
  ${NO_PROGRESS}
from claimed
union all
-- How far the claim came.
select null, null, null, null, null, null, null, null, null, ${CLAIM_PROGRESS}`,
);
