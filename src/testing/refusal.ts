/**
 * The ways in which a handler ends without an answer of its own: it refuses the request, or nobody is left to answer.
 *
 * The readers of numbers in a path or a query are here too, because all they know is what to refuse. Who turns a
 * refusal into a response: server.ts.
 */

/** The request cannot be answered as asked: the client is told `status` and, in a page, `message`. */
export class Refusal extends Error {
  readonly status: number;
  /** Fields that go with the status, as Allow goes with 405. */
  readonly fields: Readonly<Record<string, string>>;

  constructor(status: number, message: string, fields: Readonly<Record<string, string>> = {}) {
    super(message);
    this.name = 'Refusal';
    this.status = status;
    this.fields = fields;
  }
}

/** The connection went away while the handler was waiting; there is nothing left to do. */
export class ClientLeft extends Error {
  constructor() {
    super('The client left, or the server was closed, before the answer was complete');
    this.name = 'ClientLeft';
  }
}

/** A whole number >= 0 in decimal; beyond 2^53 it stays a number, since every use of it is bounded. */
export function wholeNumber(text: string, what: string): number {
  if (!/^\d+$/.test(text)) throw new Refusal(400, `${what} must be a whole number >= 0, not ${JSON.stringify(text)}`);
  return Number(text);
}

/** A number >= 0 in decimal, perhaps with a fraction: seconds. */
export function seconds(text: string, what: string): number {
  if (!/^(?:\d+(?:\.\d*)?|\.\d+)$/.test(text)) {
    throw new Refusal(400, `${what} must be a number of seconds >= 0, not ${JSON.stringify(text)}`);
  }
  return Number(text);
}

/** A status that can end an exchange: interim ones (1xx) would leave the client waiting for the final response. */
export function finalStatus(text: string): number {
  if (!/^[2-9]\d\d$/.test(text))
    throw new Refusal(400, `A status must be from 200 to 999, not ${JSON.stringify(text)}`);
  return Number(text);
}
