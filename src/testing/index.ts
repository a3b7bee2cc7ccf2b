/** `urllib3/testing`: an httpbin to run inside a test. It is a peer of the client and shares no code with it. */
export { type Httpbin, type HttpbinOptions, type HttpbinTlsOptions, startHttpbin } from './server.js';
