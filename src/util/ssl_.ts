/**
 * What the reference's `urllib3.util.ssl_` offers: contexts, constants and checks of certificates, from the modules of tls/
 * (reference: "urllib3.util.ssl_ module"). For users only: nothing inside imports it.
 */
export {
  createUrllib3Context,
  OP_NO_COMPRESSION,
  OP_NO_SSLv2,
  OP_NO_SSLv3,
  OP_NO_TICKET,
  SSLContext,
  type SslWrapSocketOptions,
  sslWrapSocket,
  type Urllib3ContextOptions,
  type VerifyLocations,
  type WrapSocketOptions,
} from '../tls/context.js';
export { assertFingerprint } from '../tls/fingerprint.js';
export { isIpaddress } from '../tls/identity.js';
export {
  CERT_NONE,
  CERT_OPTIONAL,
  CERT_REQUIRED,
  type CertRequirement,
  type CertRequirementName,
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
  TLSVersion,
  type TlsVersionName,
} from '../tls/requirements.js';
