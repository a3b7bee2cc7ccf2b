/**
 * Whether this process runs on Google App Engine, as its environment says (reference: "urllib3.contrib.appengine module").
 *
 * Asked each time, because a test or a launcher may set the variables late. The first generation of runtimes announces
 * itself by APPENGINE_RUNTIME and SERVER_SOFTWARE, managed VMs by GAE_VM, the second generation by GAE_ENV. Only the first
 * is a sandbox without sockets: for the second the functions of the reference answer false, and {@link isAppengineStandard}
 * is ours. Whether URLFetch can be called: bridge.ts.
 */

/** Whether this is App Engine of the first generation, local, in production or on a managed VM. */
export function isAppengine(): boolean {
  return isLocalAppengine() || isProdAppengine() || isProdAppengineMvms();
}

/**
 * Whether this is a sandbox whose requests have to go through URLFetch.
 *
 * @example
 * ```ts
 * const http = isAppengineSandbox() ? new AppEngineManager() : new PoolManager();
 * ```
 */
export function isAppengineSandbox(): boolean {
  return isAppengine() && !isProdAppengineMvms();
}

/** Whether this is the development server of the first generation. */
export function isLocalAppengine(): boolean {
  return isFirstGeneration('Development/');
}

/** Whether this is the first generation in production, and no managed VM. */
export function isProdAppengine(): boolean {
  return isFirstGeneration('Google App Engine/') && !isProdAppengineMvms();
}

/** Whether this is a managed VM, as the Flexible environment was called once: it has sockets. */
export function isProdAppengineMvms(): boolean {
  return process.env.GAE_VM === 'true';
}

/**
 * Whether this is the Standard environment of the second generation (`GAE_ENV=standard`), which Node.js runs on. It has
 * sockets: use a `PoolManager` there.
 */
export function isAppengineStandard(): boolean {
  return process.env.GAE_ENV === 'standard';
}

function isFirstGeneration(software: string): boolean {
  const { APPENGINE_RUNTIME, SERVER_SOFTWARE } = process.env;
  return APPENGINE_RUNTIME !== undefined && SERVER_SOFTWARE?.includes(software) === true;
}
