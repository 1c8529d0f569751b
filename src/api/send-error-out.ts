/** How an attempt without a status ended, as it is shown; null if it has one. */
export function toSendErrorOut(attempt: {
  error_code: string | null;
  error_message: string | null;
  error_details: Record<string, unknown> | null;
}) {
  const { error_code: code, error_message: message, error_details: details } = attempt;
  return code === null ? null : { code, message, ...(details && { details }) };
}
