/**
 * How much of a response's framing a peer may make us hold or skip. The content itself has its limits elsewhere.
 */

/** Limits on what surrounds the content of a response. */
export interface ResponseLimits {
  /**
   * Bytes of a response's head: status line and fields; a trailer section has the same limit.
   * @defaultValue 65536
   */
  readonly maxHeadBytes: number;
  /**
   * Field lines in a head, and in a trailer section.
   * @defaultValue 2000
   */
  readonly maxFields: number;
  /**
   * Interim (1xx) responses before the final one.
   * @defaultValue 20
   */
  readonly maxInterimResponses: number;
  /**
   * Bytes of one chunk-size line without its CRLF, its extensions included.
   * @defaultValue 4096
   */
  readonly maxChunkLineBytes: number;
}

export const DEFAULT_RESPONSE_LIMITS: ResponseLimits = Object.freeze({
  maxHeadBytes: 65_536,
  maxFields: 2_000,
  maxInterimResponses: 20,
  maxChunkLineBytes: 4_096,
});
