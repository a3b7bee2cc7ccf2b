/** What the reference's `urllib3.util` offers, from the modules below it. For users only: nothing inside imports it. */
export { isConnectionDropped } from './connection.js';
export { makeHeaders } from './request.js';
export { assertHeaderParsing, isFpClosed, isResponseToHead } from './response.js';
export { Retry } from './retry.js';
export {
  CERT_NONE,
  CERT_OPTIONAL,
  CERT_REQUIRED,
  type CertRequirement,
  type CertRequirementName,
  resolveCertReqs,
} from './ssl_.js';
export { currentTime, Timeout } from './timeout.js';
export { getHost, parseUrl, splitFirst, Url } from './url.js';
export { waitForRead, waitForWrite } from './wait.js';
