import { type Evidence, openCase, type Violation } from '../evidence';
import { checkAccepted, checkFates } from './accepted';
import { checkAudit } from './audit';
import { checkHooks, checkOrder } from './hooks';
import { checkAttempts, checkCancels, checkDeliveredTwice, checkDuplicates, type Explained } from './posts';

/** Everything that is wrong, and what came twice with good reason. */
export function checkAll(evidence: Evidence): { violations: Violation[]; explained: Explained[] } {
  const c = openCase(evidence);
  const { violations: duplicates, explained } = checkDuplicates(c);
  const { ledger, record, lives } = evidence;
  const violations: Violation[] = [
    ...checkAccepted(c),
    ...checkFates(c),
    ...duplicates,
    ...checkDeliveredTwice(c),
    ...checkAttempts(c),
    ...checkCancels(c),
    ...checkHooks(c),
    ...checkOrder(c),
    ...checkAudit(c),
    ...ledger.badAnswers.map(({ method, path, status, at, body }): Violation => {
      const { code, detail } = (body ?? {}) as { code?: string; detail?: string };
      return { check: 'bad_answer', what: `${method} ${path}: ${status} ${code} ${detail}`, at };
    }),
    ...evidence.openWorkflows.map(
      (id): Violation => ({
        check: 'stuck',
        what: `workflow ${id} still runs`,
        ...(id.startsWith('del_') && { deliveryId: id }),
      }),
    ),
    ...record.idleInTransaction.map((session): Violation => ({ check: 'idle_in_transaction', what: session })),
    ...lives
      .filter(({ ended }) => ended?.how === 'by itself')
      .map(({ role, n, ended }): Violation => ({ check: 'role_ended', what: `${role} (${n})`, at: ended!.at })),
  ];
  return { violations, explained };
}
