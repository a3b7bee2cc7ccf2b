/**
 * Which request fields carry credentials: they do not follow a redirect to another origin, and are not shown where fields are
 * printed.
 */

/**
 * Request fields whose value lets whoever reads it act as the caller, or read what is the caller's.
 *
 * Fields without a specification are here if the documentation of a widely used service or framework has its users put a
 * secret there. Not here: signatures over one request (Signature, X-Hub-Signature), which are of no use with another one, and
 * identifiers (X-Request-Id, Idempotency-Key), which give no right to anything.
 */
export const CREDENTIAL_FIELDS: readonly string[] = [
  // The standard ones: RFC 9110 section 11, RFC 6265, and RFC 2965 before it.
  'Authorization',
  'Cookie',
  'Proxy-Authorization',
  'Cookie2',
  // Authorization under another name, where the field itself is taken: gateways, Cloud Run, Azure Storage (source of a copy).
  'X-Authorization',
  'X-Serverless-Authorization',
  'X-Ms-Copy-Source-Authorization',
  // Keys of programming interfaces: API gateways in general (X-Api-Key, Api-Key, Apikey), VirusTotal (X-Apikey), Google,
  // RapidAPI, Algolia, Azure API Management, Azure Functions, Azure Event Grid, Datadog, Fastly, Cloudflare, New Relic, Honeycomb.
  'X-Api-Key',
  'Api-Key',
  'Apikey',
  'X-Apikey',
  'X-Api-Token',
  'X-Goog-Api-Key',
  'X-Rapidapi-Key',
  'X-Algolia-Api-Key',
  'Ocp-Apim-Subscription-Key',
  'X-Functions-Key',
  'Aeg-Sas-Key',
  'Aeg-Sas-Token',
  'Dd-Api-Key',
  'Dd-Application-Key',
  'Fastly-Key',
  'X-Auth-Key',
  'X-License-Key',
  'X-Honeycomb-Team',
  // Tokens of a session or of an account: OpenStack (X-Auth-Token, X-Subject-Token), GitLab, AWS (temporary credentials, and
  // the metadata service of EC2), Google IAP, Cloudflare Access, HashiCorp's Vault, Consul and Nomad, Shopify, CircleCI, Postmark,
  // Figma, Tableau.
  'X-Auth-Token',
  'X-Subject-Token',
  'X-Access-Token',
  'X-Session-Token',
  'X-Refresh-Token',
  'Private-Token',
  'Job-Token',
  'Deploy-Token',
  'X-Gitlab-Token',
  'X-Amz-Security-Token',
  'X-Aws-Ec2-Metadata-Token',
  'X-Goog-Iap-Jwt-Assertion',
  'Cf-Access-Client-Secret',
  'Cf-Access-Jwt-Assertion',
  'Cf-Access-Token',
  'X-Vault-Token',
  'X-Consul-Token',
  'X-Nomad-Token',
  'X-Shopify-Access-Token',
  'Circle-Token',
  'X-Postmark-Server-Token',
  'X-Figma-Token',
  'X-Tableau-Auth',
  // Against forged requests: with one of these, and the cookie that the browser adds, another site acts as the user.
  'X-Csrf-Token',
  'X-Xsrf-Token',
  'X-Csrftoken',
  // The key itself that objects in the store are encrypted with: Amazon S3, Google Cloud Storage, Azure Storage.
  'X-Amz-Server-Side-Encryption-Customer-Key',
  'X-Amz-Copy-Source-Server-Side-Encryption-Customer-Key',
  'X-Goog-Encryption-Key',
  'X-Ms-Encryption-Key',
];
