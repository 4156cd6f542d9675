// What a failed call looks like to a page: always a sentence of what failed and one of what to do.
import type { ErrorBody } from './schema';

export class Failure extends Error {
  /** The HTTP status; 0 when no answer came. */
  readonly status: number;
  readonly hint: string;
  readonly requestId: string;

  constructor(status: number, message: string, hint: string, requestId = '') {
    super(message);
    this.name = 'Failure';
    this.status = status;
    this.hint = hint;
    this.requestId = requestId;
  }

  /** The server wants to know who asks. */
  get needsToken(): boolean {
    return this.status === 401;
  }
}

/** No answer: the server is down, unreachable or too slow. */
export function unreachable(error: unknown): Failure {
  const slow = error instanceof DOMException && error.name === 'TimeoutError';
  return new Failure(
    0,
    slow ? 'Pvdify took too long to answer' : 'Pvdify does not answer',
    'Check on the host that pvdifyd runs. This page tries again by itself.',
  );
}

/** An answer of 400 or above; proxies in between may answer with no body of ours. */
export function refused(status: number, body: unknown): Failure {
  if (isErrorBody(body)) {
    return new Failure(status, body.error, body.hint ?? '', body.request_id ?? '');
  }
  return new Failure(
    status,
    `Pvdify answered with HTTP status ${status}`,
    status >= 500
      ? "The server's log tells why. This page tries again by itself."
      : 'Is this address the one of Pvdify itself?',
  );
}

function isErrorBody(body: unknown): body is Pick<ErrorBody, 'error'> & Partial<ErrorBody> {
  return typeof body === 'object' && body !== null && 'error' in body && typeof body.error === 'string';
}
