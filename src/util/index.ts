/** What the reference's `urllib3.util` offers, from the modules below it. For users only: nothing inside imports it. */
export { isConnectionDropped } from './connection.js';
export { makeHeaders } from './request.js';
export { assertHeaderParsing, isFpClosed, isResponseToHead } from './response.js';
export { Retry } from './retry.js';
export {
  assertFingerprint,
  CERT_NONE,
  CERT_OPTIONAL,
  CERT_REQUIRED,
  type CertRequirement,
  type CertRequirementName,
  createUrllib3Context,
  isIpaddress,
  OP_NO_COMPRESSION,
  OP_NO_SSLv2,
  OP_NO_SSLv3,
  OP_NO_TICKET,
  PROTOCOL_SSLv2,
  PROTOCOL_SSLv3,
  PROTOCOL_SSLv23,
  PROTOCOL_TLS,
  PROTOCOL_TLS_CLIENT,
  PROTOCOL_TLSv1,
  PROTOCOL_TLSv1_1,
  PROTOCOL_TLSv1_2,
  type Protocol,
  type ProtocolName,
  resolveCertReqs,
  resolveSslVersion,
  SSLContext,
  type SslWrapSocketOptions,
  sslWrapSocket,
  TLSVersion,
  type TlsVersionName,
  type Urllib3ContextOptions,
  type VerifyLocations,
  type WrapSocketOptions,
} from './ssl_.js';
export { currentTime, Timeout } from './timeout.js';
export { getHost, parseUrl, splitFirst, Url } from './url.js';
export { waitForRead, waitForWrite } from './wait.js';
