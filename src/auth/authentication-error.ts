/**
 * What is raised when a login cannot be carried through: a challenge that is malformed or cannot be answered, a primitive that
 * this Node does not have, a handshake that the server broke.
 *
 * A server that simply refuses the credentials is not an error at this level: its 401 or 407 is the answer.
 */
import { HTTPError, type HTTPErrorOptions } from '../exceptions.js';

/** A scheme of authentication that we speak. */
export type AuthScheme = 'basic' | 'bearer' | 'digest' | 'ntlm';

/**
 * A login could not be carried through. Sending the request again does not mend it; other credentials, another scheme, or
 * the server's administrator may.
 *
 * The message never holds credentials, nor anything derived from them.
 */
export class AuthenticationError extends HTTPError {
  static {
    // On the prototype, as a constant text: a bundler that renames classes must not rename errors.
    Object.defineProperty(AuthenticationError.prototype, 'name', {
      value: 'AuthenticationError',
      writable: true,
      configurable: true,
    });
  }

  readonly scheme: AuthScheme;

  constructor(scheme: AuthScheme, message: string, options: HTTPErrorOptions = {}) {
    super(message, options);
    this.scheme = scheme;
  }
}
