import { PROBLEM_CODES, type ProblemCode, problemStatus } from '../errors';
import type { Route } from '../route';

/** The problems that a row can be answered with. */
export function problemsOf(row: Route): ProblemCode[] {
  return PROBLEM_CODES.filter((code) => canHave(row, code));
}

function canHave(row: Route, code: ProblemCode): boolean {
  const status = problemStatus(code);
  // Of a path and a method that are not in the document together.
  if (status === 405) return false;
  if (row.doc.problems?.includes(code)) return true;
  switch (status) {
    case 400:
    case 413:
    case 415:
      return row.body !== undefined;
    case 404:
      return row.path.includes(':');
    case 409:
      return code === 'idempotency_in_progress' && row.method === 'post';
    case 412:
      return false;
    case 422:
      return code !== 'publish_too_costly';
    case 503:
      return code !== 'workflow_engine_unavailable';
    default:
      return true;
  }
}
